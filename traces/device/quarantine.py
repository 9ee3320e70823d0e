"""The quarantine of a spool: frames that the server refuses for good, and files that are damaged.

Each file is a segment of one frame with the reason in its header, so that it can be moved to `sealed/`
and sent again. The folder is bounded; the oldest files go first, and are counted.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from traces.device import disk, segments
from traces.device.cipher import Cipher
from traces.device.frames import Form, Record, encode

DAMAGED = ".damaged"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One frame that was refused: its number in its chain (None: in no chain) and the reason."""

    chain_id: str
    seq: int | None
    reason: str
    file: str


class Quarantine:
    """A folder of at most `limit_bytes`."""

    def __init__(self, folder: Path, limit_bytes: int, cipher: Cipher | None) -> None:
        self._folder, self._limit, self._cipher = folder, limit_bytes, cipher

    def put(self, header: segments.Header, record: Record, reason: str) -> int:
        """Keep a frame, durably; returns how many files had to go for it. Raises OSError."""
        about = replace(header, reason=reason)
        raw = encode(record.kind, record.seq, record.digest, record.payload)
        name = f"{header.opened.wall_ns}-{header.counter}-{header.generation}-{record.start}"
        path = self._free(name, segments.SUFFIX)
        disk.replace(path, segments.contents(about, [raw], self._cipher))
        return self._bound()

    def put_aside(self, path: Path) -> int:
        """Move a damaged file here; returns how many files had to go for it. Raises OSError."""
        path.replace(self._free(path.name, DAMAGED))
        return self._bound()

    def _free(self, name: str, suffix: str) -> Path:
        """A path that nothing has: counters begin anew where a spool was emptied."""
        names = (f"{name}{'-' * bool(n)}{n or ''}{suffix}" for n in itertools.count())
        return next(path for each in names if not (path := self._folder / each).exists())

    def _bound(self) -> int:
        files = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        sizes = [path.stat().st_size for path in files]
        dropped = 0
        while sum(sizes[dropped:]) > self._limit:
            files[dropped].unlink()
            dropped += 1
        return dropped


def quarantined(folder: Path) -> Iterator[Quarantined]:
    """What is in a quarantine folder; needs no key."""
    for path in sorted(folder.glob(f"*{segments.SUFFIX}")):
        records = segments.read(path)
        if records:
            header = segments.peek(records[0])
            for record in records:
                if record.form == Form.FRAME:
                    yield Quarantined(header.chain_id, record.seq, header.reason, path.name)
