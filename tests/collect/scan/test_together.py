"""Bodies decoded at once and body by body: the same rows, the same answers, whatever the bytes are."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from observability.collect.limits import Limits
from tests.collect.scan.agreement import RICH, both, length_of, rich_span, with_values
from tests.spans import NOON, decision, decision_span, group, outcome_span, protobuf_body, span
from tests.strategies import VALUES, decisions, envelopes, otlp_spans
from traces import Decision
from traces.codec import encode_decision
from traces.otlp import SpanGroup, any_value, key_values


def test_a_decision_with_everything_is_scanned() -> None:
    spans = [
        rich_span(kind=1, flags=257, parent_span_id=b"p" * 8),
        decision_span(decision(inputs={"a": 1.0})),
        decision_span(decision("valve.open")),
        rich_span(status={}),
    ]
    done, count = both(protobuf_body(group(spans)), protobuf_body(group([rich_span()], "other")))
    assert count == 5
    assert done.tables()["decisions"].num_rows == 5


@pytest.mark.parametrize("device", ["pump-07", ""])
def test_all_kinds_of_spans_keep_their_order(device: str) -> None:
    first = rich_span()
    other = decision_span(trace_id=first.trace_id, span_id=first.span_id)
    unplain = span(encode_decision(decision(action="stop")), "odd")
    mixed = [
        unplain, first, outcome_span(first), span({"http.route": "/"}), other,
        span({"decision.type": "x"}), rich_span(), span({}, span_id=b""),
    ]  # fmt: skip
    _, count = both(
        protobuf_body(group(mixed, device), group([rich_span()])),
        protobuf_body(group([rich_span()])),
    )
    assert count == (5 if device else 2)


@given(st.lists(decisions(), min_size=1, max_size=4), st.data())
def test_any_decisions_are_the_same_either_way(values: list[Decision], data: st.DataObject) -> None:
    spans = [decision_span(value) for value in values]
    both(protobuf_body(group(spans)), protobuf_body(group([decision_span(data.draw(decisions()))])))


ODD_PAIRS = st.lists(
    st.tuples(st.sampled_from(sorted(encode_decision(RICH))), VALUES), min_size=1, max_size=3
)


@given(otlp_spans(), ODD_PAIRS)
def test_any_value_of_any_attribute_is_the_same_either_way(
    frame: Span, odd: list[tuple[str, Any]]
) -> None:
    del frame.attributes[:]
    frame.attributes.extend(key_values(encode_decision(RICH)))
    frame.start_time_unix_nano, frame.end_time_unix_nano = NOON, NOON
    changed = with_values(rich_span(), dict(odd))
    both(protobuf_body(group([rich_span(), frame, twice(odd), changed, rich_span()])))


def twice(pairs: list[tuple[str, Any]]) -> Span:
    """A span with attributes behind those that it has under the same names."""
    sent = rich_span()
    sent.attributes.extend(KeyValue(key=key, value=any_value(value)) for key, value in pairs)
    return sent


@pytest.mark.parametrize("name", sorted(encode_decision(RICH)))
def test_of_a_name_given_twice_the_last_holds(name: str) -> None:
    value = encode_decision(RICH)[name]
    other = {str: "auto", float: 0.25, bool: True, int: 5}.get(type(value), value)
    _, count = both(protobuf_body(group([twice([(name, other)]), rich_span()])))
    assert count == 1


@given(st.lists(st.tuples(envelopes(), st.lists(otlp_spans(), max_size=2)), max_size=3))
def test_any_resource_and_any_other_span_are_the_same_either_way(
    groups: list[tuple[ResourceSpans, list[Span]]],
) -> None:
    whole = [SpanGroup(envelope, [*spans, rich_span()], []) for envelope, spans in groups]
    both(protobuf_body(*whole), protobuf_body(group([rich_span()])))


def test_numbers_as_other_sdks_write_them_are_scanned() -> None:
    sent = rich_span()
    for pair in sent.attributes:
        if pair.key == "decision.input.values":
            pair.value.CopyFrom(any_value([91, 1.5, -3]))
        if pair.key == "decision.recommendation.threshold":
            pair.value.CopyFrom(any_value(1))
    done, count = both(protobuf_body(group([sent])))
    assert count == 1
    assert done.tables()["decisions"]["inputs"].to_pylist() == [[91.0, 1.5, -3.0]]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x0a\x00", b"\x0a\x02\x12\x00", b"\x0a\x04\x12\x02\x12\x00", b"\x0a", b"\xff",
        b"\x12\x00", b"\x0a\x02\x1a\x00", b"\x0a\x05\x1a\x03\xff\xff\xff", b"\x0a\x01\x0b\x0c",
        b"\x0a\x06\x12\x04\x0a\x02\xff\xff", b"\x08\x01", b"\x0a\x80\x00",
    ],
    ids=bytes.hex,
)  # fmt: skip
def test_bodies_of_a_few_bytes(data: bytes) -> None:
    both(data)
    both(protobuf_body(group([rich_span()])), data, data + protobuf_body(group([rich_span()])))


def test_many_bodies_in_one_and_a_resource_behind_its_spans() -> None:
    one = protobuf_body(group([rich_span(), decision_span()]))
    _, count = both(one + protobuf_body(group([rich_span()], "b")) + one)
    assert count == 5
    inner = b"\x12\x02\x12\x00" + b"\x0a" + b"\x00" + b"\x1a\x03url"
    both(b"\x0a" + length_of(inner) + inner)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(spans_per_request=2), Limits(attributes_per_span=5), Limits(name_bytes=12),
        Limits(value_bytes=4), Limits(items_per_value=1), Limits(nesting=0), Limits(nesting=1),
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_over_a_limit_is_refused_either_way(limits: Limits) -> None:
    spans = [rich_span() for _ in range(3)]
    both(protobuf_body(group(spans)), protobuf_body(group(spans[:1])), limits=limits)


def test_mutated_bodies_are_the_same_either_way() -> None:
    chance = random.Random(7)  # noqa: S311
    sound = protobuf_body(group([rich_span(), outcome_span(rich_span()), decision_span()]))
    for _ in range(400):
        both(*(mutated(sound, chance) for _ in range(3)))


def mutated(data: bytes, chance: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(chance.choice([0, 1, 1, 2, 5])):
        at = chance.randrange(len(out))
        match chance.randrange(5):
            case 0:
                out[at] ^= 1 << chance.randrange(8)
            case 1:
                out[at] = chance.choice([0, 1, 0x0A, 0x12, 0x7F, 0x80, 0xFF])
            case 2:
                del out[at : at + chance.randrange(1, 9)]
            case 3:
                out[at:at] = chance.randbytes(chance.randrange(1, 4))
            case _:
                other = chance.randrange(len(out))
                out[at : at + 8] = out[other : other + 8]
    return bytes(out)
