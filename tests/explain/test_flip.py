from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from observability.explain.candidates import Lever
from observability.explain.edges import tree_edges
from observability.explain.flip import smallest_flips
from observability.explain.policy import Policy, Side, actions_of, policy_of
from tests.deciding import FEATURES, decided, drawn, trained
from traces import Gate, GateVerdict, HumanGate, Interlock
from traces.errors import ModelError

ROWS = drawn(5, 60)
IQRS = (1.3, 1.1, 0.9, 1.6, 0.0)
LEVERS = tuple(Lever(at, iqr) for at, iqr in enumerate(IQRS))
GATES = (
    Gate("spread", "x0", "<", 1.2, ("stop",)),
    Gate("floor", "x3", ">=", -1.5, ("stop",)),
    Interlock("modes", "mode", ("auto", "manual"), ("stop",)),
)
TREES = ("lightgbm", "xgboost", "onnx trees")
PLACES = st.integers(0, len(ROWS) - 1)


def policy_at(model, row, gates=GATES) -> tuple[Policy, str]:
    """The policy behind the device's decision on a row, and its action."""
    scores = model.score(ROWS)
    here = decided(model, row, gates)
    far = scores.argmin() if here.recommendation.action == "stop" else scores.argmax()
    return policy_of(here, FEATURES, decided(model, ROWS[far], gates)), here.action


@pytest.mark.parametrize("family", TREES)
@given(PLACES, st.integers(0, 2), st.floats(0, 1, exclude_max=True))
def test_crossing_it_flips_what_the_device_does_and_stopping_short_does_not(
    family: str, place: int, seed: int, short: float
) -> None:
    model, row = trained(family, seed), ROWS[place]
    policy, action = policy_at(model, row)
    flip = smallest_flips(model, policy, row, LEVERS).one
    assume(flip is not None)
    flipped = np.array(flip.row)
    crossed = decided(model, flipped, GATES)
    assert crossed.action == flip.action != action
    (at,) = np.flatnonzero(flipped != row)
    assert flip.changes[0].feature == FEATURES[at].name
    if not FEATURES[at].levels:
        before = row.copy()
        before[at] = row[at] + short * (flipped[at] - row[at])
        assume(before[at] != flipped[at])
        assert decided(model, before, GATES).action == action
        assert flip.cost == pytest.approx(abs(flipped[at] - row[at]) / IQRS[at])


@pytest.mark.parametrize("family", TREES)
@given(PLACES, st.integers(0, 2), st.integers(0, 3), st.integers(0, 99))
def test_no_change_of_one_feature_that_flips_costs_less(
    family: str, place: int, seed: int, at: int, chance: int
) -> None:
    model, row = trained(family, seed), ROWS[place]
    policy, action = policy_at(model, row)
    flips = smallest_flips(model, policy, row, LEVERS)
    changed = np.tile(row, (200, 1))
    changed[:, at] = np.random.default_rng(chance).normal(0, 1.5, 200)
    flipped = changed[actions_of(policy, changed, model.score(changed)) != action]
    assert flips.exact
    if len(flipped):
        assert flips.one is not None
        assert flips.one.cost <= (np.abs(flipped[:, at] - row[at]) / IQRS[at]).min()


@pytest.mark.parametrize("family", [*TREES, "onnx network"])
def test_two_features_flip_too_and_only_where_that_is_smaller(family: str) -> None:
    model, found = trained(family, 0), 0
    for row in ROWS:
        policy, action = policy_at(model, row)
        flips = smallest_flips(model, policy, row, LEVERS)
        if flips.two is None:
            continue
        found += 1
        assert decided(model, np.array(flips.two.row), GATES).action == flips.two.action != action
        assert len(flips.two.changes) == 2
        assert flips.one is None or flips.two.cost < flips.one.cost
    assert found > 0


@given(PLACES)
def test_a_network_flips_where_the_best_found_says_and_just_before_it_does_not(place: int) -> None:
    model, row = trained("onnx network", 0), ROWS[place]
    policy, action = policy_at(model, row)
    flips = smallest_flips(model, policy, row, LEVERS)
    assert not flips.exact
    assume(flips.one is not None)
    (at,) = np.flatnonzero(np.array(flips.one.row) != row)
    assert decided(model, np.array(flips.one.row), GATES).action != action
    if not FEATURES[at].levels:
        before = np.array(flips.one.row)
        before[at] = np.nextafter(before[at], row[at])
        assert decided(model, before, GATES).action == action


