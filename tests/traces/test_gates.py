from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import DOUBLES, VALUES
from traces.decision import VERDICTS, GateVerdict
from traces.errors import WrongUse
from traces.gates import OPERATORS, Gate, binding, disposition, margin, rejudge

FINITE = st.floats(allow_nan=False, allow_infinity=False)
GATES = st.builds(
    Gate,
    name=st.just("g"),
    input=st.just("x"),
    operator=st.sampled_from(sorted(OPERATORS)),
    limit=FINITE,
)
VERDICT_ROWS = st.lists(
    st.builds(
        GateVerdict,
        name=st.text(max_size=3),
        kind=st.just("rule"),
        verdict=st.sampled_from(VERDICTS),
    ),
    max_size=6,
)


def human(verdict: Any) -> GateVerdict:
    return GateVerdict("operator", "human", verdict)


@given(GATES, FINITE)
def test_a_gate_passes_exactly_while_its_comparison_holds(gate: Gate, observed: float) -> None:
    verdict = gate.judge({"x": observed})
    assert (verdict.verdict == "pass") == OPERATORS[gate.operator](observed, gate.limit)
    assert bool(verdict.reason) == (verdict.verdict == "block")


@given(
    GATES,
    st.sampled_from([None, math.nan, math.inf, -math.inf, "hot", [1.0], {}, 10**400, object()]),
)
def test_a_value_that_is_missing_or_not_finite_blocks(gate: Gate, observed: Any) -> None:
    assert gate.judge({"x": observed}).verdict == "block"
    assert gate.judge({}).verdict == "block"


@given(GATES, VALUES)
def test_judging_never_raises(gate: Gate, observed: Any) -> None:
    assert gate.judge({"x": observed}).verdict in ("pass", "block")


@given(GATES, st.dictionaries(st.just("x"), DOUBLES))
def test_a_verdict_of_a_rule_is_given_again_from_its_record(
    gate: Gate, values: dict[str, float]
) -> None:
    verdict = gate.judge(values)
    assert rejudge(verdict) == verdict.verdict


@given(GATES, FINITE, FINITE)
def test_a_verdict_that_its_rule_contradicts_is_not_given_again(
    gate: Gate, one: float, two: float
) -> None:
    true, other = gate.judge({"x": one}), gate.judge({"x": two})
    forged = GateVerdict("g", "rule", other.verdict, "", "x", gate.operator, gate.limit, one)
    assert (rejudge(forged) == forged.verdict) == (true.verdict == other.verdict)


def test_a_person_cannot_be_replayed() -> None:
    assert rejudge(human("block")) is None


@given(GATES, FINITE)
def test_the_margin_is_not_negative_on_the_passing_side(gate: Gate, observed: float) -> None:
    verdict = gate.judge({"x": observed})
    distance = margin(verdict)
    if gate.operator in ("==", "!="):
        assert distance is None
    elif verdict.verdict == "pass":
        assert distance is not None
        assert distance >= 0
    else:
        assert distance is not None
        assert distance <= 0


@pytest.mark.parametrize(
    ("operator", "observed", "expected"),
    [
        ("<=", 70.0, 10.0),
        ("<", 91.5, -11.5),
        (">=", 91.5, 11.5),
        (">", 70.0, -10.0),
        ("<=", 80.0, 0.0),
    ],
)
def test_the_margin_is_the_distance_to_the_limit_in_its_unit(
    operator: str, observed: float, expected: float
) -> None:
    assert margin(Gate("g", "x", operator, 80.0).judge({"x": observed})) == expected


@given(VERDICT_ROWS)
def test_the_binding_gate_is_the_one_that_made_the_disposition(verdicts: list[GateVerdict]) -> None:
    made = {"block": "blocked", "defer": "deferred", "modify": "modified"}
    found = binding(verdicts)
    if found is None:
        assert disposition(verdicts) == "executed"
        assert {verdict.verdict for verdict in verdicts} <= {"pass"}
    else:
        assert made[found.verdict] == disposition(verdicts)
        assert next(v for v in verdicts if v.verdict == found.verdict) is found


@given(VERDICT_ROWS, st.randoms())
def test_the_order_of_gates_does_not_change_the_disposition(
    verdicts: list[GateVerdict], chance: Any
) -> None:
    shuffled = list(verdicts)
    chance.shuffle(shuffled)
    assert disposition(shuffled) == disposition(verdicts)


def test_a_block_is_stricter_than_a_deferral_and_that_than_a_modification() -> None:
    strict = ["block", "defer", "modify", "pass"]
    for one, two in itertools.combinations(strict, 2):
        assert disposition([human(two), human(one)]) == disposition([human(one)])


@pytest.mark.parametrize("text", ["71.5", "1e3", "nan", b"71.5"])
def test_a_text_that_looks_like_a_number_is_none(text: Any) -> None:
    verdict = Gate("g", "x", "<=", 1e6).judge({"x": text})
    assert (verdict.verdict, verdict.reason) == ("block", "x was not recorded")


@given(FINITE)
def test_a_rule_may_leave_it_to_a_person(observed: float) -> None:
    gate = Gate("g", "x", "<=", 80.0, otherwise="defer")
    verdict = gate.judge({"x": observed})
    assert verdict.verdict == ("pass" if observed <= 80.0 else "defer")
    assert rejudge(verdict) == verdict.verdict
    assert gate.judge({}).verdict == "block"


def test_a_gate_guards_the_actions_it_names_or_all() -> None:
    assert Gate("g", "x", "<", 1.0).guards_action("stop")
    assert not Gate("g", "x", "<", 1.0, guards=("stop",)).guards_action("run")


def test_a_reason_tells_two_close_numbers_apart() -> None:
    verdict = Gate("g", "x", "<=", 80.0).judge({"x": 80.0000001})
    assert verdict.reason == "x 80.0000001 is not <= 80.0"


@pytest.mark.parametrize(
    ("observed", "reason"), [(None, "x was not recorded"), (math.inf, "x inf is not finite")]
)
def test_a_reason_says_whether_a_value_was_missing_or_infinite(observed: Any, reason: str) -> None:
    assert Gate("g", "x", ">=", 80.0).judge({"x": observed}).reason == reason


def test_an_unknown_operator_is_refused_when_the_gate_is_made() -> None:
    with pytest.raises(WrongUse, match="one of < <="):
        Gate("g", "x", "=<", 1.0)
