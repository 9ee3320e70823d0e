"""A cap in bytes per second, and how long to wait after a failure: functions of time, without a clock."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 300.0


class Bucket:
    """A token bucket that holds at most one second's worth.

    >>> bucket = Bucket(1000)
    >>> bucket.take(1000, 0.0), bucket.take(500, 0.0), bucket.take(500, 10.0)
    (0.0, 0.5, 0.0)
    """

    def __init__(self, bytes_per_s: float) -> None:
        self._rate = self._left = float(bytes_per_s)
        self._at_s: float | None = None

    @property
    def chunk(self) -> int:
        """How many bytes to send at once, so that a line that others share is not blocked for long."""
        return max(256, min(65_536, int(self._rate / 8)))

    def take(self, number: int, now_s: float) -> float:
        """Take so many bytes at a monotonic instant; returns how many seconds to wait before sending."""
        if self._at_s is not None:
            gained = max(now_s - self._at_s, 0.0) * self._rate
            self._left = min(self._left + gained, self._rate)
        self._at_s = now_s
        self._left -= number
        return max(0.0, -self._left / self._rate)


def backoff_s(
    failures: int, retry_after_s: float | None, jitter: Callable[[], float] = random.random
) -> float:
    """Seconds to wait after so many failures in a row: exponential, full jitter, at most five minutes.

    What the server asked for is waited for in full, and the jitter comes on top: a fleet that was sent
    away together does not come back together. Source: AWS Architecture Blog, "Exponential Backoff And
    Jitter".

    >>> backoff_s(3, None, lambda: 0.5), backoff_s(1, 30.0, lambda: 0.5)
    (2.0, 30.5)
    """
    ceiling = min(FIRST_BACKOFF_S * 2 ** min(failures - 1, 30), LONGEST_BACKOFF_S)
    return (retry_after_s or 0.0) + jitter() * ceiling
