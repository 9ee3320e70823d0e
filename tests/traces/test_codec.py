from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.strategies import VALUES, decisions, same
from tests.traces.test_codec_later import OUTCOME, REVIEW
from traces import ChainPosition, ClockReading, Decision, Gate, ModelVersion, Recommendation
from traces.codec import decode_decision, encode_decision
from traces.codec_later import encode_outcome, encode_review
from traces.conventions import NAMES, REGISTRY
from traces.errors import InvalidSpan
from traces.otlp import attributes_of, key_values

MODEL = ModelVersion("guard", "1.4.0", "sha256:" + "0" * 64)
FULL = Decision(
    type="pump.stop",
    model=MODEL,
    action="run",
    disposition="blocked",
    recommendation=Recommendation("stop", 0.64, 0.5),
    inputs={"temperature": 91.5, "vibration": math.nan},
    categoricals={"valve": "open"},
    gates=(Gate("max_temperature", "temperature", "<=", 80.0).judge({"temperature": 91.5}),),
    pass_probability=0.9,
    exploration=False,
    chain=ChainPosition("c0ffee", 0, "0" * 64),
    clock=ClockReading("boot-1", 12, synced=True),
    extra={"error.type": "ValueError"},
)
WITH_VALUES = replace(
    FULL,
    recommendation=Recommendation("stop", 0.64, 0.5, 0.9),
    value=0.62,
    latency_us=412,
    budget_us=2000,
    withheld=("load", "enduser.id"),
)
BARE = {
    "decision.type": "pump.stop",
    "decision.model.name": "guard",
    "decision.model.version": "1",
    "decision.model.digest": "sha256:0",
    "decision.action": "run",
    "decision.disposition": "executed",
}


def over_the_wire(attributes: dict[str, Any]) -> dict[str, Any]:
    data = Span(attributes=key_values(attributes)).SerializeToString()
    return attributes_of(Span.FromString(data).attributes)


@given(decisions())
def test_decoding_a_decision_undoes_encoding_it(decision: Decision) -> None:
    assert same(decode_decision(encode_decision(decision)), decision)


@given(decisions())
def test_a_decision_comes_through_protobuf_as_it_was(decision: Decision) -> None:
    assert same(decode_decision(over_the_wire(encode_decision(decision))), decision)


@pytest.mark.parametrize(
    "wrong",
    [
        {"decision.chain.id": ""},
        {"decision.chain.id": 7},
        {"decision.chain.seq": -1},
        {"decision.chain.seq": 1.0},
        {"decision.chain.seq": True},
        {"decision.chain.prev": "F" * 64},
        {"decision.chain.prev": "f" * 63},
        {"decision.chain.prev": None},
    ],
    ids=repr,
)
def test_a_chain_position_that_cannot_be_meant_stays_as_it_came(wrong: dict[str, Any]) -> None:
    sent = {"decision.chain.id": "c", "decision.chain.seq": 0, "decision.chain.prev": "f" * 64}
    decision = decode_decision(BARE | sent | wrong)
    assert (decision.chain, decision.extra) == (None, sent | wrong)


@given(decisions())
def test_decoding_changes_nothing_of_what_it_is_given(decision: Decision) -> None:
    attributes = encode_decision(decision) | {"decision.input": {"a": 1.0}, "decision.input.b": 2.0}
    assume(not {"a", "b"} & (decision.inputs.keys() | decision.categoricals.keys()))
    before = repr(attributes)
    decode_decision(attributes)
    assert repr(attributes) == before


def test_every_registered_name_of_a_span_is_written_by_the_codec() -> None:
    written = encode_decision(WITH_VALUES).keys()
    written |= encode_outcome(OUTCOME).keys() | encode_review(REVIEW).keys()
    by_codec = ("decision", "outcome", "review")
    assert written == {attribute.name for attribute in REGISTRY if attribute.on in by_codec}


@given(decisions())
def test_every_name_that_the_codec_writes_is_registered_or_context_or_came_as_extra(
    decision: Decision,
) -> None:
    free = ("decision.context.", "geo.location.", "feature_flag.", "enduser.")
    for name in encode_decision(decision).keys() - decision.extra.keys():
        assert name in NAMES or name.startswith(free)


def test_inputs_as_scalars_of_other_sdks_are_inputs() -> None:
    decision = decode_decision(
        BARE
        | {
            "decision.input.temperature": 71,
            "decision.input.valve": "open",
            "decision.input.hot": True,
        }
    )
    assert decision.inputs == {"temperature": 71.0, "hot": 1.0}
    assert decision.categoricals == {"valve": "open"}
    assert decision.extra == {}


