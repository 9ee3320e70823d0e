"""What checkpoint and tombstone spans say of their chain, and whether a checkpoint's signature holds.

Nothing here raises for what a device sent: a span that says nothing usable is None, a signature that
does not hold is a reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from observability.store.ranges import Ranges, joined
from traces.chain import canonical_attributes

CHECKPOINT = "decision.checkpoint"
TOMBSTONE = "decision.tombstone"
_DOMAIN = b"checkpoint-v1"
_PREFIX = "decision.checkpoint."
_SIGNATURE = _PREFIX + "signature"
_DIGEST = 32
_SIGNED_BYTES = 64


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What one says; `head` is the chain's after `seq_to`, keys are named by their SHA-256 in hex.

    `fault` is why its signature does not hold, empty where it does. `lost` are the ranges that it
    declares lost; `predecessor` is the chain that this one goes on from after a loss of state.
    """

    seq_from: int
    seq_to: int
    head: bytes
    key_id: str
    next_key_id: str
    lost: Ranges
    predecessor: str
    fault: str


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A range that the device dropped, and the digests of its spans, 32 bytes each; empty if gone too."""

    chain_id: str
    seq_from: int
    seq_to: int
    digests: bytes
    reason: str


def read_checkpoint(attributes: Mapping[str, Any], chain_id: str) -> Checkpoint | None:
    """The checkpoint that these span attributes state, its signature tried; None where they state none."""
    said = {
        name.removeprefix(_PREFIX): value
        for name, value in attributes.items()
        if name.startswith(_PREFIX)
    }
    seq_from, seq_to, head = said.get("seq_from"), said.get("seq_to"), _bytes(said.get("head"))
    if type(seq_from) is not int or type(seq_to) is not int or len(head) != _DIGEST:
        return None
    if not 0 <= seq_to < 2**63:
        return None
    public = _bytes(said.get("public_key"))
    following = _bytes(said.get("next_public_key"))
    signed = {n: v for n, v in attributes.items() if n.startswith(_PREFIX) and n != _SIGNATURE}
    message = b"".join(
        (_DOMAIN, chain_id.encode(), seq_to.to_bytes(8, "big"), head, canonical_attributes(signed))
    )
    return Checkpoint(
        seq_from=seq_from,
        seq_to=seq_to,
        head=head,
        key_id=_text(said.get("key_id")),
        next_key_id=hashlib.sha256(following).hexdigest() if following else "",
        lost=_ranges(said.get("lost")),
        predecessor=_text(said.get("predecessor")),
        fault=_fault(said, public, message),
    )


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
    reason = _text(attributes.get("decision.tombstone.reason"))
    return Tombstone(chain_id, seq_from, seq_to, kept if whole else b"", reason)


def _fault(said: Mapping[str, Any], public: bytes, message: bytes) -> str:
    """Why the signature does not hold; empty where it does."""
    if len(public) != _DIGEST:
        return "no public key of 32 bytes"
    if hashlib.sha256(public).hexdigest() != said.get("key_id"):
        return "a key id that is not its public key's"
    signature = _bytes(said.get("signature"))
    if len(signature) != _SIGNED_BYTES:
        return "no signature of 64 bytes"
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return "a signature that does not fit its content"
    return ""


def _ranges(value: Any) -> Ranges:
    """`from, to, from, to, ...`; nothing where it is anything else."""
    if not isinstance(value, list) or any(type(number) is not int for number in value):
        return ()
    pairs = list(zip(value[::2], value[1::2], strict=False))
    return joined(pair for pair in pairs if 0 <= pair[0] <= pair[1])


def _bytes(value: Any) -> bytes:
    try:
        return bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        return b""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
