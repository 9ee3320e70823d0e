"""The sealed segments of a spool, oldest first: what is sent, what is evicted, what is let go.

The invariants: a segment's content only goes after it was acknowledged, quarantined or replaced by its
tombstones; the one that is being sent is not rewritten meanwhile.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from traces.device import disk, segments
from traces.device.cipher import Cipher
from traces.device.eviction import Level, Thinned, thin
from traces.device.frames import Form, Frame, Record, scan
from traces.device.quarantine import Quarantine
from traces.device.state import State
from traces.device.tombstones import decode_tombstone, tombstone_span

CURSOR_SUFFIX = ".sent"
_CONTENT = (Form.FRAME, Form.TOMBSTONE)


@dataclass(slots=True, eq=False)
class Entry:
    """One sealed segment: `offset` is where what is not yet acknowledged begins."""

    path: Path
    header: segments.Header
    size: int
    offset: int = 0
    level: Level = Level.NOTHING


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames of one segment, in order, that are sent in one request.

    `records` are what they were read from; `is_last` says that the segment ends with them.
    """

    entry: Entry
    envelope: bytes
    spans: tuple[bytes, ...]
    records: tuple[Record, ...]
    is_last: bool

    def __len__(self) -> int:
        return len(self.spans)


@dataclass(slots=True)
class Sealed:
    """The queue. Every method may be called from any thread; batches are taken by one at a time.

    `before_delete` is called with a segment that goes, `lost` with a chain id and evicted ranges.
    """

    folder: Path
    cipher: Cipher | None
    quarantine: Quarantine
    state: State
    now_ns: Callable[[], int]
    before_delete: Callable[[Entry], None]
    lost: Callable[[str, list[tuple[int, int]]], None]
    join_bytes: int
    bytes: int = 0
    entries: list[Entry] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _taken: Entry | None = None

    def add(self, path: Path, header: segments.Header, size: int, offset: int = 0) -> None:
        """Put a segment at the end of the queue."""
        with self._lock:
            if self.entries and self.entries[-1].header.envelope == header.envelope:
                # There may be thousands: they share what is equal.
                header = replace(header, envelope=self.entries[-1].header.envelope)
            self.entries.append(Entry(path, header, size, offset))
            self.bytes += size

    def take(self, max_bytes: int, most: int) -> Batch | None:
        """The oldest frames, at most so many bytes and frames but at least one; None where none is left.

        Until `acknowledge`, `put_aside` or `release` their segment is not rewritten. Raises OSError and
        SpoolError.
        """
        while True:
            with self._lock:
                self._taken = entry = self.entries[0] if self.entries else None
            if entry is None:
                return None
            batch, damaged = self._read(entry, max_bytes, most)
            if batch is not None:
                return batch
            with self._lock:
                if damaged:
                    self._put_aside_file(entry, damaged)
                else:
                    self._delete(entry)

    def acknowledge(self, batch: Batch) -> None:
        """Let go of what the server has. Raises OSError where a segment cannot be removed."""
        self.state.count(acknowledged=len(batch))
        self.state.note(acknowledged_at_ns=self.now_ns())
        with self._lock:
            self._pass(batch)

    def put_aside(self, batch: Batch, reason: str) -> None:
        """Move frames that the server refuses for good into quarantine. Raises OSError."""
        dropped = sum(
            self.quarantine.put(batch.entry.header, record, reason) for record in batch.records
        )
        self.state.count(quarantined=len(batch), quarantine_dropped=dropped)
        with self._lock:
            self._pass(batch)

    def release(self) -> None:
        """Keep what was taken for another time."""
        with self._lock:
            self._taken = None

    def evict(self, most: Level = Level.DIGESTS) -> int:
        """Free some bytes and return how many; 0 where nothing can go up to a level. Raises OSError."""
        with self._lock:
            for level in range(Level.ROUTINE, most + 1):
                for place, entry in enumerate(self.entries):
                    if entry.level < level and entry is not self._taken:
                        freed = self._thin(place, entry, Level(level))
                        if freed:
                            return freed
        return 0

    def _read(self, entry: Entry, max_bytes: int, most: int) -> tuple[Batch | None, int]:
        """A batch, or None and how many bytes of the rest are damaged."""
        data = entry.path.read_bytes()
        spans, records, size = [], [], 0
        end = entry.offset
        is_last = True
        for record in scan(data, entry.offset):
            if record.form in _CONTENT:
                if spans and (len(spans) == most or size + len(record.payload) > max_bytes):
                    is_last = False
                    break
                spans.append(self._span(entry, record))
                records.append(record)
                size += len(record.payload)
            end = record.end
        damaged = len(data) - end if is_last else 0
        if not spans:
            return None, damaged
        envelope = entry.header.envelope
        return Batch(entry, envelope, tuple(spans), tuple(records), is_last and not damaged), 0

    def _span(self, entry: Entry, record: Record) -> bytes:
        if record.form == Form.TOMBSTONE:
            return tombstone_span(decode_tombstone(record), entry.header.chain_id)
        return self.frame(record).span

    def frame(self, record: Record) -> Frame:
        """The frame of a record. Raises SpoolError where the key is another one."""
        return segments.decode_frame(record, self.cipher)

    def _pass(self, batch: Batch) -> None:
        entry = batch.entry
        entry.offset = batch.records[-1].end
        self._taken = None
        if batch.is_last:
            self._delete(entry)
            return
        # A cursor that is lost or torn costs a repeat, which the server drops: no fsync.
        text = f"{entry.header.generation} {entry.offset}\n"
        with contextlib.suppress(OSError):
            disk.replace(_cursor(entry.path), text.encode(), sync=False)

    def _delete(self, entry: Entry) -> None:
        self.before_delete(entry)
        entry.path.unlink(missing_ok=True)
        self._gone(entry)

    def _put_aside_file(self, entry: Entry, damaged: int) -> None:
        self.before_delete(entry)
        dropped = self.quarantine.put_aside(entry.path)
        self._gone(entry)
        self.state.count(damaged_bytes=damaged, quarantine_dropped=dropped)
        self.state.note(error=f"{entry.path.name}: {damaged} damaged bytes put into quarantine")

    def _gone(self, entry: Entry) -> None:
        _cursor(entry.path).unlink(missing_ok=True)
        self.entries.remove(entry)
        self.bytes -= entry.size
        if self._taken is entry:
            self._taken = None

    def _thin(self, place: int, entry: Entry, level: Level) -> int:
        """Rewrite a segment without what goes at a level, joined to the one before where both are small."""
        thinned = thin(_unsent(entry), level, self.now_ns())
        target, size = entry, sum(map(len, thinned.kept))
        before = self.entries[place - 1] if place else None
        if before is not None and self._join(before, entry, level, size):
            records = [r for r in _unsent(before) if r.form != Form.SEAL] + _unsent(entry)
            thinned, target = thin(records, level, self.now_ns()), before
        header = segments.rewritten(target.header, entry.header if target is not entry else None)
        data = segments.contents(header, thinned.kept, self.cipher)
        freed = entry.size + (target.size if target is not entry else 0) - len(data)
        if freed <= 0:
            entry.level = level
            return 0
        self.before_delete(entry)
        disk.replace(target.path, data)
        if target is not entry:
            entry.path.unlink(missing_ok=True)
            self._gone(entry)
        _cursor(target.path).unlink(missing_ok=True)
        self.bytes += len(data) - target.size
        target.header, target.size, target.offset = header, len(data), 0
        target.level = level
        self._count(target.header.chain_id, thinned)
        return freed

    def _join(self, before: Entry, entry: Entry, level: Level, size: int) -> bool:
        same = (
            before.header.envelope == entry.header.envelope
            and before.header.chain_id == entry.header.chain_id
        )
        free = before is not self._taken and before.level >= level
        return same and free and before.size + size <= self.join_bytes

    def _count(self, chain_id: str, thinned: Thinned) -> None:
        frames = sum(last - first + 1 for first, last in thinned.lost)
        self.state.count(tombstoned=frames, evicted_unnumbered=thinned.unnumbered)
        self.lost(chain_id, thinned.lost)


