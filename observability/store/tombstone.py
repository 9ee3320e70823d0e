"""What a tombstone span says of its chain: the numbers that the device dropped, and their digests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TOMBSTONE = "decision.tombstone"
_DIGEST = 32


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A range that the device dropped, and the digests of its spans, 32 bytes each; empty if gone too."""

    chain_id: str
    seq_from: int
    seq_to: int
    digests: bytes
    reason: str


def read_tombstone(attributes: Mapping[str, Any]) -> Tombstone | None:
    """The tombstone that these span attributes state; None where they state none."""
    chain_id = attributes.get("decision.chain.id")
    seq_from = attributes.get("decision.tombstone.seq_from")
    seq_to = attributes.get("decision.tombstone.seq_to")
    if not isinstance(chain_id, str) or type(seq_from) is not int or type(seq_to) is not int:
        return None
    if not 0 <= seq_from <= seq_to:
        return None
    digests = attributes.get("decision.tombstone.digests")
    kept = digests if isinstance(digests, bytes) else b""
    whole = len(kept) == _DIGEST * (seq_to - seq_from + 1)
    reason = attributes.get("decision.tombstone.reason")
    return Tombstone(
        chain_id,
        seq_from,
        seq_to,
        kept if whole else b"",
        reason if isinstance(reason, str) else "",
    )
