"""The appending side of a spool: from frames to sealed segments.

Two locks: `_lock` is held for a write() and never for an fsync, so that appending is short; `_sealing` is
held while segments are synced and sealed, in their order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from traces.device import disk, segments
from traces.device.cipher import Cipher
from traces.device.clock import Clock
from traces.device.frames import Frame
from traces.device.open_segment import OpenSegment
from traces.device.recovery import Newest
from traces.device.sealed import Sealed
from traces.errors import SpoolError

_HEADER_ROOM = 1024
_MOST_PARKED = 4


class Writing:
    """Writes frames into `folder`, a segment after the other, and seals them into a queue.

    `last` and `counter` continue what was before. Sealing syncs where `durable`. `on_work` is called
    when a segment was begun.
    """

    def __init__(
        self,
        folder: Path,
        sealed: Sealed,
        clock: Clock,
        *,
        segment_bytes: int,
        limit_bytes: int,
        last: Newest,
        counter: int,
        durable: bool,
        on_work: Callable[[], object],
    ) -> None:
        self._folder, self._sealed, self._clock = folder, sealed, clock
        self._cipher: Cipher | None = sealed.cipher
        self._segment_bytes, self._limit = segment_bytes, limit_bytes
        self._counter, self._durable, self._on_work = counter, durable, on_work
        self._lock, self._sealing = threading.Lock(), threading.Lock()
        self._open: OpenSegment | None = None
        self._parked: dict[tuple[bytes, str], OpenSegment] = {}
        self._full: list[OpenSegment] = []
        self._open_bytes = 0
        self._envelope: bytes | None = None
        self.chain_id = ""
        self.last = last
        self.unsynced = self.closed = False

    @property
    def size(self) -> int:
        """Bytes of all segments, sealed or not."""
        return self._open_bytes + self._sealed.bytes

    @property
    def is_empty(self) -> bool:
        """Whether no frame waits to be sealed."""
        with self._lock:
            return not self._full and not any(segment.frames for segment in self._opened())

    def begin(self, envelope: bytes, chain_id: str) -> None:
        """What the frames from now on share; the segment of something else stays open for its return."""
        with self._lock:
            if self._envelope is not None and self._open is not None:
                self._parked[self._envelope, self.chain_id] = self._open
            self._envelope, self.chain_id = envelope, chain_id
            self._open = self._parked.pop((envelope, chain_id), None)
            if len(self._parked) > _MOST_PARKED:
                self._turn(self._parked.pop(next(iter(self._parked))))

    def put(self, frame: Frame, record: bytes) -> int:
        """Write a frame's record and return 0, or the bytes for which there is no room.

        Raises OSError, SpoolError.
        """
        needed = size = len(record)
        with self._lock:
            segment = self._open
            if segment is None or segment.broken or segment.size + size > self._segment_bytes:
                segment = self._kept(segment)
                needed += 0 if segment else _HEADER_ROOM + len(self._envelope or b"")
            if self._open_bytes + self._sealed.bytes + needed > self._limit:
                return needed
            segment = segment or self._next()
            segment.write(record)
            self._open_bytes += size
            self.unsynced = True
            if frame.seq is not None:
                self.last = frame, self.chain_id, segment.header.counter
        return 0

    def sync(self) -> None:
        """Make all that was written durable. Raises OSError."""
        with self._sealing:
            with self._lock:
                written = [*self._full, *self._opened()]
                self.unsynced = False
            try:
                for segment in written:
                    segment.sync()
            except OSError:
                self.unsynced = True
                raise

    def seal(self, age_ns: int = 0) -> None:
        """Seal what is full, and what is open and as old as that (nanoseconds).

        Raises OSError; what could not be sealed is tried again.
        """
        with self._sealing:
            with self._lock:
                self._turn_older(self._clock.monotonic_ns() - age_ns)
            full = list(self._full)
            if not full:
                return
            goal = self._sealed.folder
            done = [segment.finish(segments.stamp(self._clock), goal) for segment in full]
            if self._durable:
                disk.sync_folder(goal)
                disk.sync_folder(self._folder)
            for segment, (path, size) in zip(full, done, strict=True):
                self._sealed.add(path, segment.header, size)
                with self._lock:
                    self._full.pop(0)
                    self._open_bytes -= segment.size

    def _kept(self, segment: OpenSegment | None) -> OpenSegment | None:
        """The open segment if it holds nothing yet: then it takes a frame of any size."""
        if self.closed:
            raise SpoolError("a spool that is closed", "an open one")
        if self._envelope is None:
            raise SpoolError("a frame before `begin`", "resource and scope first")
        empty = segment is not None and not segment.frames and not segment.broken
        return segment if empty else None

    def _next(self) -> OpenSegment:
        segment, self._open = self._open, None
        self._turn(segment)
        at, number = segments.stamp(self._clock), self._counter
        header = segments.Header(number, number, -1, 0, self.chain_id, at, self._envelope or b"")
        self._open = OpenSegment(self._folder, header, self._cipher, durable=self._durable)
        self._counter += 1
        self._open_bytes += self._open.size
        self._on_work()
        return self._open

    def _opened(self) -> list[OpenSegment]:
        return [*self._parked.values(), *([self._open] if self._open else [])]

    def _turn_older(self, opened_ns: int) -> None:
        old = [s for s in self._opened() if s.header.opened.monotonic_ns <= opened_ns]
        self._parked = {key: s for key, s in self._parked.items() if s not in old}
        self._open = None if self._open in old else self._open
        for segment in sorted(old, key=lambda s: s.header.counter):
            self._turn(segment)

    def _turn(self, segment: OpenSegment | None) -> None:
        """Take a segment away from the appending side; needs the lock."""
        if segment is None:
            return
        if segment.frames:
            self._full.append(segment)
        else:
            self._open_bytes -= segment.size
            segment.discard()
