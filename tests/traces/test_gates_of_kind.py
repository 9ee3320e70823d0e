from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import DOUBLES, SCALARS, VALUES
from traces.errors import WrongUse
from traces.gates import margin, rejudge
from traces.gates_of_kind import Clamp, HumanGate, Interlock, about

THROTTLE = Clamp("full_load", "throttle", low=0.1, high=0.62)
AUTO = Interlock("automatic", "mode", ("auto", "eco"))


@given(st.lists(SCALARS, min_size=1, max_size=3).map(tuple), VALUES)
def test_a_verdict_of_an_interlock_is_given_again_from_its_record(
    allowed: tuple[Any, ...], value: Any
) -> None:
    verdict = Interlock("g", "mode", allowed).judge({"mode": value})
    assert rejudge(verdict) == verdict.verdict
    assert bool(verdict.reason) == (verdict.verdict == "block")


@given(st.lists(SCALARS, min_size=1, max_size=3).map(tuple))
def test_an_interlock_lets_pass_what_it_allows(allowed: tuple[Any, ...]) -> None:
    for value in allowed:
        missing = value == "" or value != value
        verdict = Interlock("g", "mode", allowed).judge({"mode": value})
        assert verdict.verdict == ("block" if missing else "pass")


@pytest.mark.parametrize(
    ("allowed", "value", "passes"),
    [
        ((True,), True, True),
        ((True,), 1, False),
        ((1,), True, False),
        ((1,), 1.0, True),
        ((1,), "1", False),
        (("1",), 1, False),
        ((True,), np.bool_(True), True),
        ((2,), np.int64(2), True),
        (("auto",), np.str_("auto"), True),
    ],
)
def test_an_interlock_tells_text_flag_and_number_apart(
    allowed: tuple[Any, ...], value: Any, passes: bool
) -> None:
    assert (Interlock("g", "x", allowed).judge({"x": value}).verdict == "pass") is passes


def test_an_interlock_says_what_it_found_and_what_it_allows() -> None:
    verdict = AUTO.judge({"mode": "manual"})
    assert verdict.reason == 'mode "manual" is not one of "auto", "eco"'
    assert (verdict.input, verdict.observed) == ('mode in ["auto", "eco"]', 0.0)
    assert Interlock("g", "key", (True,)).judge({"key": False}).reason == "key false is not true"


@pytest.mark.parametrize("values", [{}, {"mode": None}, {"mode": ""}, {"mode": math.nan}])
def test_a_context_value_that_is_missing_blocks_and_is_named(values: dict[str, Any]) -> None:
    verdict = AUTO.judge(values)
    assert (verdict.verdict, verdict.reason) == ("block", "mode was not recorded")


@given(st.floats(-10, 10), st.floats(0, 10), DOUBLES)
def test_a_clamp_makes_of_any_number_one_within_its_range(
    low: float, width: float, value: float
) -> None:
    verdict = Clamp("g", "a", low, low + width).judge({"value(a)": value})
    assert rejudge(verdict) == verdict.verdict
    if not math.isfinite(value):
        assert verdict.verdict == "block"
    else:
        acts = verdict.limit if verdict.verdict == "modify" else value
        assert acts == min(max(value, low), low + width)


@given(st.floats(-10, 10), st.booleans(), DOUBLES)
def test_a_clamp_of_one_side_leaves_the_other_free(low: float, upper: bool, value: float) -> None:
    gate = Clamp("g", "a", high=low) if upper else Clamp("g", "a", low=low)
    verdict = gate.judge({"value(a)": value})
    inside = value <= low if upper else value >= low
    assert rejudge(verdict) == verdict.verdict
    if math.isfinite(value):
        assert verdict.verdict == ("pass" if inside else "modify")
        assert verdict.limit == low


def test_the_margin_of_a_clamp_is_to_the_nearer_bound() -> None:
    assert margin(THROTTLE.judge({"value(throttle)": 0.6})) == pytest.approx(0.02)
    assert margin(THROTTLE.judge({"value(throttle)": 0.12})) == pytest.approx(0.02)


def test_an_action_without_a_number_cannot_be_clamped() -> None:
    verdict = THROTTLE.judge({})
    assert (verdict.verdict, verdict.reason) == ("block", "value(throttle) was not recorded")


def test_a_person_is_asked_and_cannot_be_replayed() -> None:
    verdict = HumanGate("shift_lead").judge({})
    assert (verdict.kind, verdict.verdict, rejudge(verdict)) == ("human", "defer", None)


def test_each_gate_guards_its_actions() -> None:
    assert THROTTLE.guards_action("throttle")
    assert not THROTTLE.guards_action("stop")
    for gate in (Interlock("g", "m", ("a",), guards=("stop",)), HumanGate("g", guards=("stop",))):
        assert gate.guards_action("stop")
        assert not gate.guards_action("run")


@pytest.mark.parametrize(
    "made",
    [
        lambda: Clamp("g", "a"),
        lambda: Clamp("g", "a", 2.0, 1.0),
        lambda: Clamp("g", "a", low=math.nan),
        lambda: Interlock("g", "mode", ()),
        lambda: Interlock("g", "mode", "auto"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_a_gate_that_cannot_be_meant_is_refused_when_it_is_made(made: Any) -> None:
    with pytest.raises(WrongUse, match="gate 'g'"):
        made()


def test_what_a_gate_observed_tells_something_of_its_own_value_only() -> None:
    for observed in ("t", "rate(t)", "tripped(t)", "breach(t <= 80)", 't in ["a"]'):
        assert about(observed, "t")
        assert not about(observed, "te")
        assert not about(observed, "rate")
