from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import DOUBLES, VALUES
from traces.errors import WrongUse
from traces.gates import OPERATORS, Gate, rejudge
from traces.gates_over_time import Duration, Hysteresis, Rate

S = 1_000_000_000
HOT = Hysteresis("hot", "t", "<=", 80.0, reset=70.0)
LONG = Duration("long", "t", "<=", 80.0, seconds=10.0)
FAST = Rate("fast", "t", "<=", 2.0)
OBSERVED = DOUBLES | st.sampled_from([None, math.nan, 60.0, 75.0, 80.0, 85.0, 85.000001])
COURSES = st.lists(st.tuples(OBSERVED, st.integers(0, 30 * S)), max_size=12)
"""Observations, each so many nanoseconds after the one before."""


def over(gate: Any, *course: tuple[Any, float]) -> list[Any]:
    """The verdicts of a gate over observations at so many seconds."""
    memory, verdicts = None, []
    for observed, at in course:
        verdict, memory = gate.step({"t": observed}, memory, int(at * S))
        verdicts.append(verdict)
    return verdicts


def said(verdicts: list[Any]) -> list[str]:
    return [verdict.verdict for verdict in verdicts]


@st.composite
def gates(draw: st.DrawFn) -> Any:
    name, limit = "g", draw(st.floats(-100, 100))
    ordered = draw(st.sampled_from(["<", "<=", ">", ">="]))
    apart = draw(st.floats(0.001, 50)) * (-1 if ordered[0] == "<" else 1)
    return draw(
        st.sampled_from(
            [
                Hysteresis(name, "t", ordered, limit, reset=limit + apart),
                Duration(name, "t", draw(st.sampled_from(sorted(OPERATORS))), limit, abs(apart)),
                Rate(name, "t", draw(st.sampled_from(sorted(OPERATORS))), limit),
            ]
        )
    )


@given(gates() | st.sampled_from([HOT, LONG, FAST]), COURSES)
def test_every_verdict_over_any_course_is_given_again_from_its_own_record(
    gate: Any, course: list[tuple[Any, int]]
) -> None:
    memory, now = None, 0
    for observed, later in course:
        now += later
        verdict, memory = gate.step({"t": observed}, memory, now)
        assert rejudge(verdict) == verdict.verdict
        assert bool(verdict.reason) == (verdict.verdict == "block")


@given(gates(), st.lists(VALUES, max_size=5), st.none() | st.integers(0, 2**62))
def test_a_gate_that_remembers_never_raises(
    gate: Any, course: list[Any], now_ns: int | None
) -> None:
    memory = None
    for observed in course:
        verdict, memory = gate.step({"t": observed}, memory, now_ns)
        assert verdict.verdict in ("pass", "block")


@given(gates(), COURSES, st.sampled_from([None, math.nan, math.inf, "75", [1]]))
def test_a_value_that_is_missing_blocks_and_changes_nothing(
    gate: Any, course: list[tuple[Any, int]], nothing: Any
) -> None:
    memory, now = None, 0
    for observed, later in course:
        now += later
        _, memory = gate.step({"t": observed}, memory, now)
    verdict, after = gate.step({"t": nothing}, memory, now + S)
    assert verdict.verdict == "block"
    assert verdict.reason.startswith("t ")
    assert bool(after) == bool(memory)
    assert after in (memory, False)


def test_a_tripped_hysteresis_passes_again_only_at_its_reset() -> None:
    course = [60.0, 79.0, 81.0, 79.0, 71.0, 70.0, 79.0]
    verdicts = over(HOT, *((t, at) for at, t in enumerate(course)))
    assert said(verdicts) == ["pass", "pass", "block", "block", "block", "pass", "pass"]
    assert [v.limit for v in verdicts] == [80.0, 80.0, 80.0, 70.0, 70.0, 70.0, 80.0]
    assert [v.input for v in verdicts] == ["t"] * 3 + ["tripped(t)"] * 3 + ["t"]
    assert verdicts[2].reason == "t 81 is not <= 80"
    assert verdicts[3].reason == "t 79 is not <= 70, where it resets after it tripped at 80"


@given(st.lists(st.floats(-200, 200), max_size=20), st.floats(-100, 100), st.floats(0, 50))
def test_a_hysteresis_blocks_whenever_its_plain_rule_does(
    course: list[float], limit: float, apart: float
) -> None:
    plain = Gate("g", "t", "<=", limit)
    steps = over(
        Hysteresis("g", "t", "<=", limit, limit - apart), *((t, at) for at, t in enumerate(course))
    )
    for observed, verdict in zip(course, steps, strict=True):
        if plain.judge({"t": observed}).verdict == "block":
            assert verdict.verdict == "block"
        if apart == 0:
            assert verdict.verdict == plain.judge({"t": observed}).verdict


def test_a_duration_blocks_once_its_rule_was_broken_for_so_long() -> None:
    verdicts = over(LONG, (60, 0), (90, 5), (90, 14), (90, 15), (90, 20), (60, 21), (90, 22))
    assert said(verdicts) == ["pass", "pass", "pass", "block", "block", "pass", "pass"]
    assert [v.observed for v in verdicts] == [0.0, 0.0, 9.0, 10.0, 15.0, 0.0, 0.0]
    assert {(v.input, v.operator, v.limit) for v in verdicts} == {("breach(t <= 80)", "<", 10.0)}


def test_a_gap_in_the_measurement_does_not_end_a_breach() -> None:
    verdicts = over(LONG, (90, 0), (None, 5), (90, 11))
    assert said(verdicts) == ["pass", "block", "block"]
    assert verdicts[2].observed == 11.0


def test_a_rate_is_the_change_per_second_since_the_decision_before() -> None:
    verdicts = over(FAST, (60, 0), (64, 2), (64, 3), (69, 5), (0, 6))
    assert [v.observed for v in verdicts[1:]] == [2.0, 0.0, 2.5, -69.0]
    assert said(verdicts) == ["block", "pass", "pass", "block", "pass"]
    assert verdicts[0].reason == "t has no earlier value to change from"


def test_a_rate_without_time_between_is_not_measured() -> None:
    verdicts = over(FAST, (60, 1), (61, 1), (61, 2))
    assert said(verdicts) == ["block", "block", "pass"]
    assert verdicts[1].reason == "no time has passed since the last value of t"
    assert verdicts[2].observed == 1.0


def test_a_clock_that_fails_blocks_what_needs_one() -> None:
    for gate in (LONG, FAST):
        verdict, _ = gate.step({"t": 90.0}, None, None)
        assert (verdict.verdict, rejudge(verdict)) == ("block", "block")
        assert "no clock" in verdict.reason
    assert HOT.step({"t": 60.0}, None, None)[0].verdict == "pass"


@pytest.mark.parametrize(
    "made",
    [
        lambda: Hysteresis("g", "t", "<=", 80.0, reset=81.0),
        lambda: Hysteresis("g", "t", ">", 80.0, reset=79.0),
        lambda: Hysteresis("g", "t", "==", 80.0, reset=80.0),
        lambda: Hysteresis("g", "t", "<=", 80.0, reset=math.nan),
        lambda: Duration("g", "t", "<=", 80.0, seconds=0.0),
        lambda: Duration("g", "t", "<=", 80.0, seconds=math.inf),
        lambda: Duration("g", "t", "=<", 80.0, seconds=1.0),
        lambda: Rate("g", "t", "=<", 80.0),
    ],
)
def test_a_gate_that_cannot_be_meant_is_refused_when_it_is_made(made: Any) -> None:
    with pytest.raises(WrongUse, match="gate 'g'"):
        made()
