"""What is said of a decision later: outcomes and reviews <-> span attributes, as inverse functions.

For every valid value, decoding undoes encoding. Both name their decision by `decision.ref.*`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from traces.conventions import registered
from traces.decision import VERDICTS, Outcome, Review, Verdict
from traces.errors import InvalidSpan
from traces.taking import Attributes, one_of, take_hex, take_number, take_text

REF_TRACE_ID = registered("decision.ref.trace_id")
REF_SPAN_ID = registered("decision.ref.span_id")
LABEL = registered("decision.outcome.label")
VALUE = registered("decision.outcome.value")
SOURCE = registered("decision.outcome.source")
OBSERVED_AT = registered("decision.outcome.observed_at")
REVIEW_GATE = registered("decision.review.gate")
REVIEW_VERDICT = registered("decision.review.verdict")
REVIEW_BY = registered("decision.review.by")
REVIEW_REASON = registered("decision.review.reason")
REVIEW_ACTION = registered("decision.review.action")


def encode_outcome(outcome: Outcome) -> Attributes:
    """The span attributes of an outcome."""
    out: Attributes = {
        REF_TRACE_ID: outcome.trace_id,
        REF_SPAN_ID: outcome.span_id,
        LABEL: outcome.label,
    }
    if outcome.value is not None:
        out[VALUE] = outcome.value
    out[SOURCE] = outcome.source
    out[OBSERVED_AT] = outcome.observed_unix_nano
    out.update(outcome.extra)
    return out


def decode_outcome(attributes: Mapping[str, Any]) -> Outcome:
    """The outcome that these span attributes state. Raises InvalidSpan where one is missing or mistyped."""
    left = dict(attributes)
    trace_id = take_hex(left, REF_TRACE_ID, 32)
    span_id = take_hex(left, REF_SPAN_ID, 16)
    observed = left.pop(OBSERVED_AT, None)
    if not isinstance(observed, int) or isinstance(observed, bool):
        raise InvalidSpan(f"{OBSERVED_AT} = {observed!r}", "an int, nanoseconds since 1970 UTC")
    return Outcome(
        trace_id=trace_id,
        span_id=span_id,
        label=take_text(left, LABEL),
        value=take_number(left, VALUE),
        source=take_text(left, SOURCE),
        observed_unix_nano=observed,
        extra=left,
    )


def encode_review(review: Review) -> Attributes:
    """The span attributes of a review."""
    out: Attributes = {
        REF_TRACE_ID: review.trace_id,
        REF_SPAN_ID: review.span_id,
        REVIEW_GATE: review.gate,
        REVIEW_VERDICT: review.verdict,
        REVIEW_BY: review.by,
    }
    if review.reason:
        out[REVIEW_REASON] = review.reason
    if review.action:
        out[REVIEW_ACTION] = review.action
    out.update(review.extra)
    return out


def decode_review(attributes: Mapping[str, Any]) -> Review:
    """The review that these span attributes state. Raises InvalidSpan where one is missing or mistyped."""
    left = dict(attributes)
    return Review(
        trace_id=take_hex(left, REF_TRACE_ID, 32),
        span_id=take_hex(left, REF_SPAN_ID, 16),
        gate=take_text(left, REVIEW_GATE),
        verdict=cast("Verdict", one_of(VERDICTS, REVIEW_VERDICT, left.pop(REVIEW_VERDICT, None))),
        by=take_text(left, REVIEW_BY),
        reason=take_text(left, REVIEW_REASON) if REVIEW_REASON in left else "",
        action=take_text(left, REVIEW_ACTION) if REVIEW_ACTION in left else "",
        extra=left,
    )