def test_inputs_as_a_map_of_other_sdks_are_inputs() -> None:
    decision = decode_decision(
        BARE | {"decision.input": {"temperature": 71, "valve": "open", "lost": None}}
    )
    assert same(decision.inputs, {"temperature": 71.0, "lost": math.nan})
    assert decision.categoricals == {"valve": "open"}


def test_integers_where_doubles_are_meant_are_doubles() -> None:
    decision = decode_decision(
        BARE
        | {
            "decision.recommendation.action": "stop",
            "decision.recommendation.score": 1,
            "decision.input.names": ["a", "b", "c"],
            "decision.input.values": [1, 2.5, None],
        }
    )
    assert same(decision.inputs, {"a": 1.0, "b": 2.5, "c": math.nan})
    assert same(decision.recommendation, Recommendation("stop", 1.0, None))


def test_a_null_number_is_nan() -> None:
    decision = decode_decision(
        BARE | {"decision.recommendation.action": "stop", "decision.recommendation.score": None}
    )
    assert decision.recommendation is not None
    assert same(decision.recommendation.score, math.nan)


def test_gates_without_their_rules_are_gates_that_cannot_be_replayed() -> None:
    decision = decode_decision(
        BARE
        | {
            "decision.gate.names": ["operator"],
            "decision.gate.kinds": ["human"],
            "decision.gate.verdicts": ["block"],
        }
    )
    (gate,) = decision.gates
    assert (gate.name, gate.verdict, gate.reason, gate.operator) == ("operator", "block", "", "")
    assert math.isnan(gate.limit)


@pytest.mark.parametrize("missing", sorted(BARE))
def test_a_decision_without_a_required_attribute_is_refused(missing: str) -> None:
    with pytest.raises(InvalidSpan, match=missing):
        decode_decision({name: value for name, value in BARE.items() if name != missing})


@pytest.mark.parametrize(
    "wrong",
    [
        {"decision.type": ""},
        {"decision.type": 7},
        {"decision.disposition": "perhaps"},
        {"decision.disposition": ["executed"]},
        {"decision.exploration": "yes"},
        {"decision.input.names": "a"},
        {"decision.input.names": ["a"]},
        {"decision.input.names": ["a", "a"], "decision.input.values": [1.0, 2.0]},
        {"decision.input.names": ["a"], "decision.input.values": [1.0, 2.0]},
        {"decision.input.names": ["a"], "decision.input.values": ["hot"]},
        {"decision.input.names": [1], "decision.input.values": [1.0]},
        {"decision.input.temperature": [1.0]},
        {"decision.recommendation.score": 0.5},
        {"decision.recommendation.action": 1},
        {"decision.gate.names": ["a"], "decision.gate.kinds": ["rule"]},
        {
            "decision.gate.names": ["a"],
            "decision.gate.kinds": ["robot"],
            "decision.gate.verdicts": ["pass"],
        },
        {
            "decision.gate.names": ["a"],
            "decision.gate.kinds": ["rule"],
            "decision.gate.verdicts": ["maybe"],
        },
        {"decision.gate.names": 3},
        {"decision.clock.boot_id": "b"},
        {"decision.clock.boot_id": "b", "decision.clock.monotonic_ns": 1.5},
        {"decision.clock.monotonic_ns": 1},
    ],
    ids=repr,
)
def test_a_decision_that_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpan, match=r"^found .*; expected "):
        decode_decision(BARE | wrong)


@pytest.mark.parametrize(
    "odd",
    [
        {"decision.action.value": "full"},
        {"decision.action.value": True},
        {"decision.action.value": 2**53 + 1},
        {"decision.recommendation.value": 0.5},
        {"decision.latency_us": -1},
        {"decision.latency_us": 1.5},
        {"decision.budget_us": True},
        {"decision.withheld": "all"},
        {"decision.withheld": [1]},
        {"decision.withheld": []},
    ],
    ids=repr,
)
def test_what_says_nothing_usable_of_the_circumstances_is_kept_and_no_reason_to_refuse(
    odd: dict[str, Any],
) -> None:
    decision = decode_decision(BARE | odd)
    assert decision.extra == odd
    assert (decision.latency_us, decision.budget_us, decision.withheld) == (None, None, ())
    assert (decision.value, decision.recommendation) == (None, None)


@given(VALUES, VALUES, VALUES)
def test_whatever_an_attribute_holds_decoding_gives_a_decision_or_refuses(
    one: Any, two: Any, three: Any
) -> None:
    for name in sorted(NAMES):
        try:
            decode_decision(BARE | {name: one, "decision.input": two, "decision.input.x": three})
        except InvalidSpan as refusal:
            assert refusal.found