def _unsent(entry: Entry) -> list[Record]:
    """The records that still count. Raises OSError."""
    found = scan(entry.path.read_bytes(), entry.offset)
    return [record for record in found if record.form != Form.HEADER]


def _cursor(path: Path) -> Path:
    return path.with_suffix(CURSOR_SUFFIX)


def load(sealed: Sealed) -> None:
    """Find what an earlier process left, and finish what it had begun. Raises OSError, SpoolError."""
    for path in sealed.folder.glob(f"*{disk.TEMPORARY}"):
        path.unlink()
    paths = sorted(sealed.folder.glob(f"*{segments.SUFFIX}"))
    headers = {path: _header(path, sealed) for path in paths}
    absorbed = {header.absorbed for header in headers.values() if header}
    for path, header in headers.items():
        if header is None:
            continue
        if header.counter in absorbed:
            path.unlink()
            continue
        size = path.stat().st_size
        sealed.add(path, header, size, min(cursor(path, header.generation), size))
    names = {_cursor(entry.path) for entry in sealed.entries}
    for path in sealed.folder.glob(f"*{CURSOR_SUFFIX}"):
        if path not in names:
            path.unlink()


def _header(path: Path, sealed: Sealed) -> segments.Header | None:
    """The header of a segment; one that has none is put into quarantine."""
    first = segments.first(path)
    if first is not None:
        return segments.decode_header(first, sealed.cipher)
    damaged = path.stat().st_size
    dropped = sealed.quarantine.put_aside(path)
    sealed.state.count(damaged_bytes=damaged, quarantine_dropped=dropped)
    return None


def cursor(path: Path, generation: int) -> int:
    """Where the unacknowledged part of a segment begins; 0 where the cursor is of another content."""
    try:
        found, offset = map(int, _cursor(path).read_text().split())
    except (OSError, ValueError):
        return 0
    return offset if found == generation else 0
