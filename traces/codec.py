"""Decision <-> span attributes and Outcome <-> span attributes, as inverse functions.

For every valid value, `decode_decision(encode_decision(d)) == d` and the same for outcomes. Decoding
also takes what other SDKs write for the same thing. No other file spells an attribute's meaning.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from traces.conventions import CONTEXT_PREFIX, INPUT_PREFIX, REUSED_CONTEXT, registered
from traces.decision import (
    DISPOSITIONS,
    GATE_KINDS,
    VERDICTS,
    ClockReading,
    Decision,
    Disposition,
    GateVerdict,
    ModelVersion,
    Outcome,
    Recommendation,
    Scalar,
)
from traces.errors import InvalidSpan

Attributes = dict[str, Any]
"""Attribute values as Python values: str, bool, int, float, bytes, None, list or dict of them."""

TYPE = registered("decision.type")
MODEL_NAME = registered("decision.model.name")
MODEL_VERSION = registered("decision.model.version")
MODEL_DIGEST = registered("decision.model.digest")
RECOMMENDED = registered("decision.recommendation.action")
SCORE = registered("decision.recommendation.score")
THRESHOLD = registered("decision.recommendation.threshold")
INPUT_NAMES = registered("decision.input.names")
INPUT_VALUES = registered("decision.input.values")
CATEGORICAL_NAMES = registered("decision.input.categorical.names")
CATEGORICAL_VALUES = registered("decision.input.categorical.values")
GATE_TEXTS = {
    "name": registered("decision.gate.names"),
    "kind": registered("decision.gate.kinds"),
    "verdict": registered("decision.gate.verdicts"),
    "reason": registered("decision.gate.reasons"),
    "input": registered("decision.gate.inputs"),
    "operator": registered("decision.gate.operators"),
}
GATE_NUMBERS = {
    "limit": registered("decision.gate.limits"),
    "observed": registered("decision.gate.observed"),
}
PASS_PROBABILITY = registered("decision.gate.pass_probability")
EXPLORATION = registered("decision.exploration")
ACTION = registered("decision.action")
DISPOSITION = registered("decision.disposition")
BOOT_ID = registered("decision.clock.boot_id")
MONOTONIC_NS = registered("decision.clock.monotonic_ns")
SYNCED = registered("decision.clock.synced")
REF_TRACE_ID = registered("decision.ref.trace_id")
REF_SPAN_ID = registered("decision.ref.span_id")
LABEL = registered("decision.outcome.label")
VALUE = registered("decision.outcome.value")
SOURCE = registered("decision.outcome.source")
OBSERVED_AT = registered("decision.outcome.observed_at")

_INPUT_MAP = INPUT_PREFIX.removesuffix(".")


def encode_decision(decision: Decision) -> Attributes:
    """The span attributes of a decision, in the registry's order, `extra` last."""
    out: Attributes = {
        TYPE: decision.type,
        MODEL_NAME: decision.model.name,
        MODEL_VERSION: decision.model.version,
        MODEL_DIGEST: decision.model.digest,
    }
    if decision.recommendation is not None:
        out[RECOMMENDED] = decision.recommendation.action
        _put(out, SCORE, decision.recommendation.score)
        _put(out, THRESHOLD, decision.recommendation.threshold)
    if decision.inputs:
        out[INPUT_NAMES] = list(decision.inputs)
        out[INPUT_VALUES] = [float(value) for value in decision.inputs.values()]
    if decision.categoricals:
        out[CATEGORICAL_NAMES] = list(decision.categoricals)
        out[CATEGORICAL_VALUES] = list(decision.categoricals.values())
    if decision.gates:
        for field, name in GATE_TEXTS.items():
            out[name] = [getattr(gate, field) for gate in decision.gates]
        for field, name in GATE_NUMBERS.items():
            out[name] = [float(getattr(gate, field)) for gate in decision.gates]
    out[ACTION] = decision.action
    out[DISPOSITION] = decision.disposition
    out.update(encode_circumstances(decision))
    return out


def encode_circumstances(decision: Decision) -> Attributes:
    """The part of the span attributes that says under what circumstances it was decided."""
    out: Attributes = {}
    _put(out, PASS_PROBABILITY, decision.pass_probability)
    _put(out, EXPLORATION, decision.exploration)
    if decision.clock is not None:
        out[BOOT_ID] = decision.clock.boot_id
        out[MONOTONIC_NS] = decision.clock.monotonic_ns
        out[SYNCED] = decision.clock.synced
    for name, value in decision.context.items():
        out[context_attribute(name)] = value
    out.update(decision.extra)
    return out


