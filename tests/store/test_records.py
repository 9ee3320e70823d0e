from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from observability.collect.decode import decode
from observability.store.records import stored_decision_value, stored_span
from observability.store.records_later import stored_outcome_value, stored_review_value
from tests.spans import columns, decision, decision_span, decoded, group, span
from tests.strategies import STORED, VALUES, decisions, otlp_spans, outcomes, reviews, same
from traces import ChainPosition, Decision, Outcome, Recommendation, Review
from traces.chain import canonical_attributes, span_digest
from traces.codec import decode_decision, encode_decision
from traces.codec_later import encode_outcome, encode_review
from traces.otlp import attributes_of, key_values


def only_row(sent: Span, kind: str) -> dict[str, Any]:
    done = decoded(group([copied(sent)]))
    assert done.reasons == []
    (row,) = done.rows[kind]
    (layout,) = done.rows.get("layouts", [{}])
    return columns(row | layout)


def copied(message: Span) -> Span:
    copy = Span()
    copy.CopyFrom(message)
    return copy


def canonical(message: Span) -> Span:
    """The same span: attributes in the order of their names, of a name given twice the last."""
    copy = copied(message)
    del copy.attributes[:]
    copy.attributes.extend(key_values(dict(sorted(attributes_of(message.attributes).items()))))
    return copy


def digest_of(message: Span) -> bytes:
    times = message.start_time_unix_nano, message.end_time_unix_nano
    content = canonical_attributes(attributes_of(message.attributes))
    return span_digest(message.trace_id, message.span_id, message.name, *times, content)


def unsigned(number: float | None) -> float | None:
    return number if number is None else number + 0.0


def without_signed_zeros(value: Decision) -> Decision:
    """Columns do not keep the sign of a zero."""
    made = value.recommendation
    return replace(
        value,
        inputs={name: number + 0.0 for name, number in value.inputs.items()},
        gates=tuple(
            replace(g, limit=g.limit + 0.0, observed=g.observed + 0.0) for g in value.gates
        ),
        recommendation=made
        and replace(made, score=unsigned(made.score), threshold=unsigned(made.threshold)),
    )


def sound(message: Span) -> Span:
    """With times and ids as they have to be, and a name that a column takes."""
    message.start_time_unix_nano = 1 + message.start_time_unix_nano % 10**18
    message.end_time_unix_nano = message.start_time_unix_nano + message.end_time_unix_nano % 10**18
    assume(any(message.trace_id) and any(message.span_id) and "\0" not in message.name)
    return message


@given(otlp_spans(), decisions(texts=STORED))
def test_a_decision_comes_out_of_its_row_as_the_span_that_went_in(
    frame: Span, value: Decision
) -> None:
    value = without_signed_zeros(value)
    del frame.attributes[:]
    frame.attributes.extend(key_values(encode_decision(value)))
    row = only_row(sound(frame), "decisions")
    assert same(stored_decision_value(row), value)
    assert same(canonical(stored_span("decisions", row)), canonical(frame))
    assert digest_of(stored_span("decisions", row)) == row["digest"] == digest_of(frame)


@given(decisions(texts=STORED), st.data())
def test_a_decision_of_another_sdk_comes_out_as_that_sdk_wrote_it(
    value: Decision, data: st.DataObject
) -> None:
    attributes = encode_decision(value)
    names = sorted(attributes)
    swapped = data.draw(st.lists(st.sampled_from(names), max_size=3)), data.draw(VALUES)
    attributes |= dict.fromkeys(*swapped)
    attributes |= data.draw(
        st.dictionaries(st.sampled_from(["decision.input.x", "decision.input"]), VALUES)
    )
    sent = span(attributes, "any name")
    done = decoded(group([copied(sent)]))
    assume("decisions" in done.rows)
    (row,), (layout,) = done.rows["decisions"], done.rows["layouts"]
    stored = columns(row | layout)
    back = stored_span("decisions", stored)
    sent_value = decode_decision(attributes_of(sent.attributes))
    assert same(*map(without_signed_zeros, (stored_decision_value(stored), sent_value)))
    assert digest_of(back) == row["digest"]
    again = decoded(group([copied(back)])).rows["decisions"][0]
    assert again["digest"] == row["digest"]
    assert same(layout, decoded(group([copied(back)])).rows["layouts"][0])


