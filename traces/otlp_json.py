"""OTLP's JSON form of a trace.

Read leniently, as exporters write it: enums as names or numbers, integers as text or number, null for NaN;
unknown fields are ignored. Written strictly.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from traces.errors import InvalidPayload
from traces.otlp import SpanGroup, UnreadSpan, any_value, bare_envelope, value_of

_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_UNREADABLE = (ValueError, TypeError, AttributeError, KeyError, OverflowError)


def decode_json(body: bytes | str) -> list[SpanGroup]:
    """The groups of the same message in OTLP's JSON form. Raises InvalidPayload."""
    try:
        data = json.loads(body)
        groups = []
        for resource_spans in _list(data, "resourceSpans"):
            for scope_spans in _list(resource_spans, "scopeSpans"):
                envelope = _envelope_from_json(resource_spans, scope_spans)
                spans: list[Span] = []
                unread: list[UnreadSpan] = []
                for item in _list(scope_spans, "spans"):
                    try:
                        spans.append(_span_from_json(item))
                    except _UNREADABLE as error:
                        raw = json.dumps(item).encode()
                        unread.append(UnreadSpan(raw, f"found a span that cannot be read: {error}"))
                groups.append(SpanGroup(envelope, spans, unread))
    except (*_UNREADABLE, RecursionError) as error:
        raise InvalidPayload(
            f"a body that is no OTLP JSON: {error}", '{"resourceSpans": [...]}'
        ) from error
    return groups


def encode_json(groups: Iterable[tuple[ResourceSpans, Iterable[Span]]]) -> str:
    """One TracesData in OTLP's JSON form, on one line, of envelopes and their spans."""
    resource_spans = []
    for envelope, spans in groups:
        scope = envelope.scope_spans[0] if envelope.scope_spans else ScopeSpans()
        scope_spans = _present(
            scope=_present(
                name=scope.scope.name,
                version=scope.scope.version,
                attributes=_attributes_to_json(scope.scope.attributes),
            ),
            spans=[_span_to_json(span) for span in spans],
            schemaUrl=scope.schema_url,
        )
        resource_spans.append(
            _present(
                resource=_present(attributes=_attributes_to_json(envelope.resource.attributes)),
                scopeSpans=[scope_spans],
                schemaUrl=envelope.schema_url,
            )
        )
    return json.dumps({"resourceSpans": resource_spans}, ensure_ascii=False, separators=(",", ":"))


def _envelope_from_json(
    resource_spans: dict[str, Any], scope_spans: dict[str, Any]
) -> ResourceSpans:
    resource = resource_spans.get("resource") or {}
    scope = scope_spans.get("scope") or {}
    return bare_envelope(
        ResourceSpans(
            resource=Resource(attributes=_attributes_from_json(resource)),
            schema_url=resource_spans.get("schemaUrl") or "",
        ),
        ScopeSpans(
            scope=InstrumentationScope(
                name=scope.get("name") or "",
                version=scope.get("version") or "",
                attributes=_attributes_from_json(scope),
            ),
            schema_url=scope_spans.get("schemaUrl") or "",
        ),
    )


def _span_from_json(item: dict[str, Any]) -> Span:
    status = item.get("status") or {}
    return Span(
        trace_id=bytes.fromhex(item.get("traceId") or ""),
        span_id=bytes.fromhex(item.get("spanId") or ""),
        parent_span_id=bytes.fromhex(item.get("parentSpanId") or ""),
        trace_state=item.get("traceState") or "",
        flags=int(item.get("flags") or 0),
        name=item.get("name") or "",
        kind=_enum(item.get("kind"), Span.SpanKind.Value),  # pyright: ignore[reportArgumentType]
        start_time_unix_nano=int(item.get("startTimeUnixNano") or 0),
        end_time_unix_nano=int(item.get("endTimeUnixNano") or 0),
        attributes=_attributes_from_json(item),
        dropped_attributes_count=int(item.get("droppedAttributesCount") or 0),
        dropped_events_count=int(item.get("droppedEventsCount") or 0),
        dropped_links_count=int(item.get("droppedLinksCount") or 0),
        events=[
            Span.Event(
                time_unix_nano=int(event.get("timeUnixNano") or 0),
                name=event.get("name") or "",
                attributes=_attributes_from_json(event),
                dropped_attributes_count=int(event.get("droppedAttributesCount") or 0),
            )
            for event in _list(item, "events")
        ],
        links=[
            Span.Link(
                trace_id=bytes.fromhex(link.get("traceId") or ""),
                span_id=bytes.fromhex(link.get("spanId") or ""),
                trace_state=link.get("traceState") or "",
                flags=int(link.get("flags") or 0),
                attributes=_attributes_from_json(link),
                dropped_attributes_count=int(link.get("droppedAttributesCount") or 0),
            )
            for link in _list(item, "links")
        ],
        status=Status(
            code=_enum(status.get("code"), Status.StatusCode.Value),  # pyright: ignore[reportArgumentType]
            message=status.get("message") or "",
        )
        if status
        else None,
    )


