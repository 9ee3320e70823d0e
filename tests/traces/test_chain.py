from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, TracesData

from tests.strategies import ATTRIBUTES, NUMBERS, VALUES, otlp_spans
from tests.traces.test_codec import FULL
from traces.chain import canonical, canonical_attributes, span_digest
from traces.codec import encode_decision
from traces.otlp import attributes_of, bare_envelope, decode_protobuf, key_values
from traces.otlp_json import decode_json, encode_json

ENVELOPE = bare_envelope(ResourceSpans(), ScopeSpans())


def digest(attributes: Mapping[str, Any], name: str = "n", start: int = 1, end: int = 2) -> str:
    return span_digest(
        b"t" * 16, b"s" * 8, name, start, end, canonical_attributes(attributes)
    ).hex()


def digest_of(span: Span) -> bytes:
    return span_digest(
        span.trace_id,
        span.span_id,
        span.name,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        canonical_attributes(attributes_of(span.attributes)),
    )


def meant(value: Any) -> Any:
    """What a value states, written independently: equal exactly where the digest has to be."""
    match value:
        case None:
            return "number nan"
        case bool():
            return f"flag {value}"
        case int() if abs(value) > 2**53:
            return f"integer {value}"
        case int() | float():
            return f"number {(value + 0.0).hex()}"
        case list() if value and all(type(item) in (int, float, type(None)) for item in value):
            return "numbers", *(
                (float("nan") if item is None else item + 0.0).hex() for item in value
            )
        case list():
            return "list", *map(meant, value)
        case dict():
            return "map", *sorted((name, meant(item)) for name, item in value.items())
        case _:
            return type(value).__name__, value


@given(otlp_spans())
def test_protobuf_and_json_of_a_span_have_one_digest(span: Span) -> None:
    (from_json,) = decode_json(encode_json([(ENVELOPE, [span])]))[0].spans
    data = TracesData(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[span])])])
    (from_protobuf,) = decode_protobuf(data.SerializeToString())[0].spans
    assert digest_of(from_json) == digest_of(from_protobuf) == digest_of(span)


@given(ATTRIBUTES, st.randoms())
def test_the_order_of_attributes_does_not_count(
    attributes: dict[str, Any], chance: random.Random
) -> None:
    pairs = list(attributes.items())
    chance.shuffle(pairs)
    assert digest(dict(pairs)) == digest(attributes)


@given(ATTRIBUTES)
def test_the_chain_does_not_count(attributes: dict[str, Any]) -> None:
    assert digest(attributes | {"decision.chain.seq": 7, "decision.chain.prev": "ab"}) == digest(
        attributes
    )


@given(VALUES, VALUES)
def test_values_have_one_canonical_form_exactly_if_they_state_the_same(one: Any, two: Any) -> None:
    assert (canonical(one) == canonical(two)) == (meant(one) == meant(two))


@given(st.lists(NUMBERS, min_size=1, max_size=5))
def test_an_integer_stands_for_the_double_of_its_value(numbers: list[float]) -> None:
    assert canonical(numbers) == canonical([float(number) for number in numbers])
    assert canonical(numbers[0]) == canonical(float(numbers[0]))


COVERED = sorted(name for name in encode_decision(FULL) if ".chain." not in name)


@given(st.sampled_from(COVERED), VALUES)
def test_any_other_value_gives_another_digest(name: str, value: Any) -> None:
    attributes = encode_decision(FULL)
    assume(meant(attributes[name]) != meant(value))
    assert digest(attributes | {name: value}) != digest(attributes)


def test_name_times_and_ids_count() -> None:
    assert len({digest({}), digest({}, "m"), digest({}, start=0), digest({}, end=3)}) == 4
    assert span_digest(b"t" * 16, b"r" * 8, "n", 1, 2, b"").hex() != digest({})


def test_texts_cannot_be_shifted_into_their_neighbours() -> None:
    assert digest({"ab": "c"}) != digest({"a": "bc"})
    assert digest({"a": ["bc", ""]}) != digest({"a": ["b", "c"]})
    assert digest({"a": {"b": "c"}}) != digest({"a": ["b", "c"]})


def test_the_digest_of_a_known_decision_stays_what_it_is_in_every_store() -> None:
    known = "f8d2a40b7da99f283584934782cd905f88388382df459d3b85c7c786b56c54a5"
    assert digest(encode_decision(FULL)) == known


@given(ATTRIBUTES)
def test_python_values_and_protobuf_values_are_inverse(attributes: dict[str, Any]) -> None:
    assert repr(attributes_of(key_values(attributes))) == repr(attributes)
