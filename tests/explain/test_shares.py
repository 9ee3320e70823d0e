from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.explain.policy import Policy, Side, actions, policy_of, stops
from observability.explain.shares import shares
from tests.deciding import CONTEXT, FEATURES, decided, drawn, trained
from traces import Gate, GateVerdict, Interlock
from traces.errors import ModelError

MODEL = trained("lightgbm", 0)
ROWS, BACKGROUND = drawn(5, 40), drawn(6, 120)
SCORES = MODEL.score(ROWS)
HIGH, LOW = ROWS[SCORES.argmax()], ROWS[SCORES.argmin()]
GATES = (
    Gate("spread", "x0", "<", 0.8, ("stop",)),
    Gate("reserve", "reserve", ">=", 60.0),
    Interlock("modes", "mode", ("auto", "manual"), ("run",)),
)


def policy_at(row, gates=GATES) -> Policy:
    here = decided(MODEL, row, gates)
    far = LOW if here.recommendation.action == "stop" else HIGH
    return policy_of(here, FEATURES, decided(MODEL, far, gates))


def failing(names: str) -> tuple[GateVerdict, ...]:
    return tuple(GateVerdict(name, "rule", "block", "", "far", "<", 1.0, 2.0) for name in names)


def exact(policy: Policy, row: np.ndarray, action: str) -> dict[str, float]:
    """Every coalition of the players, against the whole background."""
    sides = (policy.below, policy.above)
    gates = list(dict.fromkeys(gate.name for side in sides for gate in side.gates))
    names = [*(feature.name for feature in policy.features), *gates]

    def worth(present: frozenset[str]) -> float:
        taken = np.array([feature.name in present for feature in policy.features])
        rows = np.where(taken, row, BACKGROUND)
        asked = [
            replace(side, gates=tuple(gate for gate in side.gates if gate.name in present))
            for side in sides
        ]
        stopped = [stops(side, policy.features, rows).any(axis=0) for side in asked]
        return float((actions(policy, MODEL.score(rows), *stopped) == action).mean())

    known = {
        frozenset(chosen): worth(frozenset(chosen))
        for size in range(len(names) + 1)
        for chosen in itertools.combinations(names, size)
    }
    return {
        name: math.fsum(
            (known[held | {name}] - known[held])
            / (len(names) * math.comb(len(names) - 1, len(held)))
            for held in known
            if name not in held
        )
        for name in names
    }


@given(st.integers(0, len(ROWS) - 1), st.integers(2, 150))
def test_base_and_shares_sum_to_one_whatever_the_number_of_pairs(place: int, pairs: int) -> None:
    found = shares(MODEL, policy_at(ROWS[place]), ROWS[place], BACKGROUND, pairs)
    parts = [part.share for part in (*found.features, *found.gates)]
    assert math.isclose(found.base + math.fsum(parts), 1.0, abs_tol=1e-12)
    assert found.action == decided(MODEL, ROWS[place], GATES).action


@pytest.mark.parametrize("row", [HIGH, LOW, ROWS[3]])
def test_they_are_the_shapley_values_of_the_action_within_their_errors(row) -> None:
    policy = policy_at(row)
    found = shares(MODEL, policy, row, BACKGROUND, 2400)
    expected = exact(policy, row, found.action)
    for part in (*found.features, *found.gates):
        assert abs(part.share - expected[part.name]) <= 4 * part.standard_error + 1e-9
        assert part.standard_error < 0.02


@given(st.integers(1, 5))
def test_of_gates_that_each_stop_the_device_alone_each_gets_the_same(count: int) -> None:
    policy = Policy(FEATURES, -1.0, Side("run"), Side("stop", failing("abcde"[:count])), "run")
    found = shares(MODEL, policy, HIGH, BACKGROUND, 400)
    assert found.base == 0.0
    assert {part.share for part in found.features} == {0.0}
    for part in found.gates:
        assert part.share == pytest.approx(1 / count, abs=4 * part.standard_error + 1e-9)


def test_a_gate_that_passes_everything_has_no_share() -> None:
    gates = (Gate("idle", "reserve", "<", 1e9), Gate("wide", "x0", "<", 1e9))
    found = shares(MODEL, policy_at(HIGH, gates), HIGH, BACKGROUND)
    assert [(part.name, part.share, part.standard_error) for part in found.gates] == [
        ("idle", 0.0, 0.0),
        ("wide", 0.0, 0.0),
    ]


def test_a_feature_that_neither_model_nor_gate_looks_at_has_no_share() -> None:
    unused = replace(MODEL, score=lambda rows: MODEL.score(np.where([0, 0, 0, 1, 0], 0.0, rows)))
    policy = policy_at(HIGH, ())
    found = shares(unused, policy, HIGH, BACKGROUND)
    assert found.features[3].share == found.features[3].standard_error == 0.0


def test_a_gate_that_guards_both_actions_is_one_player() -> None:
    found = shares(MODEL, policy_at(HIGH), HIGH, BACKGROUND)
    assert sorted(part.name for part in found.gates) == ["modes", "reserve", "spread"]
    assert CONTEXT["reserve"] < GATES[1].limit


def test_the_same_question_has_the_same_answer() -> None:
    policy = policy_at(LOW)
    assert shares(MODEL, policy, LOW, BACKGROUND) == shares(MODEL, policy, LOW, BACKGROUND)


def test_several_outputs_have_no_threshold_to_cross() -> None:
    with pytest.raises(ModelError, match="found a model of 3 outputs"):
        shares(replace(MODEL, output_count=3), policy_at(LOW), LOW, BACKGROUND)
