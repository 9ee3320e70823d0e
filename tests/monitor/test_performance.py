"""Estimates are of what is known, bounds hold whatever the unknown are, and a doubt is said."""

from __future__ import annotations

import functools
import math
from datetime import UTC, datetime, timedelta

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.monitor.estimates import Estimate, recall_bounds, share_bounds, wilson
from observability.monitor.performance import Performance, performance, weighted_precision
from observability.store.read import Window
from observability.store.read_performance import recorded_probabilities

DAY = timedelta(days=1)
few = st.integers(0, 12)


@functools.cache
def measured(con: duckdb.DuckDBPyConnection, decision_type: str = "pump.stop") -> Performance:
    return performance(con, decision_type, Window(), DAY)


def weighed(con: duckdb.DuckDBPyConnection, decision_type: str) -> Estimate:
    before = datetime(2030, 1, 1, tzinfo=UTC)
    return weighted_precision(*recorded_probabilities(con, decision_type, Window(), before))


def test_estimates_count_what_was_carried_out_and_labelled(con) -> None:
    found = measured(con)
    whole = found.whole
    assert (whole.acts, whole.blocked, whole.labelled, whole.young) == (58, 21, 31, 0)
    assert (whole.precision.value, whole.precision.n) == (26 / 31, 31)
    assert (whole.precision.low, whole.precision.high) == wilson(26, 31)
    assert (whole.precision.least, whole.precision.most) == (31 / 58, 47 / 58)
    assert (whole.rests, whole.labelled_rests) == (30, 11)
    assert math.isnan(whole.recall.value)
    assert whole.recall.reason == "11 of 30 that proposed not to act are labelled"
    assert (whole.recall.least, whole.recall.most) == recall_bounds(31, 1, 16, 19)
    errors = [0.01] * 26 + [0.81] * 5 + [0.04] * 10 + [0.49]
    assert whole.brier.value == pytest.approx(np.mean(errors))
    assert whole.brier.least < whole.brier.value < whole.brier.most


def test_versions_sites_gates_and_days_add_up_to_the_whole(con) -> None:
    found = measured(con)
    for slices in (found.versions, found.sites, found.over_time):
        assert sum(one.proposals for one in slices) == found.whole.proposals == 88
        assert sum(one.labelled for one in slices) == 31
    assert {one.name: one.acts for one in found.gates} == {"approval": 11, "dwell": 58, "flow": 58}
    assert [one.name for one in found.sites] == ["north"]


def test_scores_alone_are_doubted_until_enough_labels_check_them(con) -> None:
    found = measured(con)
    assert found.from_scores.precision == pytest.approx(0.9)
    assert found.from_scores.doubt == "42 labels of at least 100 to check the scores by"
    assert sum(one.n for one in found.calibration.bins) == 42


@pytest.mark.parametrize(
    ("type_", "doubt"),
    [("calibrated", ""), ("off", "calibration error 0.400 of mature labels is over 0.05")],
)
def test_scores_that_labels_contradict_are_not_believed(con, type_: str, doubt: str) -> None:
    assert measured(con, type_).from_scores.doubt == doubt


def test_what_may_still_be_labelled_is_not_scored(con) -> None:
    young, old = measured(con, "young"), measured(con, "old")
    assert young.maturity.age == old.maturity.age == timedelta(hours=2)
    assert (old.whole.proposals, old.whole.young, old.whole.acts) == (46, 0, 46)
    assert (young.whole.proposals, young.whole.young, young.whole.acts) == (46, 6, 40)


@pytest.mark.parametrize(
    ("type_", "reason"),
    [
        ("absent", "no decision has both a score and a threshold"),
        ("one", "0 decisions are labelled, at least 20 are needed"),
        ("few", "5 decisions are labelled, at least 20 are needed"),
    ],
)
def test_too_little_is_said_to_be_too_little(con, type_: str, reason: str) -> None:
    found = measured(con, type_)
    assert found.reason == reason
    assert math.isnan(found.whole.precision.value)


@given(few, few, st.lists(st.booleans(), max_size=12))
def test_the_bounds_of_a_share_contain_it_whatever_the_unknown_are(part, rest, hidden) -> None:
    least, most = share_bounds(part, rest, len(hidden))
    whole = part + rest + len(hidden)
    if whole:
        assert least <= (part + sum(hidden)) / whole <= most


@given(few, few, st.lists(st.booleans(), max_size=9), st.lists(st.booleans(), max_size=9))
def test_the_bounds_of_recall_contain_it_whatever_the_unknown_are(
    found, missed, acts, rests
) -> None:
    least, most = recall_bounds(found, missed, len(acts), len(rests))
    needed = found + missed + sum(acts) + sum(rests)
    if needed:
        assert least <= (found + sum(acts)) / needed <= most


def test_weights_are_refused_without_a_probability_of_every_proposal(con) -> None:
    every = weighed(con, "weighed")
    assert (every.value, every.n) == (0.8, 25)
    some = weighed(con, "half weighed")
    assert math.isnan(some.value)
    assert some.reason.endswith("above 0; 25 of 26 proposals recorded one")
    never = weighed(con, "never")
    assert never.reason.endswith("2 of 27 proposals could not pass at all")
    assert "0 of 58 proposals recorded one" in measured(con).weighted.reason


def test_bounds_contain_what_all_labels_say(con) -> None:
    told, every = measured(con, "told").whole, measured(con, "all told").whole
    assert every.precision.least == every.precision.most
    for known, bounded in (
        (every.precision, told.precision), (every.recall, told.recall), (every.brier, told.brier)
    ):  # fmt: skip
        assert known.least == pytest.approx(known.most)
        assert bounded.least <= known.least <= bounded.most


def test_weights_take_away_the_bias_of_what_was_stopped() -> None:
    random = np.random.default_rng(7)
    weighted, naive, covered = [], [], 0
    for _ in range(200):
        risky = random.random(2000) < 0.5
        needed = random.random(2000) < np.where(risky, 0.3, 0.9)
        probability = np.where(risky, 0.05, 1.0)
        actuated = random.random(2000) < probability
        rows = pl.DataFrame(
            {"actuated": actuated, "needed": needed, "pass_probability": probability}
        )
        found = weighted_precision(2000, rows)
        weighted.append(found.value)
        naive.append(needed[actuated].mean())
        covered += found.low <= 0.6 <= found.high
    assert np.mean(weighted) == pytest.approx(0.6, abs=0.01)
    assert np.mean(naive) > 0.8
    assert covered >= 180
