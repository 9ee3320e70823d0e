"""Tombstones: what stands for evicted frames, so that a loss is counted and the chain still verifies.

A tombstone names a run of sequence numbers without a gap and keeps their digests. It is sent like
any frame and never evicted; only where a spool holds nothing else do the digests go, and the names stay.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from traces.device.frames import Form, Priority, Record, encode, kind_of
from traces.wire import span_bytes

SPAN_NAME = "decision.tombstone"
REASON = "spool full"
MOST_DIGESTS = 1024
"""In one tombstone: receivers bound the bytes of one attribute."""
_PAYLOAD = struct.Struct(">qq")


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Sequence numbers `seq_from` to `seq_to`, both included, evicted at `at_ns` (ns since 1970 UTC).

    `digests` are theirs, 32 bytes each, in order; b"" where these are gone too.
    """

    seq_from: int
    seq_to: int
    digests: bytes
    at_ns: int

    def touches(self, later: Tombstone) -> bool:
        """Whether the later one goes on where this one ends, and both have digests or neither."""
        return self.seq_to + 1 == later.seq_from and bool(self.digests) == bool(later.digests)


def joined(run: Sequence[Tombstone]) -> Tombstone:
    """Tombstones that touch, in order, as one."""
    digests = b"".join(tombstone.digests for tombstone in run)
    return replace(run[0], seq_to=run[-1].seq_to, digests=digests)


def encode_tombstone(tombstone: Tombstone) -> bytes:
    """Its record. It holds no content, so it is never encrypted."""
    payload = _PAYLOAD.pack(tombstone.seq_to, tombstone.at_ns) + tombstone.digests
    kind = kind_of(Form.TOMBSTONE, Priority.IMPORTANT)
    return encode(kind, tombstone.seq_from, b"", payload)


def decode_tombstone(record: Record) -> Tombstone:
    """The inverse of `encode_tombstone`."""
    seq_to, at_ns = _PAYLOAD.unpack_from(record.payload)
    return Tombstone(record.seq or 0, seq_to, record.payload[_PAYLOAD.size :], at_ns)


def tombstone_span(tombstone: Tombstone, chain_id: str) -> bytes:
    """The span that is sent. Its ids follow from chain and range: sent again it is the same span."""
    named = f"{SPAN_NAME} {chain_id} {tombstone.seq_from} {tombstone.seq_to}"
    ids = hashlib.sha256(named.encode() + tombstone.digests).digest()
    at = max(tombstone.at_ns, 1)
    return span_bytes(
        trace_id=ids[:16],
        span_id=ids[16:24],
        name=SPAN_NAME,
        started_unix_nano=at,
        ended_unix_nano=at,
        attributes={
            "decision.chain.id": chain_id,
            "decision.tombstone.seq_from": tombstone.seq_from,
            "decision.tombstone.seq_to": tombstone.seq_to,
            "decision.tombstone.digests": tombstone.digests,
            "decision.tombstone.reason": REASON,
        },
    )


def runs(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges of numbers, both ends included, sorted and joined where they touch.

    >>> runs([(7, 9), (1, 2), (3, 3)])
    [(1, 3), (7, 9)]
    """
    out: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if out and first <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], last))
        else:
            out.append((first, last))
    return out
