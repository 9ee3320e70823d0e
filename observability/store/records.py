"""Spans as rows and rows as spans, as inverse functions.

An attribute leaves a row's `rest` only where the columns reproduce it, so nothing that was sent is
lost and an export gives back what came.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import math
import operator
from collections.abc import Iterable, Mapping, Set
from datetime import UTC, datetime, timedelta
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from observability.store.chain_columns import chain_columns, stated_place, stored_place
from traces import codec
from traces.chain import span_digest
from traces.content import Content
from traces.conventions import DECISION_SPAN_PREFIX, DEVICE_ID
from traces.decision import (
    Decision,
    GateVerdict,
    ModelVersion,
    Recommendation,
)
from traces.otlp import attributes_of, key_values

Row = dict[str, Any]
_NO_NAME = "\0"
"""In `rest`, where an empty name stands for the usual one."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_IN_COLUMNS = frozenset(
    {
        codec.TYPE, codec.MODEL_NAME, codec.MODEL_VERSION, codec.MODEL_DIGEST, codec.RECOMMENDED,
        codec.SCORE, codec.THRESHOLD, codec.ACTION, codec.DISPOSITION, codec.INPUT_NAMES,
        codec.INPUT_VALUES, codec.CATEGORICAL_NAMES, codec.CATEGORICAL_VALUES,
        *codec.GATE_TEXTS.values(), *codec.GATE_NUMBERS.values(),
    }
)  # fmt: skip
_CHAIN = frozenset({codec.CHAIN_ID, codec.CHAIN_SEQ, codec.CHAIN_PREV})
_NUMERIC = (
    codec.SCORE, codec.THRESHOLD, codec.PASS_PROBABILITY, codec.INPUT_VALUES,
    *codec.GATE_NUMBERS.values(),
)  # fmt: skip


def decision_row(span: Span, content: Content) -> tuple[Row, Row]:
    """The row of `decisions` and of `layouts` for a decision span and its attributes.

    Takes the span apart: what is left of it is the row's `rest`. Raises InvalidSpan, the span whole.
    """
    decision = codec.decode_decision(content.values)
    columns = _span_columns(span, content)
    key = span_key(span)
    if codec.encode_decision(decision) == content.values and not _has_flags(content.values):
        chained = _CHAIN if decision.chain else frozenset()
        _drop(span, _IN_COLUMNS | chained | _context_texts(decision))
    layout = layout_row(decision.type, tuple(decision.inputs), tuple(decision.categoricals))
    recommendation = decision.recommendation or Recommendation("")
    usual = DECISION_SPAN_PREFIX + decision.type
    span.name = {usual: "", "": _NO_NAME}.get(span.name, span.name)
    return {
        **columns,
        "decision_id": key,
        "decision_type": decision.type,
        "model_name": decision.model.name,
        "model_version": decision.model.version,
        "model_digest": decision.model.digest,
        "decided_at": instant(columns["end_unix_nano"]),
        "recommendation": recommendation.action or None,
        "score": recommendation.score,
        "threshold": recommendation.threshold,
        "action": decision.action,
        "disposition": decision.disposition,
        "layout_id": layout["layout_id"],
        "inputs": list(decision.inputs.values()),
        "categoricals": list(decision.categoricals.values()),
        "gates": [
            dict(zip(_GATE_FIELDS, _GATE_VALUES(gate), strict=True)) for gate in decision.gates
        ],
        "context": [(name, as_text(value)) for name, value in decision.context.items()],
        **chain_columns(decision.chain),
        "rest": _rest(span),
    }, layout


def span_row(span: Span, content: Content) -> Row:
    """The row of `spans` for any other span. Takes the span apart."""
    return {
        "parent_span_id": span.parent_span_id.hex(),
        "name": span.name,
        "attributes": [(name, as_text(value)) for name, value in content.values.items()],
        **whole_row(span, content),
    }


def whole_row(span: Span, content: Content) -> Row:
    """What every table but decisions has of a span, its place in a chain included. Takes the span apart."""
    ids = {"trace_id": span.trace_id.hex(), "span_id": span.span_id.hex()}
    place = stated_place(content.values)
    return {**ids, **_span_columns(span, content), **place, "rest": _rest(span)}


def resource_row(envelope: ResourceSpans) -> Row:
    """The row of `resources` for an envelope, its id from its bytes."""
    data = envelope.SerializeToString(deterministic=True)
    attributes = attributes_of(envelope.resource.attributes)
    scope = envelope.scope_spans[0].scope
    return {
        "resource_id": sha256_id(data),
        "device_id": device_id(envelope),
        "attributes": [(name, as_text(value)) for name, value in attributes.items()],
        "scope_name": scope.name,
        "scope_version": scope.version,
        "envelope": data,
    }


@functools.lru_cache(maxsize=4096)
def layout_row(
    decision_type: str, names: tuple[str, ...], categorical_names: tuple[str, ...]
) -> Row:
    """The row of `layouts` for the names of a decision type's inputs, in their order."""
    text = json.dumps([decision_type, names, categorical_names], ensure_ascii=False)
    return {
        "layout_id": sha256_id(text.encode()),
        "decision_type": decision_type,
        "names": list(names),
        "categorical_names": list(categorical_names),
    }


