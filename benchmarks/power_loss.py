"""What a spool has after the power went: cut or garbled at random behind what an fsync had covered.

fsync is watched from outside the spool; device_faults.py prints the figures.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from traces.device import RecordedClock, Spool, disk
from traces.device.frames import Frame, Priority
from traces.wire import envelope

WINDOW_S = 1.0
ROOMY = 1 << 30
"""The limit of a spool that nothing is to be evicted from, bytes."""
CHANCE = random.Random(7)  # noqa: S311


def power_lost(base: Path, losses: int) -> dict[str, object]:
    """Lose power after a random time, at a random rate: what no fsync covered is cut or garbled."""
    lost = beyond = unnamed = altered = with_holes = 0
    longest = 0.0
    synced: dict[str, int] = {}
    with _watched_fsync(synced) as gate:
        for number in range(losses):
            folder = base / str(number)
            synced.clear()
            appended, died, image = _append_for(folder, CHANCE.uniform(0.1, 2.0), synced, gate)
            with Spool(image, clock=_OtherBoot()) as spool:
                kept = _all_frames(spool)
                named = spool.state.ledger.interruptions
            shutil.rmtree(folder)
            gone = [item for item in appended if item.seq not in kept]
            lost += len(gone)
            altered += sum(kept.get(i.seq, i.digest) != i.digest for i in appended)
            beyond += sum(item.important or died - item.at_s > WINDOW_S for item in gone)
            longest = max([longest, *(died - item.at_s for item in gone)])
            last = max(kept, default=-1)
            holes = {item.seq for item in gone if item.seq < last}
            told = {n for one in named for a, b in one.missing for n in range(a, b + 1)}
            unnamed += not named or named[-1].after_seq != last or told != holes
            with_holes += bool(holes)
            if number % 10 == 9:
                print(f"power loss: {number + 1} of {losses}, {lost:,} lost", file=sys.stderr)
    return {
        "power_frames_in_window": lost,
        "power_longest_window_s": round(longest, 2),
        "power_beyond_window": beyond,
        "power_altered_lost": altered,
        "power_with_holes": with_holes,
        "power_unnamed": unnamed,
    }


@dataclass(frozen=True)
class Appended:
    """A frame whose append returned at `at_s`, monotonic seconds."""

    seq: int
    digest: bytes
    important: bool
    at_s: float


@contextlib.contextmanager
def _watched_fsync(synced: dict[str, int]) -> Iterator[threading.Lock]:
    """Note how many bytes of each file (by its name) an fsync has covered; who holds the lock stops them."""
    real, gate = disk.sync_data, threading.Lock()

    def sync(descriptor: int) -> None:
        with gate:
            size = os.fstat(descriptor).st_size
            real(descriptor)
            synced[Path(f"/proc/self/fd/{descriptor}").readlink().name] = size

    disk.sync_data = sync
    try:
        yield gate
    finally:
        disk.sync_data = real


def _append_for(
    folder: Path, seconds: float, synced: dict[str, int], gate: threading.Lock
) -> tuple[list[Appended], float, Path]:
    """Append for a while until power is lost; returns what was appended, when it was, what is left."""
    out = []
    spool = Spool(folder / "live", limit_bytes=ROOMY)
    spool.begin(envelope({"device.id": "dev"}), "chain")
    until = time.monotonic() + seconds
    pause, share = CHANCE.choice([0.0002, 0.001, 0.01]), CHANCE.choice([0.0, 0.001, 0.01])
    while time.monotonic() < until:
        seq = len(out)
        important = CHANCE.random() < share
        span = CHANCE.randbytes(CHANCE.randrange(200, 2000))
        priority = Priority.IMPORTANT if important else Priority.ROUTINE
        digest = hashlib.sha256(span).digest()
        spool.append(Frame(priority, seq, digest, span))
        out.append(Appended(seq, digest, important, time.monotonic()))
        if pause:
            time.sleep(pause)
    with gate:
        died = time.monotonic()
        image = _power_off(folder / "live", folder / "image", synced)
    spool.close()
    return out, died, image


def _power_off(folder: Path, image: Path, synced: dict[str, int]) -> Path:
    """The folder as power loss may leave it: behind the last fsync anything, or nothing."""
    shutil.copytree(folder, image, ignore=shutil.ignore_patterns("*.tmp"))
    for path in (image / "open").iterdir():
        data, safe = path.read_bytes(), synced.get(path.name, 0)
        if not safe and CHANCE.random() < 0.5:
            path.unlink()
            continue
        at = CHANCE.randint(min(safe, len(data)), len(data))
        rest = len(data) - at
        path.write_bytes(data[:at] + CHANCE.choice([b"", bytes(rest), CHANCE.randbytes(rest)]))
    return image


class _OtherBoot(RecordedClock):
    def __init__(self) -> None:
        super().__init__(10**18, boot_id="after the power came back")


def _all_frames(spool: Spool) -> dict[int, bytes]:
    """Everything in a spool: the digest of the span that is there, by number."""
    out = {}
    while (batch := spool.take(1 << 30, 1 << 30)) is not None:
        for record, span in zip(batch.records, batch.spans, strict=True):
            out[record.seq or 0] = hashlib.sha256(span).digest()
        spool.sealed.acknowledge(batch)
    return out
