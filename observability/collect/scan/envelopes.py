"""What resource and scope say, remembered by their bytes: a device sends the same ones again and again."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from observability.collect.decode import checked_resource
from observability.collect.limits import Limits
from observability.store.records import Row
from traces.errors import InvalidSpan
from traces.otlp import decode_protobuf


@dataclass(frozen=True, slots=True)
class Envelope:
    """A ResourceSpans without spans, and its row; None where it is refused, or names no device."""

    message: ResourceSpans
    row: Row | None


@functools.lru_cache(maxsize=8192)
def envelope(shared: bytes, scope: bytes, limits: Limits) -> Envelope:
    """The envelope of a ResourceSpans and a ScopeSpans without their children.

    It is read as part of a whole body, so that it is refused exactly where the library refuses that.
    Raises InvalidPayload.
    """
    (group,) = decode_protobuf(nested(0x0A, shared + nested(0x12, scope)))
    try:
        row = checked_resource(group.envelope, limits)
    except InvalidSpan:
        return Envelope(group.envelope, None)
    return Envelope(group.envelope, row if row["device_id"] else None)


def nested(tag: int, content: bytes) -> bytes:
    r"""A length-delimited field with this one-byte tag.

    >>> nested(0x0A, b"hi")
    b'\n\x02hi'
    """
    length, head = len(content), bytearray([tag])
    while length > 127:
        head.append(length & 127 | 128)
        length >>= 7
    head.append(length)
    return bytes(head) + content
