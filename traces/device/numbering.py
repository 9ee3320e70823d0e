"""Where a device stands in its chain: what a new process continues, and what the next checkpoint owes.

The invariant: no number is used twice in one chain. What cannot be continued for certain is followed by
a new chain, which names the one before.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from traces.chain import (
    CHAIN_ID,
    CHAIN_PREV,
    CHAIN_SEQ,
    ChainHead,
    canonical_attributes,
    span_digest,
)
from traces.conventions import CHECKPOINT_SPAN

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.id_generator import IdGenerator

    from traces.device.frames import Frame
    from traces.device.spool import Spool

_CHAIN, _PREDECESSOR = "chain", "predecessor"


@dataclass(frozen=True, slots=True)
class Position:
    """The head of the chain, the first number that no checkpoint covers, and a chain to be named."""

    head: ChainHead
    uncovered: int = 0
    predecessor: str = ""

    def kept(self) -> dict[str, str]:
        """What the spool keeps of it."""
        return {_CHAIN: self.head.chain_id, _PREDECESSOR: self.predecessor}


def resume(spool: Spool, ids: IdGenerator) -> Position:
    """Where the spool's last frame left the chain; a new chain where that does not fit what was kept."""
    kept, last = spool.recorded(), spool.last
    chain_id, predecessor = str(kept.get(_CHAIN, "")), str(kept.get(_PREDECESSOR, ""))
    if last is None:
        return successor(chain_id, ids)
    head, covered = _head(last)
    if head is None or chain_id not in ("", head.chain_id) or spool.last_chain_id != head.chain_id:
        return successor(spool.last_chain_id or chain_id, ids)
    return Position(head, head.seq if covered else 0, predecessor)


def successor(chain_id: str, ids: IdGenerator) -> Position:
    """A new chain after the one given; the very first one after an empty one."""
    new = uuid.UUID(int=ids.generate_trace_id(), version=4)
    return Position(ChainHead(str(new)), 0, chain_id)


def _head(frame: Frame) -> tuple[ChainHead | None, bool]:
    """The chain up to a frame, and whether that is a checkpoint; None where it contradicts itself."""
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    from traces.otlp import attributes_of

    try:
        span = Span.FromString(frame.span)
        attributes = attributes_of(span.attributes)
        content = canonical_attributes(attributes)
        times = span.start_time_unix_nano, span.end_time_unix_nano
        digest = span_digest(span.trace_id, span.span_id, span.name, *times, content)
        chain_id, seq = attributes[CHAIN_ID], attributes[CHAIN_SEQ]
        before = ChainHead(chain_id, seq - 1, bytes.fromhex(attributes[CHAIN_PREV]))
        if digest != frame.digest or seq != frame.seq or not (chain_id and seq >= 0):
            return None, False
        return before.next(digest), span.name == CHECKPOINT_SPAN
    except Exception:
        return None, False
