"""A changed gate flips what its record says, and nothing else."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.monitor.backtest import Change, backtest, replayed, rule_to_add
from observability.store.read import Window
from tests.gated import DWELL
from traces import Gate, GateVerdict
from traces.errors import WrongUse
from traces.gates import OPERATORS, disposition


def meanings(con, change: Change) -> dict[str, int]:
    return dict(
        Counter(flip.meaning for flip in backtest(con, "pump.stop", change, Window()).flips)
    )


def test_the_same_limit_flips_nothing(con) -> None:
    for gate, limit in (("dwell", 30.0), ("flow", 100.0)):
        found = backtest(con, "pump.stop", Change(gate, limit), Window())
        assert (found.flips, found.proposals, found.replayed) == ((), 58, 58)


@given(
    st.sampled_from(sorted(OPERATORS)),
    st.floats(),
    st.lists(st.floats(), min_size=1, max_size=5),
    st.sampled_from(["block", "defer"]),
)
def test_the_same_limit_flips_nothing_whatever_was_observed(sign, limit, seen, otherwise) -> None:
    gate = Gate("dwell", "x", sign, limit, otherwise=otherwise)
    rows = pl.DataFrame([recorded(gate.judge({"x": value})) for value in seen])
    found = replayed(rows, "pump.stop", Change("dwell", limit))
    assert (found.flips, found.replayed) == ((), len(seen))


def recorded(said: GateVerdict) -> dict[str, object]:
    """A row of one gate's record, as the store gives it."""
    made = disposition([said])
    short = {"name": said.name, "kind": said.kind, "verdict": said.verdict}
    ids = {
        "decision_id": "1",
        "device_id": "pump-1",
        "decided_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    rest = {"right": None, "observed": None, "gates": [short], "own": asdict(said)}
    acted = made == "executed"
    return {**ids, **rest, "recommendation": "stop", "disposition": made, "actuated": acted}


def test_a_lower_limit_lets_pass_what_it_stopped_with_what_is_known_of_it(con) -> None:
    found = backtest(con, "pump.stop", Change("dwell", 5.0), Window())
    assert (found.now_act, found.now_stopped) == (15, 0)
    assert {(flip.before, flip.after, flip.observed) for flip in found.flips} == {
        ("blocked", "executed", 10.0)
    }
    assert meanings(con, Change("dwell", 5.0)) == {
        "needed act": 3, "harmful act": 5, "unknown": 7
    }  # fmt: skip


def test_what_then_acts_without_a_person_who_is_usually_asked_says_so(con) -> None:
    found = backtest(con, "pump.stop", Change("dwell"), Window())
    assert {flip.unasked for flip in found.flips} == {("approval",)}


def test_a_stricter_limit_stops_what_acted(con) -> None:
    assert meanings(con, Change("dwell", 90.0)) == {
        "false block": 26, "save": 5, "unknown": 6, "same act": 2
    }  # fmt: skip


def test_without_a_person_what_was_deferred_acts(con) -> None:
    assert meanings(con, Change("approval")) == {
        "needed act": 2, "unknown": 1, "same act": 2, "harmful act": 1
    }  # fmt: skip


def test_an_added_rule_judges_inputs_and_context_as_the_device_would(con) -> None:
    by_input = Change("drought", added=rule_to_add("drought", "flow >= 80"))
    by_context = Change("long", added=rule_to_add("long", "minutes_running > 60"))
    assert (
        meanings(con, by_input) == meanings(con, by_context) == meanings(con, Change("dwell", 90.0))
    )


@pytest.mark.parametrize(
    ("type_", "change", "found"),
    [
        ("pump.start", Change("dwell"), "no proposal of 'pump.start'"),
        ("pump.stop", Change("dwel"), "no gate 'dwel' of pump.stop; expected one of approval, dwell, flow"),
        ("pump.stop", Change("approval", 3.0), "no single rule `input operator limit`"),
        ("pump.stop", Change("dwell", added=DWELL), "which pump.stop has already"),
        (
            "pump.stop",
            Change("new", added=rule_to_add("new", "pressure < 3")),
            "'pressure', of which pump.stop recorded no number",
        ),
    ],
    ids=["type", "gate", "person", "name", "input"],
)  # fmt: skip
def test_what_cannot_be_meant_is_said_in_one_line(con, type_, change, found) -> None:
    with pytest.raises(WrongUse, match=re.escape(found)):
        backtest(con, type_, change, Window())
