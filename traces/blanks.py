"""Bytes with blanks: constant bytes, and places where numbers and whole parts are filled in.

All constants and numbers between two slots are packed by one call, however many they are.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

_DOUBLE = 8


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of an attribute that is encoded each time: which of them."""

    number: int


Part = bytes | int | Slot
"""Constant bytes, the place of a number (which of them), or a slot."""
_Packing = tuple[Callable[..., bytes], Callable[[Any], tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class Blanks:
    """Runs of bytes to join: packed from numbers and constants in some order, or a slot."""

    runs: tuple[Slot | _Packing, ...]
    constants: tuple[bytes, ...]

    def filled(self, numbers: Sequence[float], slots: Sequence[bytes]) -> bytes:
        """The bytes with these numbers and slots."""
        pool = [*numbers, *self.constants]
        out = []
        for run in self.runs:
            if isinstance(run, Slot):
                out.append(slots[run.number])
            else:
                pack, ordered = run
                out.append(pack(*ordered(pool)))
        return b"".join(out)


def blanks(order: str, parts: Sequence[Part], count: int) -> Blanks:
    """Parts as runs, to fill with `count` numbers in that byte order, as `struct` writes it."""
    constants: list[bytes] = []
    runs: list[Slot | _Packing] = []
    for is_slot, group in itertools.groupby(parts, key=lambda part: isinstance(part, Slot)):
        if is_slot:
            runs += [part for part in group if isinstance(part, Slot)]
            continue
        format_, places = order, []
        for constant, same in itertools.groupby(group, key=lambda part: isinstance(part, bytes)):
            some = list(same)
            if constant:
                some = [b"".join(part for part in some if isinstance(part, bytes))]
                format_ += f"{len(some[0])}s"
                places.append(count + len(constants))
                constants += some
            else:
                format_ += f"{len(some)}d"
                places += some
        runs.append((struct.Struct(format_).pack, getter(places)))
    return Blanks(tuple(runs), tuple(constants))


def around(encoded: bytes, numbers: range | None, mark: int) -> list[Part]:
    """An attribute with places for its numbers, each a double after `mark` constant bytes."""
    if numbers is None:
        return [encoded]
    begin = len(encoded) - len(numbers) * (mark + _DOUBLE)
    parts: list[Part] = [encoded[:begin]]
    for number in numbers:
        parts += [encoded[begin : begin + mark], number] if mark else [number]
    return parts


def getter(keys: Sequence[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """What takes these keys off a mapping or a sequence, as a tuple."""
    if len(keys) > 1:
        return itemgetter(*keys)
    return lambda of: tuple(of[key] for key in keys)
