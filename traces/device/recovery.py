"""What an earlier process left open: cut where it is no longer whole, sealed, and the loss named."""

from __future__ import annotations

import os
from pathlib import Path

from traces.device import disk, segments
from traces.device.clock import Clock
from traces.device.frames import Form, Frame, Record, scan, whole
from traces.device.sealed import Sealed
from traces.device.state import Interruption, Ledger, State

Newest = tuple[Frame | None, str, int]
"""The newest numbered frame, its chain, and the counter of its segment."""


def recover(folder: Path, sealed: Sealed, clock: Clock) -> int:
    """Cut and seal every open segment into the queue; returns how many bytes were cut. Raises OSError."""
    cut = 0
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        end = whole(data)
        cut += len(data) - end
        records = list(scan(data[:end]))
        if len(records) < 2 or records[0].form != Form.HEADER:
            path.unlink()
            continue
        header = segments.decode_header(records[0], sealed.cipher)
        _seal(path, end, segments.encode_seal(segments.stamp(clock)), records)
        goal = sealed.folder / path.name
        path.replace(goal)
        disk.sync_folder(sealed.folder)
        disk.sync_folder(folder)
        sealed.add(goal, header, goal.stat().st_size)
    return cut


def holes(sealed: Sealed, before: Newest) -> tuple[tuple[int, int], ...]:
    """Numbers that are gone between frames that are there, of the newest chain after `before`.

    Power loss may keep a segment and lose an earlier one, if neither was synced. Raises OSError.
    """
    frame, chain_id, counter = before
    newest = [entry for entry in sealed.entries if entry.header.counter > counter]
    at = -1 if frame is None or frame.seq is None else frame.seq
    out = []
    for entry in newest:
        if entry.header.chain_id != chain_id:
            chain_id, at = entry.header.chain_id, -1
        for record in filter(_is_numbered, segments.read(entry.path)):
            seq = record.seq or 0
            if seq > at + 1:
                out.append((at + 1, seq - 1))
            at = seq
    return tuple(out)


def interruption(
    before: Ledger, last: Newest, cut: int, missing: tuple[tuple[int, int], ...], clock: Clock
) -> Interruption | None:
    """What the end of the process before may have lost; None where that is nothing."""
    boot_ended = not before.closed and before.boot_id != clock.boot_id
    if not boot_ended and not cut and not missing:
        return None
    frame, chain_id, _ = last
    after = -1 if frame is None or frame.seq is None else frame.seq
    return Interruption(chain_id, after, cut, boot_ended, clock.wall_ns(), missing)


def last_frame(sealed: Sealed, state: State) -> Newest:
    """The newest numbered frame, its chain and the counter of its segment. Raises OSError, SpoolError.

    The frame that `state` holds counts where its segment is gone or was thinned.
    """
    kept = state.last
    for entry in sorted(sealed.entries, key=lambda each: -each.header.through):
        if kept is not None and entry.header.through < kept.counter:
            break
        numbered = [r for r in segments.read(entry.path) if _is_numbered(r)]
        if not numbered:
            continue
        newest, chain_id = numbered[-1], entry.header.chain_id
        if kept is not None and kept.chain_id == chain_id and _seq(kept.record) > (newest.seq or 0):
            break
        return sealed.frame(newest), chain_id, entry.header.through
    if kept is None:
        return None, "", -1
    (record,) = scan(kept.record)
    return sealed.frame(record), kept.chain_id, kept.counter


def _seal(path: Path, end: int, seal: bytes, records: list[Record]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.ftruncate(descriptor, end)
        if records[-1].form != Form.SEAL:
            os.write(descriptor, seal)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_numbered(record: Record) -> bool:
    return record.form == Form.FRAME and record.seq is not None


def _seq(record: bytes) -> int:
    (found,) = scan(record)
    return found.seq or 0