def decode_decision(attributes: Mapping[str, Any]) -> Decision:
    """The decision that these span attributes state.

    Raises InvalidSpan where a required attribute is missing or one has a type or length that cannot be meant.
    """
    left = dict(attributes)
    inputs, categoricals = _take_inputs(left)
    return Decision(
        type=_take_text(left, TYPE),
        model=ModelVersion(
            _take_text(left, MODEL_NAME),
            _take_text(left, MODEL_VERSION),
            _take_text(left, MODEL_DIGEST),
        ),
        recommendation=_take_recommendation(left),
        inputs=inputs,
        categoricals=categoricals,
        gates=_take_gates(left),
        pass_probability=_take_number(left, PASS_PROBABILITY),
        exploration=_take_flag(left, EXPLORATION),
        action=_take_text(left, ACTION),
        disposition=cast(
            "Disposition", _one_of(DISPOSITIONS, DISPOSITION, left.pop(DISPOSITION, None))
        ),
        clock=_take_clock(left),
        context=_take_context(left),
        extra=left,
    )


def encode_outcome(outcome: Outcome) -> Attributes:
    """The span attributes of an outcome."""
    out: Attributes = {
        REF_TRACE_ID: outcome.trace_id,
        REF_SPAN_ID: outcome.span_id,
        LABEL: outcome.label,
    }
    _put(out, VALUE, outcome.value)
    out[SOURCE] = outcome.source
    out[OBSERVED_AT] = outcome.observed_unix_nano
    out.update(outcome.extra)
    return out


def decode_outcome(attributes: Mapping[str, Any]) -> Outcome:
    """The outcome that these span attributes state. Raises InvalidSpan where one is missing or mistyped."""
    left = dict(attributes)
    trace_id = _take_hex(left, REF_TRACE_ID, 32)
    span_id = _take_hex(left, REF_SPAN_ID, 16)
    observed = left.pop(OBSERVED_AT, None)
    if not isinstance(observed, int) or isinstance(observed, bool):
        raise InvalidSpan(f"{OBSERVED_AT} = {observed!r}", "an int, nanoseconds since 1970 UTC")
    return Outcome(
        trace_id=trace_id,
        span_id=span_id,
        label=_take_text(left, LABEL),
        value=_take_number(left, VALUE),
        source=_take_text(left, SOURCE),
        observed_unix_nano=observed,
        extra=left,
    )


def context_attribute(name: str) -> str:
    """The attribute that carries the context value `name`."""
    return name if name.startswith(REUSED_CONTEXT) else CONTEXT_PREFIX + name


def context_name(attribute: str) -> str | None:
    """The context value that `attribute` carries; None where it carries none."""
    if attribute.startswith(REUSED_CONTEXT):
        return attribute
    name = attribute.removeprefix(CONTEXT_PREFIX)
    if name in ("", attribute) or name.startswith(REUSED_CONTEXT):
        return None
    return name


def _put(out: Attributes, name: str, value: float | None) -> None:
    if value is not None:
        out[name] = value


def _take_inputs(left: Attributes) -> tuple[dict[str, float], dict[str, str]]:
    inputs = dict(
        zip(*_take_columns(left, {INPUT_NAMES: _texts, INPUT_VALUES: _numbers}), strict=True)
    )
    categoricals = dict(
        zip(
            *_take_columns(left, {CATEGORICAL_NAMES: _texts, CATEGORICAL_VALUES: _texts}),
            strict=True,
        )
    )
    named = dict(left.pop(_INPUT_MAP)) if isinstance(left.get(_INPUT_MAP), dict) else {}
    for attribute in [name for name in left if name.startswith(INPUT_PREFIX)]:
        named[attribute.removeprefix(INPUT_PREFIX)] = left.pop(attribute)
    for name, value in named.items():
        if isinstance(value, str):
            categoricals[name] = value
        else:
            inputs[name] = _number(_INPUT_MAP + "." + name, value)
    return inputs, categoricals


