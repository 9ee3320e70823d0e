from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import (
    ResourceSpans,
    ScopeSpans,
    Span,
    Status,
    TracesData,
)

from tests.strategies import ATTRIBUTES, TEXTS, decisions, envelopes, otlp_spans, outcomes
from traces import Decision, Outcome, wire
from traces.codec import encode_decision
from traces.codec_later import encode_outcome
from traces.conventions import SCHEMA_URL, SCHEMA_VERSION, SCOPE_NAME
from traces.errors import WrongUse
from traces.otlp import decode_protobuf, key_values

IDS = (b"t" * 16, b"s" * 8)
TIMES = st.integers(0, 2**64 - 1) | st.just(0)
LINKS = st.lists(
    st.tuples(st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8)), max_size=2
)


def by_the_library(attributes: Mapping[str, Any], **fields: Any) -> bytes:
    span = Span(
        trace_id=IDS[0],
        span_id=IDS[1],
        kind=Span.SPAN_KIND_INTERNAL,
        attributes=key_values(attributes),
        **fields,
    )
    return span.SerializeToString()


def by_hand(attributes: Mapping[str, Any], name: str = "", **fields: Any) -> bytes:
    times = {"started_unix_nano": 0, "ended_unix_nano": 0}
    return wire.span_bytes(
        trace_id=IDS[0], span_id=IDS[1], name=name, attributes=attributes, **(times | fields)
    )


@given(ATTRIBUTES, TEXTS, TIMES, TIMES, LINKS, st.booleans(), st.just(b"") | st.just(b"p" * 8))
def test_a_span_has_the_bytes_that_the_library_gives_it(
    attributes: dict[str, Any],
    name: str,
    started: int,
    ended: int,
    links: list[tuple[bytes, bytes]],
    failed: bool,
    parent: bytes,
) -> None:
    expected = by_the_library(
        attributes,
        name=name,
        start_time_unix_nano=started,
        end_time_unix_nano=ended,
        parent_span_id=parent,
        links=[Span.Link(trace_id=trace_id, span_id=span_id) for trace_id, span_id in links],
        status=Status(code=Status.STATUS_CODE_ERROR) if failed else None,
    )
    for _ in range(2):  # the second time from what is kept
        assert expected == by_hand(
            attributes,
            name,
            started_unix_nano=started,
            ended_unix_nano=ended,
            links=links,
            failed=failed,
            parent=parent,
        )


@given(decisions())
def test_a_decision_has_the_bytes_that_the_library_gives_it(decision: Decision) -> None:
    attributes = encode_decision(decision)
    assert by_hand(attributes) == by_the_library(attributes)


@given(outcomes())
def test_an_outcome_has_the_bytes_that_the_library_gives_it(outcome: Outcome) -> None:
    attributes = encode_outcome(outcome)
    assert by_hand(attributes) == by_the_library(attributes)


@pytest.mark.parametrize("length", [0, 1, 8, 200])
def test_ids_of_any_length_have_the_bytes_that_the_library_gives_them(length: int) -> None:
    fields = {"trace_id": b"t" * length, "span_id": b"s" * length}
    by_hand = wire.span_bytes(
        **fields, name="n", started_unix_nano=1, ended_unix_nano=2, attributes={}
    )
    times = {"start_time_unix_nano": 1, "end_time_unix_nano": 2}
    span = Span(**fields, **times, name="n", kind=Span.SPAN_KIND_INTERNAL)
    assert by_hand == span.SerializeToString()


def test_values_that_python_calls_equal_are_told_apart() -> None:
    for value in (1, True, 1.0, [1], [True], [1.0], ("1",), ["1"], "1", [0.0], [-0.0], ["1", 1]):
        assert by_hand({"x": value}) == by_the_library({"x": value})


@given(ATTRIBUTES)
def test_an_envelope_has_the_bytes_that_the_library_gives_it(attributes: dict[str, Any]) -> None:
    assert (
        wire.envelope(attributes)
        == ResourceSpans(
            resource=Resource(attributes=key_values(attributes)),
            scope_spans=[
                ScopeSpans(
                    scope=InstrumentationScope(name=SCOPE_NAME, version=SCHEMA_VERSION),
                    schema_url=SCHEMA_URL,
                )
            ],
        ).SerializeToString()
    )


@given(envelopes(), st.lists(otlp_spans(), max_size=3))
def test_a_request_has_the_bytes_that_the_library_gives_it(
    envelope: ResourceSpans, spans: list[Span]
) -> None:
    whole = ResourceSpans()
    whole.CopyFrom(envelope)
    whole.scope_spans[0].spans.extend(spans)
    body = wire.request_bytes(
        envelope.SerializeToString(), [span.SerializeToString() for span in spans]
    )
    assert body == TracesData(resource_spans=[whole]).SerializeToString()


def test_requests_concatenate_to_a_request() -> None:
    one, two = wire.envelope({"device.id": "a"}), wire.envelope({"device.id": "b"})
    body = wire.request_bytes(one, [by_hand({"n": 1})]) + wire.request_bytes(
        two, [by_hand({"n": 2}), by_hand({"n": 3})]
    )
    assert [len(group.spans) for group in decode_protobuf(body)] == [1, 2]


@pytest.mark.parametrize(
    "value", [2**63, -(2**63) - 1, "\ud800", {"\ud800": 1}, [["\ud800"]], object(), [object()]]
)
def test_what_no_span_can_carry_is_refused(value: Any) -> None:
    with pytest.raises(WrongUse, match=r"^found .*; expected "):
        by_hand({"x": value})


@pytest.mark.parametrize("envelope", [b"\x80", b"\x08\x01", b"\x0a\x05abc"])
def test_what_is_no_envelope_is_refused(envelope: bytes) -> None:
    with pytest.raises(WrongUse, match="a ResourceSpans without spans"):
        wire.request_bytes(envelope, [])


def test_what_is_kept_is_bounded() -> None:
    for number in range(wire.KEPT + 10):
        by_hand({"x": f"text {number}"})
    by_hand({"x": "long " * wire.KEPT_LENGTH})
    assert len(wire._kept) <= wire.KEPT
