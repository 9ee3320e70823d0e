"""Decision <-> span attributes, as inverse functions; what is said of it later is in codec_later.py.

For every valid value, `decode_decision(encode_decision(d)) == d`. Decoding also takes what other SDKs
write for the same thing. No other file spells an attribute's meaning.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from operator import attrgetter
from typing import Any, cast

from traces.chain import CHAIN_ID, CHAIN_PREV, CHAIN_SEQ
from traces.conventions import CONTEXT_PREFIX, INPUT_PREFIX, REUSED_CONTEXT, registered
from traces.decision import (
    DISPOSITIONS,
    GATE_KINDS,
    VERDICTS,
    ChainPosition,
    ClockReading,
    Decision,
    Disposition,
    GateVerdict,
    ModelVersion,
    Recommendation,
    Scalar,
)
from traces.errors import InvalidSpan
from traces.taking import (
    Attributes,
    number,
    numbers,
    one_of,
    sequence,
    take_amount,
    take_columns,
    take_count,
    take_flag,
    take_number,
    take_text,
    texts,
)

TYPE = registered("decision.type")
MODEL_NAME = registered("decision.model.name")
MODEL_VERSION = registered("decision.model.version")
MODEL_DIGEST = registered("decision.model.digest")
RECOMMENDED = registered("decision.recommendation.action")
SCORE = registered("decision.recommendation.score")
THRESHOLD = registered("decision.recommendation.threshold")
PROPOSED_VALUE = registered("decision.recommendation.value")
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
ACTION_VALUE = registered("decision.action.value")
DISPOSITION = registered("decision.disposition")
LATENCY_US = registered("decision.latency_us")
BUDGET_US = registered("decision.budget_us")
WITHHELD = registered("decision.withheld")
BOOT_ID = registered("decision.clock.boot_id")
MONOTONIC_NS = registered("decision.clock.monotonic_ns")
SYNCED = registered("decision.clock.synced")

_HEX_64 = re.compile("[0-9a-f]{64}")
_gate_columns = attrgetter(*GATE_TEXTS, *GATE_NUMBERS)
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
        _put(out, PROPOSED_VALUE, decision.recommendation.value)
    if decision.inputs:
        out[INPUT_NAMES] = list(decision.inputs)
        out[INPUT_VALUES] = list(map(float, decision.inputs.values()))
    if decision.categoricals:
        out[CATEGORICAL_NAMES] = list(decision.categoricals)
        out[CATEGORICAL_VALUES] = list(decision.categoricals.values())
    if decision.gates:
        columns = zip(*map(_gate_columns, decision.gates), strict=True)
        out.update(zip(GATE_TEXTS.values(), map(list, columns), strict=False))
        for name, column in zip(GATE_NUMBERS.values(), columns, strict=True):
            out[name] = list(map(float, column))
    out[ACTION] = decision.action
    _put(out, ACTION_VALUE, decision.value)
    out[DISPOSITION] = decision.disposition
    out.update(encode_circumstances(decision))
    return out


def encode_circumstances(decision: Decision) -> Attributes:
    """The part of the span attributes that says under what circumstances it was decided."""
    out: Attributes = {}
    _put(out, PASS_PROBABILITY, decision.pass_probability)
    _put(out, EXPLORATION, decision.exploration)
    _put(out, LATENCY_US, decision.latency_us)
    _put(out, BUDGET_US, decision.budget_us)
    if decision.withheld:
        out[WITHHELD] = list(decision.withheld)
    if decision.chain is not None:
        out[CHAIN_ID] = decision.chain.chain_id
        out[CHAIN_SEQ] = decision.chain.seq
        out[CHAIN_PREV] = decision.chain.prev
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
        type=take_text(left, TYPE),
        model=ModelVersion(
            take_text(left, MODEL_NAME),
            take_text(left, MODEL_VERSION),
            take_text(left, MODEL_DIGEST),
        ),
        recommendation=_take_recommendation(left),
        inputs=inputs,
        categoricals=categoricals,
        gates=_take_gates(left),
        pass_probability=take_number(left, PASS_PROBABILITY),
        exploration=take_flag(left, EXPLORATION),
        action=take_text(left, ACTION),
        value=take_amount(left, ACTION_VALUE),
        disposition=cast(
            "Disposition", one_of(DISPOSITIONS, DISPOSITION, left.pop(DISPOSITION, None))
        ),
        latency_us=take_count(left, LATENCY_US),
        budget_us=take_count(left, BUDGET_US),
        withheld=_take_withheld(left),
        chain=take_chain(left),
        clock=_take_clock(left),
        context=_take_context(left),
        extra=left,
    )


@functools.lru_cache(1024)
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
        zip(*take_columns(left, {INPUT_NAMES: texts, INPUT_VALUES: numbers}), strict=True)
    )
    categoricals = dict(
        zip(
            *take_columns(left, {CATEGORICAL_NAMES: texts, CATEGORICAL_VALUES: texts}),
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
            inputs[name] = number(_INPUT_MAP + "." + name, value)
    return inputs, categoricals


def _take_gates(left: Attributes) -> tuple[GateVerdict, ...]:
    readers = dict.fromkeys(GATE_TEXTS.values(), texts) | dict.fromkeys(
        GATE_NUMBERS.values(), numbers
    )
    given = [name for name in readers if left.get(name) is not None]
    if not given:
        return ()
    count = len(sequence(given[0], left[given[0]]))
    for name in (GATE_TEXTS["reason"], GATE_TEXTS["input"], GATE_TEXTS["operator"]):
        left.setdefault(name, [""] * count)
    for name in GATE_NUMBERS.values():
        left.setdefault(name, [math.nan] * count)
    columns = take_columns(left, readers, distinct=False)
    for allowed, field in ((GATE_KINDS, 1), (VERDICTS, 2)):
        for value in columns[field]:
            one_of(allowed, list(readers)[field], value)
    return tuple(GateVerdict(*row) for row in zip(*columns, strict=True))


def _take_recommendation(left: Attributes) -> Recommendation | None:
    score = take_number(left, SCORE)
    threshold = take_number(left, THRESHOLD)
    if RECOMMENDED not in left:
        if score is None and threshold is None:
            return None
        raise InvalidSpan(f"a score or threshold without {RECOMMENDED}", "the recommended action")
    action = take_text(left, RECOMMENDED)
    return Recommendation(action, score, threshold, take_amount(left, PROPOSED_VALUE))


def _take_withheld(left: Attributes) -> tuple[str, ...]:
    """What was withheld; anything but texts stays where it is: no reason to refuse a decision."""
    names = left.get(WITHHELD)
    if not isinstance(names, list | tuple) or not names or set(map(type, names)) != {str}:
        return ()
    del left[WITHHELD]
    return tuple(names)


def take_chain(left: Attributes) -> ChainPosition | None:
    """The position that all three attributes state; else they stay: no reason to refuse a decision."""
    chain_id, seq, prev = (left.get(name) for name in (CHAIN_ID, CHAIN_SEQ, CHAIN_PREV))
    if not (isinstance(chain_id, str) and chain_id and isinstance(prev, str)):
        return None
    if type(seq) is not int or seq < 0 or not _HEX_64.fullmatch(prev):
        return None
    del left[CHAIN_ID], left[CHAIN_SEQ], left[CHAIN_PREV]
    return ChainPosition(chain_id, seq, prev)


def _take_clock(left: Attributes) -> ClockReading | None:
    if BOOT_ID not in left and MONOTONIC_NS not in left:
        return None
    monotonic = left.pop(MONOTONIC_NS, None)
    if not isinstance(monotonic, int) or isinstance(monotonic, bool):
        raise InvalidSpan(f"{MONOTONIC_NS} = {monotonic!r}", "an int, nanoseconds")
    return ClockReading(take_text(left, BOOT_ID), monotonic, bool(take_flag(left, SYNCED) or False))


def _take_context(left: Attributes) -> dict[str, Scalar]:
    context: dict[str, Scalar] = {}
    for attribute in list(left):
        name = context_name(attribute)
        if name is not None and isinstance(left[attribute], str | bool | int | float):
            context[name] = left.pop(attribute)
    return context
