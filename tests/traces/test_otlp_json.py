from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, TracesData

from tests.strategies import envelopes, otlp_spans, same
from traces.errors import InvalidPayload
from traces.otlp import attributes_of, decode_protobuf
from traces.otlp_json import decode_json, encode_json

SPAN = {
    "traceId": "5B8EFFF798038103D269B633813FC60C",
    "spanId": "EEE19B7EC3C1B174",
    "parentSpanId": "EEE19B7EC3C1B173",
    "name": "I'm a server span",
    "kind": 2,
    "startTimeUnixNano": "1544712660000000000",
    "endTimeUnixNano": 1544712661000000000,
    "attributes": [{"key": "count", "value": {"intValue": "9007199254740993"}}],
    "aFieldOfTheFuture": {"x": 1},
}


def body(*spans: Any, attributes: Any = ()) -> str:
    resource = {"attributes": list(attributes)}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]})


def read(**fields: Any) -> Span:
    (group,) = decode_json(body(SPAN | fields))
    (span,) = group.spans
    return span


def read_value(value: Any) -> Any:
    return attributes_of(read(attributes=[{"key": "a", "value": value}]).attributes)["a"]


def unread(**fields: Any) -> str:
    good, bad = SPAN, SPAN | fields
    (group,) = decode_json(body(good, bad))
    assert len(group.spans) == 1
    (span,) = group.unread
    assert json.loads(span.raw) == bad
    return span.reason


def deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {"intValue": 1}
    for level in range(levels):
        inner = {"key": "k", "value": value} if level % 2 else value
        value = {("kvlistValue" if level % 2 else "arrayValue"): {"values": [inner]}}
    return value


@given(envelopes(), st.lists(otlp_spans(), max_size=3))
def test_json_gives_back_every_span_and_its_envelope(
    envelope: ResourceSpans, spans: list[Span]
) -> None:
    line = encode_json([(envelope, spans)])
    assert "\n" not in line
    (group,) = decode_json(line)
    assert not group.unread
    assert repr(group.envelope) == repr(envelope)
    assert list(map(repr, group.spans)) == list(map(repr, spans))
    assert encode_json([(group.envelope, group.spans)]) == line


@given(envelopes(), st.lists(otlp_spans(), max_size=3))
def test_protobuf_and_json_give_the_same_groups(envelope: ResourceSpans, spans: list[Span]) -> None:
    whole = ResourceSpans()
    whole.CopyFrom(envelope)
    whole.scope_spans[0].spans.extend(spans)
    (one,) = decode_protobuf(TracesData(resource_spans=[whole]).SerializeToString())
    (two,) = decode_json(encode_json([(envelope, spans)]))
    assert repr((one.envelope, one.spans)) == repr((two.envelope, two.spans))


def test_the_form_of_the_specification_is_read() -> None:
    span = read()
    assert span.trace_id.hex() == "5b8efff798038103d269b633813fc60c"
    assert span.span_id.hex() == "eee19b7ec3c1b174"
    assert span.kind == Span.SPAN_KIND_SERVER
    assert span.end_time_unix_nano - span.start_time_unix_nano == 10**9
    assert attributes_of(span.attributes) == {"count": 2**53 + 1}


def test_enums_are_numbers_or_names() -> None:
    assert read(kind="SPAN_KIND_CLIENT").kind == read(kind=3).kind == read(kind="3").kind == 3
    assert read(status={"code": "STATUS_CODE_ERROR"}).status.code == 2


def test_what_is_absent_or_null_is_empty() -> None:
    span = read(attributes=None, events=None, links=[], status=None, kind=None, parentSpanId=None)
    assert not (span.attributes or span.events or span.links or span.kind or span.parent_span_id)
    assert decode_json("{}") == decode_json('{"resourceSpans": []}') == []


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ({"doubleValue": None}, None),
        ({"doubleValue": "NaN"}, float("nan")),
        ({"doubleValue": "-Infinity"}, float("-inf")),
        ({"doubleValue": 1}, 1.0),
        ({"doubleValue": "1.5"}, 1.5),
        ({"intValue": 7}, 7),
        ({"intValue": "-7"}, -7),
        ({"intValue": 7.0}, 7),
        ({"boolValue": False}, False),
        ({"stringValue": ""}, ""),
        ({"bytesValue": "-_8="}, b"\xfb\xff"),
        ({"bytesValue": "+/8"}, b"\xfb\xff"),
        ({"arrayValue": {}}, []),
        ({"arrayValue": {"values": [{"intValue": "1"}, {"doubleValue": 0.5}, {}]}}, [1, 0.5, None]),
        ({"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}]}}, {"k": "v"}),
        ({}, None),
        (None, None),
        ({"valueOfTheFuture": 1}, None),
    ],
    ids=repr,
)
def test_values_are_read_as_exporters_write_them(value: Any, meant: Any) -> None:
    assert same(read_value(value), meant)