def _take_columns(left: Attributes, columns: Mapping[str, Any]) -> list[list[Any]]:
    """Take synchronised arrays; all absent is all empty."""
    arrays = {name: left.pop(name, None) for name in columns}
    if all(array is None for array in arrays.values()):
        return [[] for _ in columns]
    parsed = [
        read(name, arrays[name] if arrays[name] is not None else [])
        for name, read in columns.items()
    ]
    if len({len(array) for array in parsed}) > 1:
        found = ", ".join(
            f"{len(array)} {name}" for name, array in zip(columns, parsed, strict=True)
        )
        raise InvalidSpan(found, "arrays of one length")
    names = parsed[0]
    if len(set(names)) != len(names) and next(iter(columns)) != GATE_TEXTS["name"]:
        raise InvalidSpan(f"a name twice in {next(iter(columns))}", "each input once")
    return parsed


def _take_gates(left: Attributes) -> tuple[GateVerdict, ...]:
    readers = dict.fromkeys(GATE_TEXTS.values(), _texts) | dict.fromkeys(
        GATE_NUMBERS.values(), _numbers
    )
    given = [name for name in readers if left.get(name) is not None]
    if not given:
        return ()
    count = len(_sequence(given[0], left[given[0]]))
    for name in (GATE_TEXTS["reason"], GATE_TEXTS["input"], GATE_TEXTS["operator"]):
        left.setdefault(name, [""] * count)
    for name in GATE_NUMBERS.values():
        left.setdefault(name, [math.nan] * count)
    columns = _take_columns(left, readers)
    for allowed, field in ((GATE_KINDS, 1), (VERDICTS, 2)):
        for value in columns[field]:
            _one_of(allowed, list(readers)[field], value)
    return tuple(GateVerdict(*row) for row in zip(*columns, strict=True))


def _take_recommendation(left: Attributes) -> Recommendation | None:
    score = _take_number(left, SCORE)
    threshold = _take_number(left, THRESHOLD)
    if RECOMMENDED not in left:
        if score is None and threshold is None:
            return None
        raise InvalidSpan(f"a score or threshold without {RECOMMENDED}", "the recommended action")
    return Recommendation(_take_text(left, RECOMMENDED), score, threshold)


def _take_clock(left: Attributes) -> ClockReading | None:
    if BOOT_ID not in left and MONOTONIC_NS not in left:
        return None
    monotonic = left.pop(MONOTONIC_NS, None)
    if not isinstance(monotonic, int) or isinstance(monotonic, bool):
        raise InvalidSpan(f"{MONOTONIC_NS} = {monotonic!r}", "an int, nanoseconds")
    return ClockReading(
        _take_text(left, BOOT_ID), monotonic, bool(_take_flag(left, SYNCED) or False)
    )


def _take_context(left: Attributes) -> dict[str, Scalar]:
    context: dict[str, Scalar] = {}
    for attribute in list(left):
        name = context_name(attribute)
        if name is not None and isinstance(left[attribute], str | bool | int | float):
            context[name] = left.pop(attribute)
    return context


def _take_text(left: Attributes, name: str) -> str:
    value = left.pop(name, None)
    if not isinstance(value, str) or not value:
        raise InvalidSpan(f"{name} = {value!r}", "a text that is not empty")
    return value


def _take_hex(left: Attributes, name: str, length: int) -> str:
    value = _take_text(left, name).lower()
    if len(value) != length or any(digit not in "0123456789abcdef" for digit in value):
        raise InvalidSpan(f"{name} = {value!r}", f"{length} hex digits")
    return value


def _take_number(left: Attributes, name: str) -> float | None:
    return _number(name, left.pop(name)) if name in left else None


def _take_flag(left: Attributes, name: str) -> bool | None:
    value = left.pop(name, None)
    if value is not None and not isinstance(value, bool):
        raise InvalidSpan(f"{name} = {value!r}", "a boolean")
    return value


def _one_of(allowed: Iterable[str], name: str, value: object) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise InvalidSpan(f"{name} = {value!r}", "one of " + ", ".join(allowed))
    return value


def _sequence(name: str, value: object) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise InvalidSpan(f"{name} = {value!r}", "an array")
    return value


def _texts(name: str, value: object) -> list[str]:
    items = list(_sequence(name, value))
    if set(map(type, items)) <= {str}:
        return items
    raise InvalidSpan(f"{value!r:.80} in {name}", "an array of strings")


def _numbers(name: str, value: object) -> list[float]:
    items = list(_sequence(name, value))
    if set(map(type, items)) <= {float}:
        return items
    return [_number(name, item) for item in items]


def _number(name: str, value: object) -> float:
    """A double; null is NaN, since JSON exporters write NaN so."""
    if value is None:
        return math.nan
    if not isinstance(value, bool | int | float):
        raise InvalidSpan(f"{value!r:.80} in {name}", "a number")
    return float(value)
