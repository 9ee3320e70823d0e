"""Groups of spans as a batch of rows, and what had to be rejected.

A span that claims to be a decision, an outcome or a review and is not becomes a row of `rejects`; every other
span is kept as it came.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from observability.collect.limits import Limits, check_attributes, check_count, check_times
from observability.store import records, records_later
from observability.store.refused import reject_row
from observability.store.schema import arrow_table
from traces import codec, codec_later
from traces.content import read_content
from traces.conventions import DEVICE_ID, OUTCOME_SPAN, REVIEW_SPAN
from traces.errors import InvalidSpan
from traces.otlp import SpanGroup, attributes_of

_COLUMN_TEXTS = (
    codec.TYPE, codec.MODEL_NAME, codec.MODEL_VERSION, codec.MODEL_DIGEST, codec.RECOMMENDED,
    codec.ACTION, codec.DISPOSITION, codec_later.LABEL, codec_later.SOURCE,
    codec.CHAIN_ID, codec_later.REVIEW_GATE, codec_later.REVIEW_BY, codec_later.REVIEW_REASON,
    codec_later.REVIEW_ACTION,
)  # fmt: skip
_LONGEST_REASON = 500
_DECISION_MARKS = (codec.TYPE, codec.ACTION, codec.DISPOSITION)


@dataclass(slots=True)
class Decoded:
    """Rows by table, and the reason of each rejected span.

    `decided` are the decisions' places among all spans that were decoded.
    """

    rows: dict[str, list[records.Row]] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    decided: list[int] = field(default_factory=list)
    spans: int = 0

    def add(self, table: str, row: records.Row) -> None:
        """Put a row to its table."""
        self.rows.setdefault(table, []).append(row)

    def batch(self, received_at: datetime | None = None) -> dict[str, pa.Table]:
        """The rows as Arrow tables, received then (UTC), or when they are written."""
        return {name: arrow_table(name, rows, received_at) for name, rows in self.rows.items()}


def decode(
    groups: Iterable[SpanGroup], *, origin: str, identity: str, limits: Limits | None = None
) -> Decoded:
    """Decode groups of spans that came by `origin` (otlp, import) from `identity`. Never raises."""
    limits = limits or Limits()
    decoded = Decoded()
    layouts: dict[str, records.Row] = {}
    for group in groups:
        if group.spans or group.unread:
            _decode_group(decoded, layouts, group, {"origin": origin, "identity": identity}, limits)
    for layout in layouts.values():
        decoded.add("layouts", layout)
    return decoded


def _decode_group(
    decoded: Decoded,
    layouts: dict[str, records.Row],
    group: SpanGroup,
    stamp: dict[str, Any],
    limits: Limits,
) -> None:
    device = ""
    try:
        resource = checked_resource(group.envelope, limits)
    except InvalidSpan as error:
        for span in group.spans:
            _reject(decoded, device, str(error), span.SerializeToString())
        decoded.spans += len(group.spans)
    else:
        decoded.add("resources", resource)
        device = resource["device_id"]
        stamp = stamp | {"device_id": device, "resource_id": resource["resource_id"]}
        for span in group.spans:
            try:
                _decode_span(decoded, layouts, span, stamp, limits)
            except InvalidSpan as error:
                _reject(decoded, device, str(error), span.SerializeToString())
            decoded.spans += 1
    for unread in group.unread:
        _reject(decoded, device, unread.reason, unread.raw)


def checked_resource(envelope: ResourceSpans, limits: Limits) -> records.Row:
    """The row of `resources` for an envelope. Raises InvalidSpan where it is over a limit or has a NUL."""
    return _checked_resource(envelope.SerializeToString(deterministic=True), limits)


@functools.lru_cache(maxsize=4096)
def _checked_resource(envelope: bytes, limits: Limits) -> records.Row:
    """The row of a resource, which a device sends with each request and hardly ever changes."""
    parsed = ResourceSpans.FromString(envelope)
    check_attributes(limits, attributes_of(parsed.resource.attributes))
    check_attributes(limits, attributes_of(parsed.scope_spans[0].scope.attributes))
    row = records.resource_row(parsed)
    _check_texts(row)
    return row


def _decode_span(
    decoded: Decoded,
    layouts: dict[str, records.Row],
    span: Span,
    stamp: dict[str, Any],
    limits: Limits,
) -> None:
    _check_ids(span)
    check_times(span.start_time_unix_nano, span.end_time_unix_nano)
    content = read_content(span.attributes)
    attributes = content.values
    _check_texts({"name": span.name} | {name: attributes.get(name) for name in _COLUMN_TEXTS})
    check_count(limits, attributes)
    check_attributes(limits, content.measured)
    for part in (*span.events, *span.links):
        check_attributes(limits, attributes_of(part.attributes))
    if any(mark in attributes for mark in _DECISION_MARKS):
        _require_device(stamp)
        row, layout = records.decision_row(span, content)
        decoded.add("decisions", row | stamp)
        decoded.decided.append(decoded.spans)
        layouts[layout["layout_id"]] = layout
    elif span.name == OUTCOME_SPAN or codec_later.LABEL in attributes:
        _require_device(stamp)
        decoded.add("outcomes", records_later.outcome_row(span, content) | stamp)
    elif span.name == REVIEW_SPAN or codec_later.REVIEW_VERDICT in attributes:
        _require_device(stamp)
        decoded.add("reviews", records_later.review_row(span, content) | stamp)
    else:
        decoded.add("spans", records.span_row(span, content) | stamp)


def _check_ids(span: Span) -> None:
    for name, value, length in (("trace id", span.trace_id, 16), ("span id", span.span_id, 8)):
        if len(value) != length or not any(value):
            raise InvalidSpan(
                f"{name} {value[:32].hex() or '(empty)'}", f"{length} bytes, not all zero"
            )


def _require_device(stamp: dict[str, Any]) -> None:
    if not stamp["device_id"]:
        raise InvalidSpan(f"a resource without {DEVICE_ID}", "the device that decided")


def _check_texts(columns: Mapping[str, Any]) -> None:
    """Refuse a NUL: DuckLake cannot compare a column with such a text again."""
    for name, value in columns.items():
        if isinstance(value, str) and "\0" in value:
            raise InvalidSpan(f"a NUL character in {name}", "text without one")


def _reject(decoded: Decoded, device: str, reason: str, raw: bytes) -> None:
    reason = " ".join(reason.replace("\0", "\\0").splitlines())[:_LONGEST_REASON]
    decoded.reasons.append(reason)
    decoded.add("rejects", reject_row(device, reason, raw))
