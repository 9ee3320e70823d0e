"""How a device's spool stands, read from its files alone: also while another process writes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from traces.device import segments
from traces.device.clock import Clock, SystemClock
from traces.device.frames import Form, Priority, Record, scan
from traces.device.quarantine import Quarantined, quarantined
from traces.device.sealed import cursor
from traces.device.state import FILE, Ledger, read
from traces.device.tombstones import decode_tombstone, runs
from traces.errors import SpoolError


@dataclass(frozen=True, slots=True)
class Pending:
    """What waits to be sent, of one priority: frames, and their bytes on the disk."""

    frames: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class ChainRange:
    """Sequence numbers of a chain, both ends included."""

    chain_id: str
    seq_from: int
    seq_to: int


@dataclass(frozen=True, slots=True)
class Status:
    """One spool at one instant. Times in nanoseconds since 1970 UTC, 0 for never.

    `pending` is by the names of Priority. `tombstones` are those that wait to be sent; `ledger` counts all
    since the spool was made, and is at most a second old. `oldest_pending_s` is the age of the segment with
    the oldest pending frame, by the wall clock.
    """

    folder: str
    pending: dict[str, Pending]
    oldest_pending_s: float
    tombstones: tuple[ChainRange, ...]
    quarantine: tuple[Quarantined, ...]
    ledger: Ledger
    last_seq: int | None = None


def status(folder: Path, clock: Clock | None = None) -> Status:
    """The status of a spool. Raises SpoolError where the folder is none."""
    folder = Path(folder)
    if not (folder / FILE).exists() and not (folder / "sealed").is_dir():
        raise SpoolError(f"{folder} without a spool", "the folder given to Spool")
    now_ns = (clock or SystemClock()).wall_ns()
    stored = read(folder)
    counts = {priority: [0, 0] for priority in Priority}
    oldest_ns = 0
    buried: list[ChainRange] = []
    newest = -1
    for header, record in _pending(folder):
        oldest_ns = oldest_ns or header.opened.wall_ns
        count = counts[Priority(record.priority)]
        count[0] += 1
        count[1] += record.end - record.start
        if record.form == Form.TOMBSTONE:
            tombstone = decode_tombstone(record)
            buried.append(ChainRange(header.chain_id, tombstone.seq_from, tombstone.seq_to))
        elif record.seq is not None:
            newest = record.seq
    if newest < 0 and stored.last is not None:
        newest = max((record.seq or 0 for record in scan(stored.last.record)), default=-1)
    return Status(
        folder=str(folder),
        pending={priority.name.lower(): Pending(*counts[priority]) for priority in Priority},
        oldest_pending_s=max(now_ns - oldest_ns, 0) / 1e9 if oldest_ns else 0.0,
        tombstones=_joined(buried),
        quarantine=tuple(quarantined(folder / "quarantine")),
        ledger=stored.ledger,
        last_seq=newest if newest >= 0 else None,
    )


def _pending(folder: Path) -> Iterator[tuple[segments.Header, Record]]:
    """The records that wait, oldest first; a segment that moves on meanwhile is found where it went."""
    seen: set[str] = set()
    for path in sorted((folder / "sealed").glob(f"*{segments.SUFFIX}")) + sorted(
        (folder / "open").glob(f"*{segments.SUFFIX}")
    ):
        if path.name in seen:
            continue
        seen.add(path.name)
        yield from _records(path, folder)


def _records(path: Path, folder: Path) -> Iterator[tuple[segments.Header, Record]]:
    for place in (path, folder / "sealed" / path.name):
        try:
            records = segments.read(place)
        except FileNotFoundError:
            continue
        if records:
            header = segments.peek(records[0])
            offset = cursor(place, header.generation)
            for record in records:
                if record.form in (Form.FRAME, Form.TOMBSTONE) and record.start >= offset:
                    yield header, record
        return


def _joined(ranges: list[ChainRange]) -> tuple[ChainRange, ...]:
    chains = dict.fromkeys(item.chain_id for item in ranges)
    return tuple(
        ChainRange(chain, *run)
        for chain in chains
        for run in runs((r.seq_from, r.seq_to) for r in ranges if r.chain_id == chain)
    )
