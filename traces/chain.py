"""The canonical digest of a span's content: equal for equal content, however it was encoded.

Intermediaries re-encode protobuf and JSON, so the digest is taken of values, never of wire bytes.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Mapping
from typing import Any

_DOMAIN = b"decision-digest-v1"
_CHAIN_PREFIX = "decision.chain."
_EXACT = 2**53
_NAN = b"d" + struct.pack(">d", math.nan)


def span_digest(
    trace_id: bytes,
    span_id: bytes,
    name: str,
    start_unix_nano: int,
    end_unix_nano: int,
    attributes: Mapping[str, Any],
) -> bytes:
    """SHA-256 (32 bytes) over ids, name, times and sorted, type-tagged attributes.

    `decision.chain.*` is left out. Integers that a double holds exactly count as doubles, and null
    counts as NaN, since exporters in other languages write one for the other.
    """
    parts = [
        _DOMAIN,
        trace_id,
        span_id,
        _text(name),
        struct.pack(">QQ", start_unix_nano, end_unix_nano),
    ]
    for key in sorted(attributes):
        if not key.startswith(_CHAIN_PREFIX):
            parts += (_text(key), canonical(attributes[key]))
    return hashlib.sha256(b"".join(parts)).digest()


def canonical(value: Any) -> bytes:
    """One attribute value as type-tagged, length-prefixed bytes.

    >>> canonical(1) == canonical(1.0), canonical("1") == canonical(1)
    (True, False)
    """
    match value:
        case bool():
            return b"b\x01" if value else b"b\x00"
        case str():
            return _text(value)
        case int() if abs(value) > _EXACT:
            return b"i" + struct.pack(">q", value)
        case int() | float():
            return _NAN if value != value else b"d" + struct.pack(">d", value)
        case None:
            return _NAN
        case bytes():
            return b"y" + struct.pack(">I", len(value)) + value
        case list() | tuple():
            return b"a" + struct.pack(">I", len(value)) + b"".join(map(canonical, value))
        case _:
            pairs = b"".join(_text(key) + canonical(value[key]) for key in sorted(value))
            return b"m" + struct.pack(">I", len(value)) + pairs


def _text(text: str) -> bytes:
    data = text.encode()
    return b"s" + struct.pack(">I", len(data)) + data
