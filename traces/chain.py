"""The canonical digest of a span's content, equal for equal content, and the chain of such digests.

Intermediaries re-encode protobuf and JSON, so the digest is taken of values, never of wire bytes. Each
link of a chain is over its number, the link before and a digest: none can be left out or altered.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Mapping, Sequence, Sized
from typing import Any, NamedTuple

from traces.conventions import registered

DOMAIN = b"decision-digest-v1"
CHAIN_DOMAIN = b"chain-v1"
_CHAIN_PREFIX = "decision.chain."
CHAIN_ID = registered("decision.chain.id")
CHAIN_SEQ = registered("decision.chain.seq")
CHAIN_PREV = registered("decision.chain.prev")
_EXACT = 2**53
_NUMBERS = {float, int, type(None)}
_NAN = b"d" + struct.pack(">d", math.nan)


def span_digest(
    trace_id: bytes,
    span_id: bytes,
    name: str,
    start_unix_nano: int,
    end_unix_nano: int,
    content: bytes,
) -> bytes:
    """SHA-256 (32 bytes) over ids, name, times and the attributes in canonical form."""
    times = struct.pack(">QQ", start_unix_nano, end_unix_nano)
    return hashlib.sha256(DOMAIN + trace_id + span_id + _text(name) + times + content).digest()


class ChainHead(NamedTuple):
    """A chain up to a span: that span's number and the link there (32 bytes).

    >>> first = ChainHead("c").next(bytes(32))
    >>> first.seq, first.link == ChainHead("c").next(bytes(32)).link
    (0, True)
    """

    chain_id: str
    seq: int = -1
    link: bytes = bytes(32)

    def next(self, digest: bytes) -> ChainHead:
        """The chain with one more span, whose canonical digest is given."""
        seq = self.seq + 1
        data = b"".join(
            (CHAIN_DOMAIN, self.chain_id.encode(), seq.to_bytes(8, "big"), self.link, digest)
        )
        return ChainHead(self.chain_id, seq, hashlib.sha256(data).digest())


def canonical_attributes(attributes: Mapping[str, Any]) -> bytes:
    """Attributes sorted and type-tagged, without `decision.chain.*`.

    Integers that a double holds exactly, and all in an array of numbers, count as doubles, and null
    counts as NaN, since exporters in other languages write one for the other; a zero has no sign.
    """
    return joined({key: canonical_attribute(key, value) for key, value in attributes.items()})


def canonical_attribute(key: str, value: Any) -> bytes:
    """One attribute in canonical form."""
    return _text(key) + canonical(value)


def joined(parts: Mapping[str, bytes]) -> bytes:
    """Canonical attributes by name as those of a span."""
    return b"".join([parts[key] for key in filter(is_content, sorted(parts))])


def is_content(key: str) -> bool:
    """Whether an attribute counts: the chain says where a span stands, and not what happened."""
    return not key.startswith(_CHAIN_PREFIX)


def canonical(value: Any) -> bytes:
    """One attribute value as type-tagged, length-prefixed bytes.

    >>> canonical(1) == canonical(1.0), canonical("1") == canonical(1)
    (True, False)
    >>> canonical(-0.0) == canonical(0.0)
    True
    >>> canonical([1, None]) == canonical([1.0, math.nan])
    True
    """
    match value:
        case bool():
            return b"b\x01" if value else b"b\x00"
        case str():
            return _text(value)
        case int() if abs(value) > _EXACT:
            return b"i" + struct.pack(">q", value)
        case int() | float():
            return _NAN if value != value else b"d" + struct.pack(">d", value + 0.0)
        case None:
            return _NAN
        case bytes():
            return b"y" + _length(value) + value
        case list() | tuple():
            types = set(map(type, value))
            if types <= _NUMBERS and types:
                return b"n" + _length(value) + _packed(value)
            if types == {str}:
                return b"a" + _length(value) + b"".join(map(_text, value))
            return b"a" + _length(value) + b"".join(map(canonical, value))
        case _:
            pairs = b"".join(_text(key) + canonical(value[key]) for key in sorted(value))
            return b"m" + _length(value) + pairs


def _packed(values: Sequence[float | None]) -> bytes:
    """Numbers as big-endian doubles, every NaN and null of one pattern, and every zero."""
    numbers = [math.nan if v is None or v != v else v + 0.0 for v in values]
    return struct.pack(f">{len(numbers)}d", *numbers)


def _text(text: str) -> bytes:
    data = text.encode()
    return b"s" + _length(data) + data


def _length(value: Sized) -> bytes:
    return len(value).to_bytes(4, "big")