@pytest.mark.parametrize(
    "attributes",
    [
        {"decision.input.temperature": 71, "decision.input.valve": "open"},
        {"decision.input": {"temperature": 71.5, "valve": "open"}},
        {"decision.input.names": ["a"], "decision.input.values": [None]},
        {"decision.input.names": ["a"], "decision.input.values": [True]},
        {
            "decision.gate.names": ["g"],
            "decision.gate.kinds": ["human"],
            "decision.gate.verdicts": ["pass"],
        },
        {"decision.clock.boot_id": "b", "decision.clock.monotonic_ns": 5},
        {"decision.recommendation.action": "stop", "decision.recommendation.score": None},
        {"decision.recommendation.action": "stop", "decision.recommendation.score": 2**53 + 1},
    ],
    ids=repr,
)
def test_what_the_columns_do_not_reproduce_is_kept_as_it_came(attributes: dict[str, Any]) -> None:
    sent = span(encode_decision(decision()) | attributes, "decision pump.stop")
    row = only_row(sent, "decisions")
    back = stored_span("decisions", row)
    assert digest_of(back) == row["digest"]
    assert decoded(group([copied(back)])).rows["decisions"][0]["digest"] == row["digest"]


def test_what_the_columns_reproduce_is_not_stored_twice() -> None:
    row = only_row(
        decision_span(decision(inputs={"a": 1.0}, context={"mode": "auto"})), "decisions"
    )
    assert row["rest"] == b""


def test_the_place_in_a_chain_has_columns_of_its_own() -> None:
    chain = ChainPosition("6f1c1c3a", 7, "ab" * 32)
    row = only_row(decision_span(decision(chain=chain)), "decisions")
    assert (row["chain_id"], row["seq"], row["prev"]) == ("6f1c1c3a", 7, b"\xab" * 32)
    assert row["rest"] == b""
    assert stored_decision_value(row).chain == chain


@given(otlp_spans(), outcomes(texts=STORED))
def test_an_outcome_comes_out_of_its_row_as_the_span_that_went_in(
    frame: Span, value: Outcome
) -> None:
    del frame.attributes[:]
    frame.attributes.extend(key_values(encode_outcome(value)))
    frame.name = "decision.outcome"
    row = only_row(sound(frame), "outcomes")
    assert same(stored_outcome_value(row), value)
    assert same(stored_span("outcomes", row), frame)


@given(otlp_spans(), reviews(texts=STORED))
def test_a_review_comes_out_of_its_row_as_the_span_that_went_in(frame: Span, value: Review) -> None:
    del frame.attributes[:]
    frame.attributes.extend(key_values(encode_review(value)))
    frame.name = "decision.review"
    row = only_row(sound(frame), "reviews")
    assert same(stored_review_value(row), value)
    assert same(stored_span("reviews", row), frame)


def test_numbers_of_actions_and_what_was_withheld_come_out_of_the_row() -> None:
    value = decision(
        recommendation=Recommendation("throttle", 0.9, 0.5, 0.9),
        value=0.62,
        latency_us=412,
        budget_us=2000,
        withheld=("load",),
    )
    row = only_row(decision_span(value), "decisions")
    assert same(stored_decision_value(row), value)


@given(otlp_spans())
def test_any_other_span_comes_out_of_its_row_as_it_went_in(frame: Span) -> None:
    row = only_row(sound(frame), "spans")
    assert same(stored_span("spans", row), frame)


@given(st.lists(otlp_spans(), max_size=3), VALUES)
def test_decoding_never_raises_and_accounts_for_every_span(spans: list[Span], device: Any) -> None:
    unsound = group(spans)
    unsound.envelope.resource.attributes.extend(key_values({"device.id": device}))
    done = decode([unsound], origin="otlp", identity="unverified")
    kept = sum(
        len(done.rows.get(kind, [])) for kind in ("decisions", "outcomes", "reviews", "spans")
    )
    assert kept + len(done.reasons) == len(spans)
    done.batch()


def test_attributes_as_text_are_json_and_bytes_are_base64() -> None:
    texts = {
        "text": ("text", "text"),
        "int": (7, "7"),
        "double": (0.5, "0.5"),
        "flag": (True, "true"),
        "nothing": (None, "null"),
        "bytes": (b"\xff", "/w=="),
        "list": ([1, b"\xff"], '[1, "/w=="]'),
        "map": ({"k": "é"}, '{"k": "é"}'),
    }
    row = only_row(span({name: value for name, (value, _) in texts.items()}), "spans")
    assert dict(row["attributes"]) == {name: text for name, (_, text) in texts.items()}


def test_the_sign_of_a_zero_is_no_content() -> None:
    value = decision(inputs={"a": -0.0}, recommendation=Recommendation("stop", -0.0, 0.0))
    row = only_row(decision_span(value), "decisions")
    back = stored_span("decisions", row)
    assert decoded(group([copied(back)])).rows["decisions"][0]["digest"] == row["digest"]
    assert "-0" not in repr(back.attributes)
