"""The request that opentelemetry-proto gives as its example, in every form that a client may send it in.

Ids, times, names and attributes are those of examples/trace.json in open-telemetry/opentelemetry-proto.
"""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from observability.collect.serving import serving
from tests.spans import JSON, PROTOBUF, post, rows
from traces.otlp import key_values

TRACE_ID, SPAN_ID = "5B8EFFF798038103D269B633813FC60C", "EEE19B7EC3C1B174"
PARENT_SPAN_ID = "EEE19B7EC3C1B173"
START, END = 1544712660000000000, 1544712661000000000
FORMS = [*itertools.product((PROTOBUF, JSON), (False, True))]


def in_protobuf() -> bytes:
    span = Span(
        trace_id=bytes.fromhex(TRACE_ID),
        span_id=bytes.fromhex(SPAN_ID),
        parent_span_id=bytes.fromhex(PARENT_SPAN_ID),
        name="I'm a server span",
        start_time_unix_nano=START,
        end_time_unix_nano=END,
        kind=Span.SPAN_KIND_SERVER,
        attributes=key_values({"my.span.attr": "some value"}),
    )
    scope = InstrumentationScope(
        name="my.library",
        version="1.0.0",
        attributes=key_values({"my.scope.attribute": "some scope attribute"}),
    )
    resource = Resource(attributes=key_values({"service.name": "my.service"}))
    spans = ResourceSpans(resource=resource, scope_spans=[ScopeSpans(scope=scope, spans=[span])])
    return ExportTraceServiceRequest(resource_spans=[spans]).SerializeToString()


def in_json() -> bytes:
    """As there: upper-case ids, times as numbers, the kind as one too."""
    span = {
        "traceId": TRACE_ID,
        "spanId": SPAN_ID,
        "parentSpanId": PARENT_SPAN_ID,
        "name": "I'm a server span",
        "startTimeUnixNano": START,
        "endTimeUnixNano": END,
        "kind": 2,
        "attributes": [text("my.span.attr", "some value")],
    }
    scope = {
        "name": "my.library",
        "version": "1.0.0",
        "attributes": [text("my.scope.attribute", "some scope attribute")],
    }
    resource = {"attributes": [text("service.name", "my.service")]}
    spans = {"resource": resource, "scopeSpans": [{"scope": scope, "spans": [span]}]}
    return json.dumps({"resourceSpans": [spans]}).encode()


def text(key: str, value: str) -> dict[str, object]:
    return {"key": key, "value": {"stringValue": value}}


@pytest.mark.parametrize(("content_type", "zipped"), FORMS)
def test_the_example_of_the_specification_lands_with_every_field(
    store: Path, content_type: str, zipped: bool
) -> None:
    body = in_json() if content_type == JSON else in_protobuf()
    with serving(store) as url:
        if zipped:
            answer = post(url, gzip.compress(body), content_type, Content_Encoding="gzip")
        else:
            answer = post(url, body, content_type)
    assert (answer.status, answer.headers["content-type"]) == (200, content_type)
    empty = b"{}" if content_type == JSON else ExportTraceServiceResponse().SerializeToString()
    assert answer.body == empty
    columns = "trace_id, span_id, parent_span_id, name, start_unix_nano, end_unix_nano"
    assert rows(store, f"SELECT {columns}, attributes FROM spans") == [  # noqa: S608
        (
            TRACE_ID.lower(),
            SPAN_ID.lower(),
            PARENT_SPAN_ID.lower(),
            "I'm a server span",
            START,
            END,
            {"my.span.attr": "some value"},
        )
    ]
    columns = "attributes, scope_name, scope_version"
    assert rows(store, f"SELECT {columns} FROM resources") == [  # noqa: S608
        ({"service.name": "my.service"}, "my.library", "1.0.0")
    ]
    ((envelope,),) = rows(store, "SELECT envelope FROM resources")
    (kept,) = ResourceSpans.FromString(envelope).scope_spans[0].scope.attributes
    assert (kept.key, kept.value.string_value) == ("my.scope.attribute", "some scope attribute")
    ((rest,),) = rows(store, "SELECT rest FROM spans")
    assert Span.FromString(rest).kind == Span.SPAN_KIND_SERVER
