"""What is said of a decision later, as rows: outcomes and reviews. `rest` keeps every attribute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from observability.store.records import Row, instant, whole_row
from traces.codec_later import decode_outcome, decode_review
from traces.content import Content
from traces.decision import Outcome, Review
from traces.otlp import attributes_of


def outcome_row(span: Span, content: Content) -> Row:
    """The row of `outcomes` for an outcome span. Takes the span apart; raises InvalidSpan, it whole."""
    outcome = decode_outcome(content.values)
    return {
        **whole_row(span, content),
        "decision_id": outcome.decision_id,
        "label": outcome.label,
        "value": outcome.value,
        "source": outcome.source,
        "observed_at": instant(outcome.observed_unix_nano),
    }


def review_row(span: Span, content: Content) -> Row:
    """The row of `reviews` for a review span. Takes the span apart; raises InvalidSpan, it whole."""
    review = decode_review(content.values)
    row = whole_row(span, content)
    return {
        **row,
        "decision_id": review.decision_id,
        "gate": review.gate,
        "verdict": review.verdict,
        "reviewer": review.by,
        "reason": review.reason,
        "action": review.action or None,
        "reviewed_at": instant(row["end_unix_nano"]),
    }


def stored_outcome_value(row: Mapping[str, Any]) -> Outcome:
    """The Outcome that a row of `outcomes` states."""
    return decode_outcome(attributes_of(Span.FromString(row["rest"]).attributes))


def stored_review_value(row: Mapping[str, Any]) -> Review:
    """The Review that a row of `reviews` states."""
    return decode_review(attributes_of(Span.FromString(row["rest"]).attributes))
