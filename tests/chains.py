"""A device that numbers, chains and signs what it sends, written out plainly for tests."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.spans import decision, decision_span, outcome_span, span
from traces.chain import canonical_attributes, span_digest
from traces.content import read_content
from traces.decision import Decision
from traces.otlp import key_values


def key(seed: int = 1) -> Ed25519PrivateKey:
    """A private key that is the same each time."""
    return Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)


def key_id(private: Ed25519PrivateKey) -> str:
    return hashlib.sha256(private.public_key().public_bytes_raw()).hexdigest()


def digest(one: Span) -> bytes:
    times = one.start_time_unix_nano, one.end_time_unix_nano
    content = read_content(one.attributes).canonical
    return span_digest(one.trace_id, one.span_id, one.name, *times, content)


class Chain:
    """Numbers spans from 0; `sent` are all of them in order."""

    def __init__(self, chain_id: str = "c-1", private: Ed25519PrivateKey | None = None) -> None:
        self.chain_id = chain_id
        self.key = private or key()
        self.head = bytes(32)
        self.sent: list[Span] = []
        self.digests: list[bytes] = []
        self._covered = 0

    def decide(self, value: Decision | None = None, **fields: Any) -> Span:
        """A numbered decision."""
        return self.number(decision_span(value or decision(inputs={"t": 71.5}), **fields))

    def observe(self, about: Span) -> Span:
        """A numbered outcome."""
        return self.number(outcome_span(about))

    def run(self, count: int) -> list[Span]:
        """That many decisions."""
        return [self.decide() for _ in range(count)]

    def number(self, one: Span) -> Span:
        """The span with its place in the chain."""
        place = {
            "decision.chain.id": self.chain_id,
            "decision.chain.seq": len(self.sent),
            "decision.chain.prev": self.head.hex(),
        }
        one.attributes.extend(key_values(place))
        seq = len(self.sent).to_bytes(8, "big")
        self.digests.append(digest(one))
        message = b"chain-v1" + self.chain_id.encode() + seq + self.head + self.digests[-1]
        self.head = hashlib.sha256(message).digest()
        self.sent.append(one)
        return one

    def checkpoint(
        self, *, following: Ed25519PrivateKey | None = None, forge: bool = False, **more: Any
    ) -> Span:
        """A numbered checkpoint over what came since the last; `following` hands on to another key."""
        seq_to = len(self.sent) - 1
        public = self.key.public_key().public_bytes_raw()
        said: dict[str, Any] = {
            "seq_from": self._covered,
            "seq_to": seq_to,
            "head": self.head.hex(),
            "key_id": key_id(self.key),
            "public_key": public.hex(),
            **more,
        }
        if following:
            said["next_public_key"] = following.public_key().public_bytes_raw().hex()
        attributes = {f"decision.checkpoint.{name}": value for name, value in said.items()}
        message = b"checkpoint-v1" + self.chain_id.encode() + seq_to.to_bytes(8, "big") + self.head
        signature = (key(99) if forge else self.key).sign(
            message + canonical_attributes(attributes)
        )
        attributes["decision.checkpoint.signature"] = signature.hex()
        self._covered = len(self.sent) + 1
        self.key = following or self.key
        return self.number(span(attributes, "decision.checkpoint"))

    def tombstone(self, seq_from: int, seq_to: int, *, digests: bool = True) -> Span:
        """What stands for numbers that the device dropped; it has no number itself."""
        kept = b"".join(self.digests[seq_from : seq_to + 1]) if digests else b""
        attributes = {
            "decision.chain.id": self.chain_id,
            "decision.tombstone.seq_from": seq_from,
            "decision.tombstone.seq_to": seq_to,
            "decision.tombstone.digests": kept,
            "decision.tombstone.reason": "spool full",
        }
        return span(attributes, "decision.tombstone")

    def forged(self, seq: int, **changes: Any) -> Span:
        """Another decision that claims the place of the one with this number."""
        place = {pair.key: pair for pair in self.sent[seq].attributes}
        other = decision_span(replace(decision(inputs={"t": 1.0}), **changes))
        names = ("decision.chain.id", "decision.chain.seq", "decision.chain.prev")
        other.attributes.extend(place[name] for name in names)
        return other