@pytest.mark.parametrize(
    "fields",
    [
        {"traceId": "no hex"},
        {"traceId": 7},
        {"kind": "SPAN_KIND_OF_ITS_OWN"},
        {"kind": 2**40},
        {"flags": 2**63},
        {"flags": -1},
        {"startTimeUnixNano": -1},
        {"startTimeUnixNano": 1.5},
        {"startTimeUnixNano": "soon"},
        {"startTimeUnixNano": 2**70},
        {"name": 7},
        {"name": "\ud800"},
        {"attributes": {"a": 1}},
        {"attributes": [None]},
        {"attributes": [{"key": "a", "value": 1}]},
        {"attributes": [{"key": "a", "value": {"intValue": 1.5}}]},
        {"attributes": [{"key": "a", "value": {"intValue": 2**63}}]},
        {"attributes": [{"key": "a", "value": {"doubleValue": "much"}}]},
        {"attributes": [{"key": "a", "value": {"bytesValue": "%%"}}]},
        {"attributes": [{"key": "a", "value": {"boolValue": "true"}}]},
        {"attributes": [{"key": "a", "value": deep(40)}]},
        {"attributes": [{"key": "a", "value": deep(120)}]},
        {"events": [{"attributes": [{"key": "a", "value": deep(120)}]}]},
        {"links": ["x"]},
        {"status": []} | {"links": 3},
    ],
    ids=lambda fields: repr(fields)[:60],
)
def test_a_span_that_cannot_be_read_is_told_apart_from_its_good_neighbour(
    fields: dict[str, Any],
) -> None:
    assert unread(**fields).startswith("found a span that cannot be read: ")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "7",
        "NaN",
        '"resourceSpans"',
        "\ud800",
        b"\xff\xfe\xfd",
        '{"resourceSpans": 7}',
        '{"resourceSpans": [null]}',
        '{"resourceSpans": [{"scopeSpans": [null]}]}',
        '{"resourceSpans": [{"scopeSpans": [{"spans": 7}]}]}',
        '{"resourceSpans": [{"resource": 7, "scopeSpans": [{}]}]}',
        body(attributes=[{"key": "a", "value": deep(60)}]),
        '{"resourceSpans": ' + "[" * 5000 + "]" * 5000 + "}",
        '{"resourceSpans": ' + "1" * 5000 + "}",
    ],
    ids=lambda text: repr(text)[:40],
)
def test_a_body_that_is_no_otlp_json_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InvalidPayload, match=r"^found .*; expected ") as refusal:
        decode_json(text)
    assert "\n" not in str(refusal.value)


@given(st.binary(max_size=60))
def test_bytes_that_are_no_protobuf_are_refused_and_nothing_else_happens(data: bytes) -> None:
    try:
        decode_protobuf(data)
    except InvalidPayload as refusal:
        assert "\n" not in str(refusal)


_FIELDS = [
    "resourceSpans", "scopeSpans", "spans", "resource", "scope", "attributes", "key", "value", "events",
    "links", "status", "code", "kind", "traceId", "intValue", "doubleValue", "arrayValue", "values",
    "kvlistValue", "bytesValue", "stringValue", "entityRefs", "idKeys",
]  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_FIELDS), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.just("resourceSpans"), st.lists(_JSON, max_size=3)))
def test_json_of_any_form_is_read_or_refused_and_nothing_else_happens(data: Any) -> None:
    try:
        decode_json(json.dumps(data))
    except InvalidPayload as refusal:
        assert "\n" not in str(refusal)


@given(_JSON)
def test_a_span_of_any_form_is_read_or_unread(item: Any) -> None:
    data = {
        "resourceSpans": [
            {"scopeSpans": [{"spans": [item, {"attributes": item}, {"events": [item]}]}]}
        ]
    }
    (group,) = decode_json(json.dumps(data))
    assert len(group.spans) + len(group.unread) == 3


def test_a_group_is_a_scope_of_a_resource() -> None:
    data = TracesData()
    for name in ("one", "two"):
        resource = data.resource_spans.add()
        resource.resource.attributes.add(key="device.id").value.string_value = name
        for scope in ("a", "b"):
            resource.scope_spans.append(ScopeSpans(spans=[Span(name=scope)]))
    groups = decode_protobuf(data.SerializeToString())
    assert [group.spans[0].name for group in groups] == ["a", "b", "a", "b"]
