"""OTLP bodies as groups of spans, and attribute values as Python values.

The protobuf messages of opentelemetry-proto are the span as this product passes it around. The JSON
form is otlp_json.py's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, TracesData

from traces.errors import InvalidPayload


@dataclass(frozen=True, slots=True)
class UnreadSpan:
    """A span of a JSON body that is no span: its JSON text and the reason."""

    raw: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class SpanGroup:
    """Spans that share resource and scope; `envelope` is their ResourceSpans without the spans."""

    envelope: ResourceSpans
    spans: list[Span]
    unread: list[UnreadSpan]


def decode_protobuf(body: bytes) -> list[SpanGroup]:
    """The groups of an ExportTraceServiceRequest or TracesData. Raises InvalidPayload."""
    try:
        data = TracesData.FromString(body)
    except DecodeError as error:
        raise InvalidPayload(
            f"{len(body)} bytes that are no protobuf message", "an OTLP trace request"
        ) from error
    return [
        SpanGroup(bare_envelope(resource_spans, scope_spans), list(scope_spans.spans), [])
        for resource_spans in data.resource_spans
        for scope_spans in resource_spans.scope_spans
    ]


def attributes_of(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """Attributes as Python values by name; of a name given twice the last holds."""
    return {pair.key: value_of(pair.value) for pair in pairs}


def value_of(value: AnyValue) -> Any:
    """One attribute value as str, bool, int, float, bytes, list, dict, or None for an empty one."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        items = value.array_value.values
        kinds = {item.WhichOneof("value") for item in items}
        if kinds == {"double_value"}:
            return [item.double_value for item in items]
        if kinds == {"string_value"}:
            return [item.string_value for item in items]
        return [value_of(item) for item in items]
    if kind == "kvlist_value":
        return attributes_of(value.kvlist_value.values)
    return getattr(value, kind)


def key_values(attributes: Mapping[str, Any]) -> list[KeyValue]:
    """The inverse of `attributes_of`."""
    return [KeyValue(key=name, value=any_value(value)) for name, value in attributes.items()]


def any_value(value: Any) -> AnyValue:
    """The inverse of `value_of`. Raises TypeError for what OTLP cannot carry."""
    out = AnyValue()
    match value:
        case None:
            pass
        case bool():
            out.bool_value = value
        case str():
            out.string_value = value
        case int():
            out.int_value = value
        case float():
            out.double_value = value
        case bytes():
            out.bytes_value = value
        case list() | tuple():
            out.array_value.values.extend(any_value(item) for item in value)
            out.array_value.SetInParent()
        case dict():
            out.kvlist_value.values.extend(key_values(value))
            out.kvlist_value.SetInParent()
        case _:
            raise TypeError(f"no OTLP value for {type(value).__name__}")
    return out


def bare_envelope(resource_spans: ResourceSpans, scope_spans: ScopeSpans) -> ResourceSpans:
    """The ResourceSpans without spans, attributes sorted, so that equal ones have equal bytes."""
    envelope = ResourceSpans(resource=resource_spans.resource, schema_url=resource_spans.schema_url)
    scope = envelope.scope_spans.add(scope=scope_spans.scope, schema_url=scope_spans.schema_url)
    envelope.resource.attributes.sort(key=lambda pair: pair.key)
    scope.scope.attributes.sort(key=lambda pair: pair.key)
    return envelope
