"""What resource and scope say, remembered by their bytes: a device sends the same ones again and again."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from observability.collect.decode import checked_resource
from observability.collect.limits import Limits
from observability.store.records import Row
from traces.errors import InvalidPayload, InvalidSpan
from traces.otlp import decode_protobuf


@dataclass(frozen=True, slots=True)
class Envelope:
    """The row of `resources`; None where the resource is refused, or names no device."""

    row: Row | None


@functools.lru_cache(maxsize=8192)
def envelope(shared: bytes, scope: bytes, limits: Limits) -> Envelope | None:
    """The envelope of a ResourceSpans and a ScopeSpans without their children; None where it cannot be read.

    It is read as part of a whole body, so that it is refused exactly where the library refuses that.
    """
    scope_spans = b"\x12" + _length(len(scope)) + scope
    resource_spans = shared + scope_spans
    try:
        (group,) = decode_protobuf(b"\x0a" + _length(len(resource_spans)) + resource_spans)
        row = checked_resource(group.envelope, limits)
    except InvalidPayload:
        return None
    except InvalidSpan:
        return Envelope(None)
    return Envelope(row if row["device_id"] else None)


def _length(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
