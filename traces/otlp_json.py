"""OTLP's JSON form of a trace.

Read leniently, as exporters write it: enums as names or numbers, integers as text or number, null for NaN;
unknown fields are ignored. Written strictly.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import EntityRef, InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from traces.errors import InvalidPayload
from traces.otlp import SpanGroup, UnreadSpan, bare_envelope
from traces.otlp_json_values import (
    attributes_from_json,
    attributes_to_json,
    enum_number,
    integer,
    listed,
    nanoseconds_text,
    present,
)

_UNREADABLE = (ValueError, TypeError, AttributeError, KeyError, OverflowError)


def decode_json(body: bytes | str) -> list[SpanGroup]:
    """The groups of the same message in OTLP's JSON form. Raises InvalidPayload."""
    try:
        data = json.loads(body)
        groups = []
        for resource_spans in listed(data, "resourceSpans"):
            for scope_spans in listed(resource_spans, "scopeSpans"):
                envelope = _envelope_from_json(resource_spans, scope_spans)
                spans: list[Span] = []
                unread: list[UnreadSpan] = []
                for item in listed(scope_spans, "spans"):
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
        scope_spans = present(
            scope=present(
                name=scope.scope.name,
                version=scope.scope.version,
                attributes=attributes_to_json(scope.scope.attributes),
                droppedAttributesCount=scope.scope.dropped_attributes_count,
            ),
            spans=[_span_to_json(span) for span in spans],
            schemaUrl=scope.schema_url,
        )
        resource_spans.append(
            present(
                resource=_resource_to_json(envelope.resource),
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
            resource=_resource_from_json(resource),
            schema_url=resource_spans.get("schemaUrl") or "",
        ),
        ScopeSpans(
            scope=InstrumentationScope(
                name=scope.get("name") or "",
                version=scope.get("version") or "",
                attributes=attributes_from_json(scope),
                dropped_attributes_count=integer(scope.get("droppedAttributesCount")),
            ),
            schema_url=scope_spans.get("schemaUrl") or "",
        ),
    )


def _resource_from_json(item: dict[str, Any]) -> Resource:
    return Resource(
        attributes=attributes_from_json(item),
        dropped_attributes_count=integer(item.get("droppedAttributesCount")),
        entity_refs=[
            EntityRef(
                schema_url=entity.get("schemaUrl") or "",
                type=entity.get("type") or "",
                id_keys=listed(entity, "idKeys"),
                description_keys=listed(entity, "descriptionKeys"),
            )
            for entity in listed(item, "entityRefs")
        ],
    )


def _resource_to_json(resource: Resource) -> dict[str, Any]:
    return present(
        attributes=attributes_to_json(resource.attributes),
        droppedAttributesCount=resource.dropped_attributes_count,
        entityRefs=[
            present(
                schemaUrl=entity.schema_url,
                type=entity.type,
                idKeys=list(entity.id_keys),
                descriptionKeys=list(entity.description_keys),
            )
            for entity in resource.entity_refs
        ],
    )


def _span_from_json(item: dict[str, Any]) -> Span:
    status = item.get("status") or {}
    return Span(
        trace_id=bytes.fromhex(item.get("traceId") or ""),
        span_id=bytes.fromhex(item.get("spanId") or ""),
        parent_span_id=bytes.fromhex(item.get("parentSpanId") or ""),
        trace_state=item.get("traceState") or "",
        flags=integer(item.get("flags")),
        name=item.get("name") or "",
        kind=enum_number(item.get("kind"), Span.SpanKind.Value),  # pyright: ignore[reportArgumentType]
        start_time_unix_nano=integer(item.get("startTimeUnixNano")),
        end_time_unix_nano=integer(item.get("endTimeUnixNano")),
        attributes=attributes_from_json(item),
        dropped_attributes_count=integer(item.get("droppedAttributesCount")),
        dropped_events_count=integer(item.get("droppedEventsCount")),
        dropped_links_count=integer(item.get("droppedLinksCount")),
        events=[
            Span.Event(
                time_unix_nano=integer(event.get("timeUnixNano")),
                name=event.get("name") or "",
                attributes=attributes_from_json(event),
                dropped_attributes_count=integer(event.get("droppedAttributesCount")),
            )
            for event in listed(item, "events")
        ],
        links=[
            Span.Link(
                trace_id=bytes.fromhex(link.get("traceId") or ""),
                span_id=bytes.fromhex(link.get("spanId") or ""),
                trace_state=link.get("traceState") or "",
                flags=integer(link.get("flags")),
                attributes=attributes_from_json(link),
                dropped_attributes_count=integer(link.get("droppedAttributesCount")),
            )
            for link in listed(item, "links")
        ],
        status=Status(
            code=enum_number(status.get("code"), Status.StatusCode.Value),  # pyright: ignore[reportArgumentType]
            message=status.get("message") or "",
        )
        if status
        else None,
    )


def _span_to_json(span: Span) -> dict[str, Any]:
    return present(
        traceId=span.trace_id.hex(),
        spanId=span.span_id.hex(),
        parentSpanId=span.parent_span_id.hex(),
        traceState=span.trace_state,
        flags=span.flags,
        name=span.name,
        kind=span.kind,
        startTimeUnixNano=nanoseconds_text(span.start_time_unix_nano),
        endTimeUnixNano=nanoseconds_text(span.end_time_unix_nano),
        attributes=attributes_to_json(span.attributes),
        droppedAttributesCount=span.dropped_attributes_count,
        events=[
            present(
                timeUnixNano=nanoseconds_text(event.time_unix_nano),
                name=event.name,
                attributes=attributes_to_json(event.attributes),
                droppedAttributesCount=event.dropped_attributes_count,
            )
            for event in span.events
        ],
        droppedEventsCount=span.dropped_events_count,
        links=[
            present(
                traceId=link.trace_id.hex(),
                spanId=link.span_id.hex(),
                traceState=link.trace_state,
                flags=link.flags,
                attributes=attributes_to_json(link.attributes),
                droppedAttributesCount=link.dropped_attributes_count,
            )
            for link in span.links
        ],
        droppedLinksCount=span.dropped_links_count,
        status=present(message=span.status.message, code=span.status.code),
    )
