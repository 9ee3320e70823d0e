"""A disk that is full just then."""

from __future__ import annotations

import itertools
from collections.abc import Callable


def full_at(failing: int, fsync: Callable[[int], None]) -> Callable[[int], None]:
    """A sync that finds the disk full at its n-th call."""
    calls = itertools.count(1)

    def full(descriptor: int) -> None:
        if next(calls) == failing:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    return full