def stored_span(kind: str, row: Mapping[str, Any]) -> Span:
    """The OTLP span that a row of decisions, outcomes, reviews or spans came from.

    A row of `decisions` must also have the `names` and `categorical_names` of its layout, unless it
    states no inputs.
    """
    span = Span.FromString(row["rest"])
    if kind == "decisions":
        trace_id, _, span_id = row["decision_id"].partition("-")
        decision = stored_decision_value(row)
        usual = DECISION_SPAN_PREFIX + decision.type
        span.name = {"": usual, _NO_NAME: ""}.get(span.name, span.name)
        if not _is_whole(span.attributes):
            del span.attributes[:]
            span.attributes.extend(key_values(codec.encode_decision(decision)))
    else:
        trace_id, span_id = row["trace_id"], row["span_id"]
    span.trace_id, span.span_id = bytes.fromhex(trace_id), bytes.fromhex(span_id)
    span.start_time_unix_nano = row["start_unix_nano"]
    span.end_time_unix_nano = row["end_unix_nano"]
    return span


def stored_decision_value(row: Mapping[str, Any]) -> Decision:
    """The Decision that a row of `decisions`, with the names of its layout, states."""
    pairs = Span.FromString(row["rest"]).attributes
    rest = attributes_of(pairs)
    if _is_whole(pairs):
        return codec.decode_decision(rest)
    names, categorical_names = row.get("names") or [], row.get("categorical_names") or []
    columns = Decision(
        type=row["decision_type"],
        model=ModelVersion(row["model_name"], row["model_version"], row["model_digest"]),
        recommendation=None
        if row["recommendation"] is None
        else Recommendation(
            row["recommendation"], _number(row["score"]), _number(row["threshold"])
        ),
        inputs=dict(zip(names, map(_number, row["inputs"]), strict=False)),
        categoricals=dict(zip(categorical_names, row["categoricals"], strict=False)),
        gates=tuple(
            GateVerdict(**gate | {n: _number(gate[n]) for n in codec.GATE_NUMBERS})
            for gate in row["gates"]
        ),
        action=row["action"],
        disposition=row["disposition"],
        context=dict(row["context"]),
        chain=stored_place(row),
    )
    return codec.decode_decision({**codec.encode_decision(columns), **rest})


def withheld(rest: bytes) -> tuple[str, ...]:
    """The names of what the device kept to itself, from a row's `rest`."""
    if codec.WITHHELD.encode() not in rest:  # a look at the bytes spares taking nearly all apart
        return ()
    names = attributes_of(Span.FromString(rest).attributes).get(codec.WITHHELD)
    return tuple(map(str, names)) if isinstance(names, list | tuple) else ()


def device_id(envelope: ResourceSpans) -> str:
    """The device that the resource claims; empty where it claims none."""
    for pair in envelope.resource.attributes:
        if pair.key == DEVICE_ID:
            return pair.value.string_value
    return ""


def span_key(span: Span) -> str:
    """`<32 hex trace id>-<16 hex span id>`."""
    return f"{span.trace_id.hex()}-{span.span_id.hex()}"


def _is_whole(pairs: Iterable[KeyValue]) -> bool:
    """Whether `rest` has all attributes: as another SDK wrote them, which columns do not reproduce."""
    return any(pair.key == codec.TYPE for pair in pairs)


def _has_flags(values: Mapping[str, Any]) -> bool:
    """Whether a boolean stands where numbers are meant: it equals one, and is another content."""
    numbers = (values.get(name) for name in _NUMERIC)
    return any(bool in map(type, n) if isinstance(n, list) else type(n) is bool for n in numbers)


def _context_texts(decision: Decision) -> set[str]:
    """Context that the text map reproduces exactly."""
    texts = (name for name, value in decision.context.items() if isinstance(value, str))
    return {codec.context_attribute(name) for name in texts}


def _drop(span: Span, names: Set[str]) -> None:
    kept = [pair for pair in span.attributes if pair.key not in names]
    del span.attributes[:]
    span.attributes.extend(kept)


def _number(value: Any) -> Any:
    """As stored; but of 0.0 and -0.0 in one file Parquet keeps whichever came first."""
    return value if value is None else value + 0.0


def _span_columns(span: Span, content: Content) -> Row:
    start, end = span.start_time_unix_nano, span.end_time_unix_nano
    return {
        "start_unix_nano": start,
        "end_unix_nano": end,
        "digest": span_digest(
            span.trace_id, span.span_id, span.name, start, end, content.canonical
        ),
    }


def _rest(span: Span) -> bytes:
    """The span without what every table has columns for."""
    for name in ("trace_id", "span_id", "start_time_unix_nano", "end_time_unix_nano"):
        span.ClearField(name)
    return span.SerializeToString(deterministic=True)


def instant(unix_nano: int) -> datetime:
    """An instant UTC, from nanoseconds since 1970."""
    return _EPOCH + timedelta(microseconds=unix_nano // 1000)


def as_text(value: Any) -> str:
    """A value as text, as OpenTelemetry asks of what is not OTLP: JSON, bytes in base64."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, str):
        return value
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return repr(value)
    return json.dumps(value, ensure_ascii=False, default=as_text)


def sha256_id(data: bytes) -> str:
    """The id of what has these bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


_GATE_FIELDS = ("name", "kind", "verdict", "reason", "input", "operator", "limit", "observed")
_GATE_VALUES = operator.attrgetter(*_GATE_FIELDS)
