"""A span's attributes read once: as values, and in the canonical form that its digest covers.

Most attributes of a fleet's spans are the same bytes again and again (names, versions, limits), so what
they say is remembered, within a bound.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from traces.chain import canonical_attribute, joined
from traces.otlp import value_of

_REMEMBERED_BYTES = 2048
_REMEMBERED = 20_000
_remembered: dict[bytes, tuple[str, Any, bytes]] = {}


@dataclass(frozen=True, slots=True)
class Content:
    """Attribute values by name, of a name given twice the last, and their canonical bytes.

    The values are shared between spans: they are to be read only. `measured` are those that were not
    remembered; what is remembered is short (at most 2 KiB) and flat.
    """

    values: dict[str, Any]
    measured: dict[str, Any]
    canonical: bytes


def read_content(pairs: Iterable[KeyValue]) -> Content:
    """Read the attributes of a span."""
    values: dict[str, Any] = {}
    measured: dict[str, Any] = {}
    parts: dict[str, bytes] = {}
    for pair in pairs:
        wire = pair.SerializeToString()
        known = _remembered.get(wire)
        key, value, part = known or _read(pair, wire)
        values[key] = value
        parts[key] = part
        if known is None:
            measured[key] = value
    return Content(values, measured, joined(parts))


def _read(pair: KeyValue, wire: bytes) -> tuple[str, Any, bytes]:
    value = value_of(pair.value)
    read = (pair.key, value, canonical_attribute(pair.key, value))
    if len(wire) <= _REMEMBERED_BYTES and _recurs(value):
        if len(_remembered) >= _REMEMBERED:
            _remembered.clear()
        _remembered[wire] = read
    return read


def _recurs(value: Any) -> bool:
    """Texts come again; measured numbers hardly ever do."""
    return isinstance(value, str) or (isinstance(value, list) and set(map(type, value)) == {str})
