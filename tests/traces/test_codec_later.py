from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from tests.strategies import outcomes, reviews, same
from traces import Outcome, Review
from traces.codec_later import decode_outcome, decode_review, encode_outcome, encode_review
from traces.errors import InvalidSpan
from traces.otlp import attributes_of, key_values

OUTCOME = Outcome("a" * 32, "b" * 16, "failed", "sensor", 1_700_000_000_000_000_000, 1.0)
REVIEW = Review("a" * 32, "b" * 16, "approval", "pass", "op-3", "seen on site", "stop")


def over_the_wire(attributes: dict[str, Any]) -> dict[str, Any]:
    return attributes_of(key_values(attributes))


@given(outcomes())
def test_decoding_an_outcome_undoes_encoding_it(outcome: Outcome) -> None:
    assert same(decode_outcome(over_the_wire(encode_outcome(outcome))), outcome)


@given(reviews())
def test_decoding_a_review_undoes_encoding_it(review: Review) -> None:
    assert same(decode_review(over_the_wire(encode_review(review))), review)


@pytest.mark.parametrize(
    "wrong",
    [
        {"decision.ref.trace_id": "abc"},
        {"decision.ref.span_id": "g" * 16},
        {"decision.ref.span_id": None},
        {"decision.outcome.label": ""},
        {"decision.outcome.observed_at": "2026-01-01"},
        {"decision.outcome.observed_at": True},
        {"decision.outcome.value": "big"},
        {"decision.outcome.source": None},
    ],
    ids=repr,
)
def test_an_outcome_that_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpan, match=r"^found .*; expected "):
        decode_outcome(encode_outcome(OUTCOME) | wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"decision.ref.trace_id": "abc"},
        {"decision.review.gate": ""},
        {"decision.review.verdict": "approved"},
        {"decision.review.verdict": ["pass"]},
        {"decision.review.by": None},
        {"decision.review.reason": 7},
        {"decision.review.action": 1.0},
    ],
    ids=repr,
)
def test_a_review_that_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpan, match=r"^found .*; expected "):
        decode_review(encode_review(REVIEW) | wrong)


def test_ids_in_upper_case_name_the_same_decision() -> None:
    attributes = encode_outcome(OUTCOME) | {"decision.ref.trace_id": "A" * 32}
    assert decode_outcome(attributes).decision_id == OUTCOME.decision_id
    assert decode_review(encode_review(REVIEW)).decision_id == REVIEW.decision_id