def _span_to_json(span: Span) -> dict[str, Any]:
    return _present(
        traceId=span.trace_id.hex(),
        spanId=span.span_id.hex(),
        parentSpanId=span.parent_span_id.hex(),
        traceState=span.trace_state,
        flags=span.flags,
        name=span.name,
        kind=span.kind,
        startTimeUnixNano=str(span.start_time_unix_nano),
        endTimeUnixNano=str(span.end_time_unix_nano),
        attributes=_attributes_to_json(span.attributes),
        droppedAttributesCount=span.dropped_attributes_count,
        events=[
            _present(
                timeUnixNano=str(event.time_unix_nano),
                name=event.name,
                attributes=_attributes_to_json(event.attributes),
                droppedAttributesCount=event.dropped_attributes_count,
            )
            for event in span.events
        ],
        droppedEventsCount=span.dropped_events_count,
        links=[
            _present(
                traceId=link.trace_id.hex(),
                spanId=link.span_id.hex(),
                traceState=link.trace_state,
                flags=link.flags,
                attributes=_attributes_to_json(link.attributes),
                droppedAttributesCount=link.dropped_attributes_count,
            )
            for link in span.links
        ],
        droppedLinksCount=span.dropped_links_count,
        status=_present(message=span.status.message, code=span.status.code),
    )


def _attributes_from_json(owner: dict[str, Any]) -> list[KeyValue]:
    return [
        KeyValue(key=pair.get("key") or "", value=_value_from_json(pair.get("value")))
        for pair in _list(owner, "attributes")
    ]


def _value_from_json(item: dict[str, Any] | None) -> AnyValue:
    """An absent or null value is an empty AnyValue: exporters write NaN so."""
    for key, value in (item or {}).items():
        if value is None:
            continue
        match key:
            case "stringValue":
                return AnyValue(string_value=value)
            case "boolValue":
                return AnyValue(bool_value=value)
            case "intValue":
                return AnyValue(int_value=int(value))
            case "doubleValue":
                return AnyValue(
                    double_value=_NON_FINITE[value] if value in _NON_FINITE else float(value)
                )
            case "bytesValue":
                return AnyValue(bytes_value=base64.b64decode(value))
            case "arrayValue":
                return any_value([value_of(_value_from_json(v)) for v in _list(value, "values")])
            case "kvlistValue":
                pairs = {
                    p.get("key") or "": value_of(_value_from_json(p.get("value")))
                    for p in _list(value, "values")
                }
                return any_value(pairs)
    return AnyValue()


def _attributes_to_json(pairs: Iterable[KeyValue]) -> list[dict[str, Any]]:
    return [{"key": pair.key, "value": _value_to_json(value_of(pair.value))} for pair in pairs]


def _value_to_json(value: Any) -> dict[str, Any]:
    match value:
        case None:
            return {}
        case bool():
            return {"boolValue": value}
        case str():
            return {"stringValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value if math.isfinite(value) else _non_finite(value)}
        case bytes():
            return {"bytesValue": base64.b64encode(value).decode()}
        case list():
            return {"arrayValue": {"values": [_value_to_json(item) for item in value]}}
        case _:
            pairs = [{"key": key, "value": _value_to_json(item)} for key, item in value.items()]
            return {"kvlistValue": {"values": pairs}}


def _non_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def _list(owner: Any, key: str) -> list[Any]:
    if not isinstance(owner, dict):
        raise TypeError(f"{key} is asked of {type(owner).__name__}, not of an object")
    items = owner.get(key) or []
    if not isinstance(items, list):
        raise TypeError(f"{key} is {type(items).__name__}, not an array")
    return items


def _enum(value: int | str | None, by_name: Callable[[str], int]) -> int:
    return by_name(value) if isinstance(value, str) and not value.isdigit() else int(value or 0)


def _present(**fields: Any) -> dict[str, Any]:
    """The fields that are not empty: proto3 JSON leaves the others out."""
    return {
        name: value for name, value in fields.items() if value not in ("", 0, [], {}, None, "0")
    }
