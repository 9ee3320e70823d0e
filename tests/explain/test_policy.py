from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.explain.policy import (
    Policy,
    Side,
    actions_of,
    decisive,
    judged,
    policy_of,
    replay,
    watched,
)
from observability.models.features import encode_row
from tests.deciding import CONTEXT, FEATURES, LEVELS, decided, drawn, trained
from traces import Decision, Gate, GateVerdict, HumanGate, Hysteresis, Interlock, ModelVersion
from traces.errors import ModelError
from traces.gates import OPERATORS

MODEL = trained("lightgbm", 0)
ROWS = drawn(99, 200)
SCORES = MODEL.score(ROWS)
HIGH, LOW = ROWS[np.argmax(SCORES)], ROWS[np.argmin(SCORES)]

GATES = st.lists(
    st.one_of(
        st.builds(
            Gate,
            st.sampled_from(["a", "b", "c"]),
            st.sampled_from(["x0", "x3", "reserve"]),
            st.sampled_from(sorted(OPERATORS)),
            st.sampled_from([-1.0, 0.0, 1.0, 50.0, 60.0]),
            otherwise=st.sampled_from(["block", "defer"]),
        ),
        st.builds(
            Interlock,
            st.just("modes"),
            st.just("mode"),
            st.lists(st.sampled_from(LEVELS), min_size=1, max_size=2).map(tuple),
        ),
        st.builds(
            Hysteresis, st.just("hot"), st.just("x1"), st.just("<="), st.just(1.0), st.just(0.5)
        ),
    ),
    max_size=4,
).map(tuple)


def with_holes(row: np.ndarray, holes: list[int]) -> np.ndarray:
    row = row.copy()
    row[holes] = np.nan
    return row


HOLES = st.lists(st.integers(0, 4), max_size=2, unique=True)
PLACES = st.integers(0, len(ROWS) - 1)


@given(GATES, PLACES, PLACES, HOLES)
def test_what_it_replays_for_another_row_is_what_the_device_does_with_it(
    gates, place: int, elsewhere: int, holes: list[int]
) -> None:
    row, changed = ROWS[place], with_holes(ROWS[elsewhere], holes)
    here = decided(MODEL, row, gates)
    other = decided(MODEL, LOW if SCORES[place] >= 0.5 else HIGH, gates)
    policy = policy_of(here, FEATURES, other, "earlier")
    score = float(MODEL.score(changed[None])[0])
    there, found = decided(MODEL, changed, gates), replay(policy, changed, score)
    assert (found.action, found.disposition) == (there.action, there.disposition)
    assert [gate.verdict for gate in found.gates] == [gate.verdict for gate in there.gates]
    assert actions_of(policy, changed[None], np.array([score]))[0] == there.action


@given(GATES, st.lists(HOLES, min_size=4, max_size=4))
def test_many_rows_at_once_give_what_each_gives_alone(gates, holes) -> None:
    here, other = decided(MODEL, HIGH, gates), decided(MODEL, LOW, gates)
    policy = policy_of(here, FEATURES, other)
    rows = np.stack([with_holes(ROWS[at], each) for at, each in enumerate(holes)])
    scores = MODEL.score(rows)
    alone = [replay(policy, row, score).action for row, score in zip(rows, scores, strict=True)]
    assert actions_of(policy, rows, scores).tolist() == alone


def test_a_tripped_gate_judges_another_value_by_its_reset() -> None:
    gate = Hysteresis("hot", "x0", "<=", 1.0, 0.5)
    hot, warm, cool = (np.array([value, *HIGH[1:]]) for value in (2.0, 0.8, 0.4))
    here = decided(MODEL, hot, (gate,), before=(hot,))
    policy = policy_of(here, FEATURES, decided(MODEL, LOW, (gate,)))
    side = policy.above if here.recommendation.action == "stop" else policy.below
    assert side.gates[0].input == "tripped(x0)"
    again = [replay(policy, row, here.recommendation.score).gates[0] for row in (hot, warm, cool)]
    assert [verdict.verdict for verdict in again] == ["block", "block", "pass"]


