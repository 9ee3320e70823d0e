"""Where time comes from: the system's clocks, or a recorded instant that a replay moves on.

No other file of the product reads a clock for a time that is stored.
"""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Protocol

_BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """Wall and monotonic nanoseconds, the boot that the latter count from, whether the wall is in sync."""

    @property
    def boot_id(self) -> str: ...

    @property
    def synced(self) -> bool: ...

    def wall_ns(self) -> int: ...

    def monotonic_ns(self) -> int: ...


class SystemClock:
    """The clocks of this machine. `synced` is what the caller knows of its time source."""

    def __init__(self, *, synced: bool = False) -> None:
        self.synced = synced
        self.boot_id = _read_boot_id()

    def wall_ns(self) -> int:
        """Nanoseconds since 1970 UTC."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Nanoseconds since an arbitrary point of this boot."""
        return time.monotonic_ns()


class RecordedClock:
    """A clock that stands still until it is set; its monotonic time counts from its first instant."""

    def __init__(self, wall_ns: int, *, boot_id: str = "recorded") -> None:
        self.synced = True
        self.boot_id = boot_id
        self._first = self._now = wall_ns

    def set(self, wall_ns: int) -> None:
        """Move to an instant, nanoseconds since 1970 UTC. Time never goes back."""
        self._now = max(self._now, wall_ns)

    def wall_ns(self) -> int:
        """Nanoseconds since 1970 UTC."""
        return self._now

    def monotonic_ns(self) -> int:
        """Nanoseconds since the first instant."""
        return self._now - self._first


def _read_boot_id() -> str:
    try:
        return _BOOT_ID_FILE.read_text().strip()
    except OSError:
        return str(uuid.uuid4())
