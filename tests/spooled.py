"""Frames as a recorder hands them to a spool, and what a spool has to say when it is emptied."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.spans import NOON, decision
from traces.codec import encode_decision
from traces.device.frames import Frame, Priority
from traces.device.sealed import Batch
from traces.device.spool import Spool
from traces.otlp import attributes_of
from traces.wire import envelope, span_bytes

ENVELOPE = envelope({"device.id": "pump-07", "service.name": "pump"})
CHAIN = "6a2f41a3-c54c-4e7b-8f5a-d9b1f5c8a001"


def digest(seq: int) -> bytes:
    return hashlib.sha256(b"%d" % seq).digest()


def span_id(seq: int) -> str:
    """The decision id of a frame's span."""
    return f"{seq + 1:032x}-{seq + 1:016x}"


def frame(seq: int, priority: Priority = Priority.ROUTINE, padding: int = 0) -> Frame:
    """A frame whose span is a decision that says its own number."""
    value = decision(inputs={"number": float(seq)}, context={"padding": "x" * padding})
    span = span_bytes(
        trace_id=(seq + 1).to_bytes(16, "big"),
        span_id=(seq + 1).to_bytes(8, "big"),
        name="decision pump.stop",
        started_unix_nano=NOON + seq,
        ended_unix_nano=NOON + seq,
        attributes=encode_decision(value),
    )
    return Frame(priority, seq, digest(seq), span)


def small(seq: int, priority: Priority = Priority.ROUTINE, size: int = 200) -> Frame:
    """A frame whose span is only its number and filling."""
    return Frame(priority, seq, digest(seq), seq.to_bytes(8, "big").ljust(size, b"."))


@dataclass
class Arrived:
    """What a server has of spans made by `small`: frames by number, tombstoned ranges with digests.

    A repeat has to be the same; it is dropped.
    """

    frames: dict[int, bytes] = field(default_factory=dict)
    tombstones: dict[tuple[int, int], bytes] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)

    def take(self, batch: Batch) -> None:
        for record, span in zip(batch.records, batch.spans, strict=True):
            if record.digest:
                assert record.seq is not None
                assert self.frames.setdefault(record.seq, span) == span
                assert record.digest == digest(record.seq)
                self.order.append(record.seq)
            else:
                self._bury(span)

    @property
    def buried(self) -> set[int]:
        return {n for first, last in self.tombstones for n in range(first, last + 1)}

    def _bury(self, span: bytes) -> None:
        parsed = Span.FromString(span)
        assert parsed.name == "decision.tombstone"
        said = attributes_of(parsed.attributes)
        first, last = said["decision.tombstone.seq_from"], said["decision.tombstone.seq_to"]
        digests = said["decision.tombstone.digests"]
        if digests:
            assert digests == b"".join(map(digest, range(first, last + 1)))
        self.tombstones[first, last] = digests


def empty(spool: Spool, into: Arrived, max_bytes: int = 1 << 30, most: int = 1 << 30) -> None:
    """Take everything out of a spool, as a sender does whose server takes everything."""
    spool.seal()
    while (batch := spool.take(max_bytes, most)) is not None:
        into.take(batch)
        spool.sealed.acknowledge(batch)


def bytes_on_disk(folder: Path) -> int:
    """Of all segments of a spool."""
    names = (path for part in ("open", "sealed") for path in (folder / part).glob("*.seg"))
    return sum(path.stat().st_size for path in names)
