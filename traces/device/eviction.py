"""What leaves a full spool, and what stands for it then: a function over records.

The order: telemetry and routine frames, then important ones, then the digests of tombstones. The runs of
evicted sequence numbers stay named whatever happens.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import IntEnum

from traces.device.frames import DIGEST_BYTES, Form, Priority, Record, encode
from traces.device.tombstones import (
    MOST_DIGESTS,
    Tombstone,
    decode_tombstone,
    encode_tombstone,
    joined,
    runs,
)


class Level(IntEnum):
    """How much is let go; each includes those before it."""

    NOTHING = 0
    ROUTINE = 1
    IMPORTANT = 2
    DIGESTS = 3


@dataclass(slots=True)
class Thinned:
    """What is left of some records: encoded ones in order, and what went."""

    kept: list[bytes] = field(default_factory=list)
    lost: list[tuple[int, int]] = field(default_factory=list)
    unnumbered: int = 0


def thin(records: Iterable[Record], level: Level, at_ns: int) -> Thinned:
    """Evict frames up to a level at an instant, nanoseconds since 1970 UTC.

    Tombstones that touch become one, which stands where its first frame stood.
    """
    out = Thinned()
    run: list[Tombstone] = []
    digests, place = 0, 0
    for record in records:
        if record.form == Form.FRAME and _goes(record, level):
            if record.seq is None:
                out.unnumbered += 1
                continue
            out.lost.append((record.seq, record.seq))
            tombstone = Tombstone(record.seq, record.seq, record.digest, at_ns)
        elif record.form == Form.TOMBSTONE:
            tombstone = decode_tombstone(record)
        else:
            out.kept.append(encode(record.kind, record.seq, record.digest, record.payload))
            continue
        if level == Level.DIGESTS:
            tombstone = replace(tombstone, digests=b"")
        digests += len(tombstone.digests)
        if run and run[-1].touches(tombstone) and digests <= MOST_DIGESTS * DIGEST_BYTES:
            run.append(tombstone)
            continue
        if run:
            out.kept[place] = encode_tombstone(joined(run))
        run, digests, place = [tombstone], len(tombstone.digests), len(out.kept)
        out.kept.append(b"")
    if run:
        out.kept[place] = encode_tombstone(joined(run))
    out.lost = runs(out.lost)
    return out


def _goes(record: Record, level: Level) -> bool:
    return level >= Level.IMPORTANT or (
        level == Level.ROUTINE and record.priority < Priority.IMPORTANT
    )