def test_a_person_and_the_past_say_what_they_said() -> None:
    said = (
        GateVerdict("approval", "human", "defer"),
        GateVerdict("rate", "rule", "block", "", "rate(x0)", "<=", 1.0, 5.0),
        GateVerdict("long", "rule", "pass", "", "breach(x0 <= 1)", "<", 10.0, 0.0),
        GateVerdict("range", "rule", "modify", "", "value(stop)", "<=", 0.5, 0.9),
        GateVerdict("other", "rule", "pass", "", 'mode in ["auto', "==", 1.0, 1.0),
    )
    assert [judged(gate, {"x0": 99.0, "mode": "manual"}) for gate in said] == list(said)
    assert {watched(gate) for gate in said} == {"", "rate(x0)", "breach(x0 <= 1)", "value(stop)"}


def test_gates_of_an_earlier_decision_are_judged_on_what_this_one_saw() -> None:
    gates = (
        Gate("reserve", "reserve", ">=", 38.0, ("stop",)),
        Gate("x", "x0", "<", 1e9, ("stop",)),
    )
    other = decided(MODEL, HIGH, gates, {**CONTEXT, "reserve": 12.0})
    here = decided(MODEL, LOW, gates)
    policy = policy_of(here, FEATURES, other, "earlier")
    assert other.disposition == "blocked"
    assert policy.above.seen_in == "earlier"
    assert [(gate.verdict, gate.observed) for gate in policy.above.gates] == [
        ("pass", 50.0),
        ("pass", LOW[0]),
    ]


def test_what_was_withheld_is_not_judged_anew() -> None:
    gates = (Gate("reserve", "x0", "<", 1e9, ("stop",)),)
    other = decided(MODEL, HIGH, gates)
    here = decided(MODEL, LOW, gates)
    here = replace(here, inputs={**here.inputs, "x0": float("nan")}, withheld=("x0",))
    assert policy_of(here, FEATURES, other).above.gates == other.gates


def test_a_blocked_decision_names_both_of_its_actions_itself() -> None:
    here = decided(MODEL, HIGH, (Gate("never", "reserve", ">", 1e9),))
    policy = policy_of(here, FEATURES)
    assert (policy.below, policy.above.action, policy.fallback) == (Side("run"), "stop", "run")


def test_without_an_earlier_decision_nobody_knows_what_else_it_could_have_done() -> None:
    here = decided(MODEL, LOW)
    same = decided(MODEL, LOW)
    for other in (None, same, replace(decided(MODEL, HIGH), recommendation=None)):
        with pytest.raises(ModelError, match="no earlier decision of this device"):
            policy_of(here, FEATURES, other)


def test_an_action_that_no_record_explains_has_no_policy() -> None:
    here = replace(decided(MODEL, HIGH), action="flee")
    with pytest.raises(ModelError, match=r"found flee, executed, where .* give stop, executed"):
        policy_of(here, FEATURES, decided(MODEL, LOW))
    bare = Decision("pump.stop", ModelVersion("guard", "1", ""), "run", "executed")
    with pytest.raises(ModelError, match="without a score or a threshold"):
        policy_of(bare, FEATURES)


@given(
    st.lists(
        st.builds(
            GateVerdict,
            st.text(max_size=2),
            st.just("rule"),
            st.sampled_from(["pass", "block", "modify", "defer"]),
        ),
        max_size=5,
    )
)
def test_a_gate_is_decisive_where_the_device_would_have_acted_had_it_passed(gates) -> None:
    policy = Policy((), 0.5, Side("run"), Side("stop", tuple(gates)), "run")
    changed = [
        replace(
            policy,
            above=Side("stop", (*gates[:at], GateVerdict("", "rule", "pass"), *gates[at + 1 :])),
        )
        for at in range(len(gates))
    ]
    before = replay(policy, np.empty(0), 1.0).action
    does = tuple(
        before == "run" and replay(each, np.empty(0), 1.0).action == "stop" for each in changed
    )
    assert decisive(gates) == does


def test_a_person_stays_between_a_row_and_the_action() -> None:
    gates = (HumanGate("approval", ("stop",)),)
    policy = policy_of(decided(MODEL, HIGH, gates), FEATURES, decided(MODEL, LOW, gates))
    assert set(actions_of(policy, ROWS, SCORES)) == {"run"}
    row = encode_row(FEATURES, decided(MODEL, LOW).inputs, decided(MODEL, LOW).categoricals)
    assert np.array_equal(row[0], LOW)
