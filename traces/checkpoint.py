"""A checkpoint: a span that states the head of a chain, and the signature by which it can be held to it.

Owns what exactly is signed. Ordinary attributes, so that any backend carries them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from traces.chain import ChainHead, canonical_attributes
from traces.conventions import registered

SEQ_FROM = registered("decision.checkpoint.seq_from")
SEQ_TO = registered("decision.checkpoint.seq_to")
HEAD = registered("decision.checkpoint.head")
LOST = registered("decision.checkpoint.lost")
PREDECESSOR = registered("decision.checkpoint.predecessor")
KEY_ID = registered("decision.checkpoint.key_id")
PUBLIC_KEY = registered("decision.checkpoint.public_key")
NEXT_PUBLIC_KEY = registered("decision.checkpoint.next_public_key")
SIGNATURE = registered("decision.checkpoint.signature")

UNSIGNED = "no signature"
"""The fault of a checkpoint of a device without a key."""

_DIGEST = 32
_DOMAIN = b"checkpoint-v1"
_PREFIX = "decision.checkpoint."


def checkpoint_attributes(
    head: ChainHead,
    seq_from: int,
    *,
    lost: Sequence[tuple[int, int]] = (),
    predecessor: str = "",
) -> dict[str, Any]:
    """The attributes of an unsigned checkpoint of a chain's spans from `seq_from` up to its head.

    `lost` are ranges (both ends included) that the device evicted.
    """
    out: dict[str, Any] = {SEQ_FROM: seq_from, SEQ_TO: head.seq, HEAD: head.link.hex()}
    if lost:
        out[LOST] = [end for both in lost for end in both]
    if predecessor:
        out[PREDECESSOR] = predecessor
    return out


def signed(
    attributes: Mapping[str, Any],
    chain_id: str,
    public_key: bytes,
    sign: Callable[[bytes], bytes],
    next_public_key: bytes = b"",
) -> dict[str, Any]:
    """The attributes with keys (32 bytes each) and the signature that `sign` makes (64 bytes)."""
    out = {**attributes, KEY_ID: key_id(public_key), PUBLIC_KEY: public_key.hex()}
    if next_public_key:
        out[NEXT_PUBLIC_KEY] = next_public_key.hex()
    out[SIGNATURE] = sign(signed_message(out, chain_id)).hex()
    return out


def signed_message(attributes: Mapping[str, Any], chain_id: str) -> bytes:
    """What is signed: domain, chain, number, head, and every `decision.checkpoint.*` but the signature."""
    content = {
        name: value
        for name, value in attributes.items()
        if name.startswith(_PREFIX) and name != SIGNATURE
    }
    seq_to = attributes[SEQ_TO].to_bytes(8, "big")
    head = bytes.fromhex(attributes[HEAD])
    return b"".join((_DOMAIN, chain_id.encode(), seq_to, head, canonical_attributes(content)))


def key_id(public_key: bytes) -> str:
    """The name of a public key (32 bytes): its SHA-256 in hex."""
    return hashlib.sha256(public_key).hexdigest()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint states, its signature tried: `fault` says why it does not hold, empty if it does.

    `head` (32 bytes) is the chain's link at `seq_to`; `lost` are ranges, both ends included; keys are
    named by `key_id`.
    """

    seq_from: int
    seq_to: int
    head: bytes
    lost: tuple[tuple[int, int], ...] = ()
    predecessor: str = ""
    key_id: str = ""
    next_key_id: str = ""
    fault: str = UNSIGNED


def read_checkpoint(attributes: Mapping[str, Any], chain_id: str) -> Checkpoint | None:
    """The checkpoint that these attributes state; None where they state none. Never raises."""
    try:
        seq_from, seq_to = _number(attributes[SEQ_FROM]), _number(attributes[SEQ_TO])
        head = bytes.fromhex(attributes[HEAD])
        ends = [_number(end) for end in attributes.get(LOST, ())]
        following = bytes.fromhex(attributes.get(NEXT_PUBLIC_KEY, ""))
        predecessor, named = attributes.get(PREDECESSOR, ""), attributes.get(KEY_ID, "")
    except (KeyError, TypeError, ValueError):
        return None
    if len(head) != _DIGEST or len(ends) % 2 or not isinstance(named, str):
        return None
    return Checkpoint(
        seq_from,
        seq_to,
        head,
        tuple(zip(ends[::2], ends[1::2], strict=True)),
        predecessor if isinstance(predecessor, str) else "",
        named,
        key_id(following) if following else "",
        _fault(attributes, chain_id),
    )


def _fault(attributes: Mapping[str, Any], chain_id: str) -> str:
    if SIGNATURE not in attributes:
        return UNSIGNED
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        public = bytes.fromhex(attributes[PUBLIC_KEY])
        if key_id(public) != attributes[KEY_ID]:
            return "a key id that is not its public key's"
        message = signed_message(attributes, chain_id)
        signature = bytes.fromhex(attributes[SIGNATURE])
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, KeyError, TypeError, ValueError):
        return "a signature that does not hold"
    return ""


def _number(value: Any) -> int:
    """A sequence number; TypeError where it is none."""
    if type(value) is not int or not 0 <= value < 2**63:
        raise TypeError(value)
    return value
