"""What moved the scores adds up to their change, and attributions that drift are told from inputs that do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observability.explain.attribution_drift import attribution_drift, attribution_shift
from observability.explain.importance import importance
from observability.explain.relevance import relevances
from observability.explain.score_drift import score_drift
from observability.figures.quadrants import quadrants
from observability.figures.score_waterfall import RESIDUAL, score_bars, score_waterfall
from observability.monitor.baseline import usual_of
from observability.monitor.triage import watch_all
from observability.monitor.verdict import Verdict
from observability.monitor.watched import Watched
from observability.store import lake, read_drift
from observability.store.read import Window, frame
from observability.store.read_explained import Explained, explained
from tests.troubled import DAYS, DEVICES, START

BASELINE = Window(START, START + timedelta(days=17))
days = st.integers(1, DAYS - 1)


@dataclass(frozen=True)
class Told:
    """A troubled fleet, what of it is explained, its inputs as watched, and all rows of attributions."""

    con: duckdb.DuckDBPyConnection
    of: Explained
    watched: Watched
    rows: pl.DataFrame


@pytest.fixture(scope="module")
def told(troubled: Path) -> Iterator[Told]:
    with lake.connect(troubled) as con:
        types = read_drift.decided_types(con)
        (watched,) = watch_all(
            con, types, lambda type_, width: usual_of(con, troubled, type_, width)
        )
        rows = frame(con, "SELECT device_id, decided_at, output, phi FROM attributions")
        yield Told(con, explained(con)[0], watched, rows)


@settings(max_examples=8)
@given(days, st.sampled_from([None, *DEVICES]))
def test_the_parts_sum_to_the_change_of_the_mean_output_at_any_split(
    told: Told, day: int, device: str | None
) -> None:
    at = START + timedelta(days=day)
    found = score_drift(told.con, told.of, at, Window(at, None), device)
    assert found is not None
    rows = told.rows if device is None else told.rows.filter(pl.col("device_id") == device)
    before, after = (
        rows.filter(side) for side in (pl.col("decided_at") < at, pl.col("decided_at") >= at)
    )
    assert (found.before.n, found.after.n) == (before.height, after.height)
    change = after["output"].to_numpy().mean() - before["output"].to_numpy().mean()
    assert found.change == pytest.approx(change, abs=1e-9)
    assert found.parts.sum() == pytest.approx(change, abs=1e-4)
    assert found.adds_up


def test_what_is_the_same_before_and_now_moved_no_score(told: Told) -> None:
    same = score_drift(told.con, told.of, BASELINE.end, Window(BASELINE.end, None))
    assert same is not None
    still = replace(same, after=same.before)
    assert still.change == 0
    assert not still.parts.any()


def test_without_explanations_of_the_baseline_the_first_quarter_is_before(told: Told) -> None:
    found = score_drift(told.con, told.of, START - timedelta(days=1), Window(START, None))
    assert found is not None
    assert not found.baseline
    assert found.before.n + found.after.n == told.rows.height
    assert found.before.n == pytest.approx(told.rows.height / 4, rel=0.01)
    late = Window(START + timedelta(days=DAYS), None)
    assert score_drift(told.con, told.of, BASELINE.end, late) is None


def test_the_waterfall_adds_up_or_says_that_it_does_not(told: Told) -> None:
    found = score_drift(told.con, told.of, BASELINE.end, Window(BASELINE.end, None))
    assert found is not None
    assert sum(bar.phi for bar in score_bars(found)) == pytest.approx(found.change, abs=1e-4)
    wrong = replace(found, after=replace(found.after, output=found.after.output + 1))
    assert not wrong.adds_up
    assert score_bars(wrong)[-1].label == RESIDUAL
    assert sum(bar.phi for bar in score_bars(wrong)) == pytest.approx(wrong.change, abs=1e-9)
    named = replace(told.of, inputs=(replace(told.of.inputs[0], name="<b>"), *told.of.inputs[1:]))
    labels = score_waterfall(replace(found, of=named), "log-odds").layout.yaxis.ticktext
    assert (labels[0], labels[-1]) == ("mean before", "mean now")
    assert "&lt;b&gt;" in labels


def test_attributions_that_drift_are_explained_by_inputs_that_do(told: Told) -> None:
    drifted = attribution_drift(told.con, told.of, BASELINE, None)
    assert drifted is not None
    reached = attribution_shift(drifted, told.watched, "pump-2")
    assert reached.reaching == ("temperature",)
    assert (reached.alone, reached.unfelt, reached.verdict) == ((), (), Verdict.NONE)
    unexplained = attribution_shift(drifted, None, "pump-2")
    assert (unexplained.alone, unexplained.verdict) == (("temperature",), Verdict.ATTRIBUTION)


def test_attributions_without_a_baseline_are_not_judged_and_it_is_said_why(told: Told) -> None:
    short = Window(START, START + timedelta(days=5))
    found = attribution_shift(attribution_drift(told.con, told.of, short, None), told.watched, None)
    assert "fewer than 14 baseline days" in found.insufficient
    nothing = Window(None, START - timedelta(days=9))
    assert attribution_drift(told.con, told.of, nothing, None) is None
    assert attribution_shift(None, told.watched, None).insufficient


def test_what_moved_and_matters_is_named_and_little_else(told: Told) -> None:
    shown = told.watched.drift
    weights = importance(told.con, told.of, Window())
    assert weights is not None
    now = (shown.after, len(shown.starts))
    found = relevances(shown, "pump-2", now, weights, {"temperature"})
    assert [one.name for one in found.telling] == ["temperature"]
    assert found.telling[0] in found.far
    assert sum(one.share for one in found.inputs) == pytest.approx(1)
    assert found.left_out == ()
    figure = quadrants(found, "speed")
    texts = [text for trace in figure.data for text in trace.text if text]
    assert any("<b>speed</b>" in text for text in texts)
    assert len(texts) <= len(found.far) + 1