@given(PLACES, st.integers(0, 3), st.floats(0.1, 2))
def test_only_what_may_be_changed_is_and_only_as_far_as_allowed(
    place: int, at: int, room: float
) -> None:
    model, row = trained("lightgbm", 0), ROWS[place]
    policy, _ = policy_at(model, row)
    flips = smallest_flips(model, policy, row, [Lever(at, 1.0, row[at] - room, row[at] + room)])
    assert flips.two is None
    if flips.one is not None:
        assert np.flatnonzero(np.array(flips.one.row) != row).tolist() == [at]
        assert abs(np.array(flips.one.row)[at] - row[at]) <= room


def test_a_missing_input_and_one_that_never_varied_are_left_alone() -> None:
    model, row = trained("lightgbm", 0), ROWS[0].copy()
    row[3] = np.nan
    policy, _ = policy_at(model, row, ())
    still = replace(LEVERS[0], iqr=0.0), replace(LEVERS[1], iqr=float("nan")), LEVERS[3]
    flips = smallest_flips(model, policy, row, still)
    assert (flips.one, flips.two, flips.exact) == (None, None, True)
    assert np.isnan(smallest_flips(model, policy, row, LEVERS).one.row[3])


def test_what_waits_for_a_person_is_flipped_by_no_input() -> None:
    model = trained("lightgbm", 0)
    row = ROWS[model.score(ROWS).argmax()]
    gates = (HumanGate("approval", ("stop",)),)
    policy, _ = policy_at(model, row, gates)
    flips = smallest_flips(model, policy, row, LEVERS)
    assert (flips.one, flips.two, flips.exact) == (None, None, True)


def test_a_blocked_act_flips_at_the_limit_of_its_gate() -> None:
    model = trained("lightgbm", 0)
    row = ROWS[model.score(ROWS).argmax()].copy()
    row[3] = -2.0
    gates = (Gate("floor", "x3", ">=", -1.5, ("stop",)),)
    policy, action = policy_at(model, row, gates)
    flip = smallest_flips(model, policy, row, [LEVERS[3]]).one
    assert (action, flip.action, flip.changes[0].after) == ("run", "stop", -1.5)


def test_two_gates_on_two_features_flip_only_together() -> None:
    model = trained("lightgbm", 0)
    row = ROWS[model.score(ROWS).argmax()]
    gates = tuple(Gate(f"g{n}", f"x{n}", ">", row[n], ("stop",)) for n in (1, 3))
    policy, _ = policy_at(model, row, gates)
    flips = smallest_flips(model, policy, row, [LEVERS[1], LEVERS[3]])
    assert flips.one is None
    assert np.array(flips.two.row)[[1, 3]].tolist() == np.nextafter(row[[1, 3]], np.inf).tolist()


@pytest.mark.parametrize("family", TREES)
def test_between_two_edges_of_a_feature_the_score_does_not_change_and_across_one_it_may(
    family: str,
) -> None:
    model, changes = trained(family, 0), 0
    for at, edges in enumerate(tree_edges(model)[:4]):
        firsts = np.nextafter(edges[:-1], np.inf)
        for low, high in zip(firsts, edges[1:], strict=True):
            rows = np.tile(ROWS[0], (5, 1))
            rows[:, at] = [*np.linspace(low, high, 4), np.nextafter(high, np.inf)]
            scores = model.score(rows)
            assert len(set(scores[:4])) == 1
            changes += scores[4] != scores[3]
    assert changes > 5


def test_levels_are_said_by_their_names() -> None:
    model = trained("lightgbm", 0)
    row = np.array([0.0, 0.0, 0.0, 0.0, 1.0])
    gate = GateVerdict("modes", "rule", "block", "", 'mode in ["auto"]', "==", 1.0, 0.0)
    policy = Policy(FEATURES, -1.0, Side("run"), Side("stop", (gate,)), "run")
    (change,) = smallest_flips(model, policy, row, [LEVERS[4]]).one.changes
    assert (change.feature, change.before, change.after) == ("mode", "eco", "auto")


def test_several_outputs_have_no_threshold_to_cross() -> None:
    several = replace(trained("lightgbm", 0), output_count=3)
    policy = Policy(FEATURES, 0.5, Side("run"), Side("stop"), "run")
    with pytest.raises(ModelError, match="found a model of 3 outputs"):
        smallest_flips(several, policy, ROWS[0], LEVERS)
