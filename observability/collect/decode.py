"""Groups of spans as a batch of rows, and what had to be rejected.

A span that claims to be a decision or an outcome and is not becomes a row of `rejects`; every other
span is kept as it came.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from observability.collect.limits import Limits, check_attributes, check_times
from observability.store import records
from observability.store.schema import arrow_table
from traces import codec
from traces.conventions import DEVICE_ID, OUTCOME_SPAN
from traces.errors import InvalidSpan
from traces.otlp import SpanGroup, attributes_of

_DECISION_MARKS = (codec.TYPE, codec.ACTION, codec.DISPOSITION)


@dataclass(slots=True)
class Decoded:
    """Rows by table, and the reason of each rejected span."""

    rows: dict[str, list[records.Row]] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    def add(self, table: str, row: records.Row) -> None:
        """Put a row to its table."""
        self.rows.setdefault(table, []).append(row)

    def batch(self) -> dict[str, pa.Table]:
        """The rows as Arrow tables."""
        return {name: arrow_table(name, rows) for name, rows in self.rows.items()}


def decode(
    groups: Iterable[SpanGroup], *, origin: str, identity: str, limits: Limits | None = None
) -> Decoded:
    """Decode groups of spans that came by `origin` (otlp, import) from `identity`. Never raises."""
    limits = limits or Limits()
    decoded = Decoded()
    layouts: dict[str, records.Row] = {}
    for group in groups:
        resource = records.resource_row(group.envelope)
        stamp = {
            "device_id": resource["device_id"],
            "resource_id": resource["resource_id"],
            "origin": origin,
            "identity": identity,
        }
        decoded.add("resources", resource)
        for span in group.spans:
            try:
                _decode_span(decoded, layouts, span, stamp, limits)
            except InvalidSpan as error:
                _reject(decoded, stamp["device_id"], str(error), span.SerializeToString())
        for unread in group.unread:
            _reject(decoded, stamp["device_id"], unread.reason, unread.raw)
    for layout in layouts.values():
        decoded.add("layouts", layout)
    return decoded


def _decode_span(
    decoded: Decoded,
    layouts: dict[str, records.Row],
    span: Span,
    stamp: dict[str, Any],
    limits: Limits,
) -> None:
    _check_ids(span)
    check_times(span.start_time_unix_nano, span.end_time_unix_nano)
    attributes = attributes_of(span.attributes)
    check_attributes(limits, attributes)
    if any(mark in attributes for mark in _DECISION_MARKS):
        _require_device(stamp)
        row, layout = records.decision_row(span, attributes)
        layouts[layout["layout_id"]] = layout
        decoded.add("decisions", row | stamp)
    elif span.name == OUTCOME_SPAN or codec.LABEL in attributes:
        _require_device(stamp)
        decoded.add("outcomes", records.outcome_row(span, attributes) | stamp)
    else:
        decoded.add("spans", records.span_row(span, attributes) | stamp)


def _check_ids(span: Span) -> None:
    for name, value, length in (("trace id", span.trace_id, 16), ("span id", span.span_id, 8)):
        if len(value) != length or not any(value):
            raise InvalidSpan(
                f"{name} {value[:32].hex() or '(empty)'}", f"{length} bytes, not all zero"
            )


def _require_device(stamp: dict[str, Any]) -> None:
    if not stamp["device_id"]:
        raise InvalidSpan(f"a resource without {DEVICE_ID}", "the device that decided")


def _reject(decoded: Decoded, device: str, reason: str, raw: bytes) -> None:
    decoded.reasons.append(reason)
    decoded.add("rejects", records.reject_row(device, reason, raw))
