"""What a model attends to over a fleet: each figure's values beside a plain computation over all rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from observability.collect.serving import serving
from observability.explain.differences import Beside, differences
from observability.explain.drawn import Drawn, drawn
from observability.explain.importance import changed, importance
from observability.figures.beeswarm import beeswarm
from observability.figures.decision_plot import decision_plot
from observability.figures.dependence import dependence, group_means
from observability.figures.differences import differences_ranked
from observability.figures.importance import importance_over_time
from observability.store import lake
from observability.store.append import append
from observability.store.read import Window
from observability.store.read_decisions import Filters
from observability.store.read_explained import Explained, explained
from observability.store.schema import arrow_table
from observability.store.write import Writer
from traces import Decision, ModelVersion
from traces.device import RecordedClock, Recorder

START = datetime(2024, 5, 1, tzinfo=UTC)
MODEL = ModelVersion("fan", "1", "sha256:" + "a" * 64)
LEVELS = ("eco", "max")
HOURS, TURNED = 160, 100
SPEC, OTHER_SPEC = "sha256:" + "b" * 64, "sha256:" + "c" * 64
LATE = Window(START + timedelta(hours=60), START + timedelta(hours=130))


@dataclass(frozen=True)
class Told:
    """A store, and what was written of its attributions in order: one row a decision."""

    store: Path
    rows: pl.DataFrame

    def phi(self, rows: pl.DataFrame | None = None) -> np.ndarray:
        return np.array((self.rows if rows is None else rows)["phi"].to_list())


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Two fans for a week; from hour 100 on, temperature pushes more. Some rows stand for three."""
    store = tmp_path_factory.mktemp("told") / "fleet"
    clock = RecordedClock(_ns(0))
    Writer(store, clock).close()
    with serving(store, clock) as url:
        rows = _live(url, clock)
    model = {
        "name": MODEL.name, "version": MODEL.version, "digest": MODEL.digest, "artifact": "onnx",
        "link": "logit", "threshold": 0.5, "features": [
            {"name": "temperature", "unit": "°C", "levels": []}, {"name": "load", "unit": "1", "levels": []},
            {"name": "mode", "unit": "", "levels": list(LEVELS)}],
    }  # fmt: skip
    wrong = [{**row, "spec_id": SPEC, "status": "the parts do not add up"} for row in rows[:5]]
    other = [{**row, "spec_id": OTHER_SPEC, "phi": [9.0, 9.0, 9.0]} for row in rows[:50]]
    ok = rows[5:]
    append(
        store,
        {
            "models": arrow_table("models", [model]),
            "specs": arrow_table("specs", [_spec(SPEC), _spec(OTHER_SPEC)]),
            "attributions": arrow_table("attributions", [*wrong, *ok, *other]),
        },
    )
    return Told(store, pl.DataFrame(ok))


@pytest.fixture
def con(told: Told) -> Iterator[duckdb.DuckDBPyConnection]:
    with lake.connect(told.store) as opened:
        yield opened


def only(con: duckdb.DuckDBPyConnection) -> Explained:
    return next(of for of in explained(con) if of.spec_id == SPEC)


def test_what_is_explained_names_its_model_inputs_and_spec(con) -> None:
    of = only(con)
    assert of.models == ("fan 1",)
    assert [(one.name, one.unit, one.levels) for one in of.inputs] == [
        ("temperature", "°C", ()), ("load", "1", ()), ("mode", "", LEVELS),
    ]  # fmt: skip
    assert (of.threshold, of.link, of.background_rows) == (0.5, "logit", 1000)
    assert {other.spec_id for other in explained(con)} == {SPEC, OTHER_SPEC}


@pytest.mark.parametrize("window", [Window(), LATE])
def test_mean_phi_is_the_weighted_mean_of_what_is_in_order(con, told, window: Window) -> None:
    found = importance(con, only(con), window)
    assert found is not None
    rows = within(told.rows, window)
    weights, sizes = rows["weight"].to_numpy(), np.abs(told.phi(rows))
    assert found.overall == pytest.approx(np.average(sizes, axis=0, weights=weights), rel=1e-6)
    assert found.extent.attributions == len(rows) == found.attributions.sum()
    assert found.extent.left_out == (5 if window.start is None else 0)
    assert found.shares.sum() == pytest.approx(1)
    for place, start in enumerate(found.starts):
        chosen = rows["decided_at"].is_between(start, start + found.width, closed="left").to_numpy()
        expected = np.average(sizes[chosen], axis=0, weights=weights[chosen])
        assert found.mean_abs[place] == pytest.approx(expected, rel=1e-6)


def test_a_time_without_explanations_has_no_importance(con) -> None:
    assert importance(con, only(con), Window(end=START - timedelta(days=1))) is None


def test_the_input_that_gained_is_named_with_when(con) -> None:
    found = importance(con, only(con), Window())
    assert found is not None
    change = changed(found)
    assert change is not None
    assert change.name == "temperature"
    assert abs(change.since - (START + timedelta(hours=TURNED))) <= found.width
    assert change.after - change.before > 0.2
    steady = importance(con, only(con), Window(end=START + timedelta(hours=TURNED)))
    assert steady is not None
    assert changed(steady) is None


def test_a_sample_of_all_is_all_with_values_as_recorded(con, told) -> None:
    found = drawn(con, only(con), Window())
    assert found.selected == len(found.phi) == len(told.rows)
    rows = found.decisions.select("decision_id").join(
        told.rows, on="decision_id", maintain_order="left"
    )
    assert len(rows) == len(told.rows)
    assert found.phi == pytest.approx(told.phi(rows), rel=1e-6)
    assert found.values == pytest.approx(rows.select("t", "l", "m").to_numpy(), nan_ok=True)
    ranks = found.ranks(0)
    assert np.isnan(ranks[np.isnan(found.values[:, 0])]).all()
    assert (np.nanmin(ranks), np.nanmax(ranks)) == (0, 1)


def test_a_sample_is_the_same_each_time_and_follows_the_weights(con, told) -> None:
    found = drawn(con, only(con), Window(), at_most=100)
    again = drawn(con, only(con), Window(), at_most=100)
    assert found.decisions.equals(again.decisions)
    fewer = drawn(con, only(con), Window(), at_most=9)
    assert fewer.decisions.equals(found.first(9).decisions)
    assert found.decisions["decision_id"].n_unique() == 100
    heavy = told.rows.filter(pl.col("weight") == 3)["decision_id"]
    assert found.decisions["decision_id"].is_in(heavy.implode()).mean() == pytest.approx(
        0.55, abs=0.15
    )
    few = drawn(con, only(con), Window(), Filters(device="fan-2", disposition="blocked"), 7)
    assert set(few.decisions["device_id"]) == {"fan-2"}
    assert len(few.phi) == 7 < few.selected


@pytest.mark.parametrize(
    "selection", [Filters(device="fan-2"), Filters(disposition="blocked"), Filters(window=LATE)]
)
def test_differences_are_those_of_weighted_means_in_deviations(con, told, selection) -> None:
    found = differences(con, only(con), Window(), selection)
    chosen = picked(told.rows, selection)
    assert (found.selected, found.others) == (chosen.sum(), (~chosen).sum())
    by_name = {one.name: one for one in found.ranked}
    for number, name in enumerate(("temperature", "load", "mode")):
        weights, phi = told.rows["weight"].to_numpy(), told.phi()[:, number]
        sides = [moments(phi[side], weights[side]) for side in (chosen, ~chosen)]
        assert_beside(by_name[name].phi, *sides)
    assert found.ranked[0].weight == max(one.weight for one in found.ranked)


def test_inputs_are_compared_over_all_decisions_of_the_model(con, told) -> None:
    found = differences(con, only(con), Window(), Filters(device="fan-2"))
    assert found.decided_selected == found.decided_others == HOURS
    by_name = {one.name: one for one in found.ranked}
    mode = by_name["mode"]
    assert mode.level in LEVELS
    assert (mode.value.mean, mode.value.others) in [(1.0, 0.5), (0.0, 0.5)]
    load = by_name["load"].value
    assert load == Beside(pytest.approx(1.0), pytest.approx(2.0), -math.inf)
    assert by_name["temperature"].value.mean == pytest.approx(60, abs=2)


def test_a_selection_of_nothing_has_nothing_to_compare(con) -> None:
    found = differences(con, only(con), Window(), Filters(device="nobody"))
    assert (found.selected, found.decided_selected) == (0, 0)
    assert all(one.weight == 0 for one in found.ranked)
    assert drawn(con, only(con), Window(), Filters(device="nobody")).phi.shape == (0, 3)


def test_the_heatmap_has_the_weightiest_on_top_with_its_share(con) -> None:
    found = importance(con, only(con), Window())
    assert found is not None
    figure = importance_over_time(found, "log-odds")
    assert np.square(figure.data[0].z) == pytest.approx(found.mean_abs.T[list(found.ranked)])
    top = found.ranked[0]
    label = f"{found.of.inputs[top].name}  {found.shares[top]:.0%}".replace("%", " %")
    assert figure.layout.yaxis.ticktext[0] == label
    grouped = importance_over_time(found, "log-odds", top=1)
    assert grouped.layout.yaxis.ticktext[1].startswith("2 others")
    assert np.square(grouped.data[0].z).sum(axis=0) == pytest.approx(found.mean_abs.sum(axis=1))


def test_a_beeswarm_dot_lies_at_its_phi_in_its_inputs_row(con) -> None:
    found = drawn(con, only(con), Window(), at_most=60)
    figure = beeswarm(found, "log-odds")
    for row, number in enumerate(found.ranked):
        dots = figure.data[row]
        assert dots.x == pytest.approx(found.phi[:, number])
        assert (np.abs(np.array(dots.y) - row) < 0.5).all()
        assert dots.marker.color == pytest.approx(found.ranks(number), nan_ok=True)


def test_dependence_leaves_missing_values_out_and_draws_the_mean(con) -> None:
    found = drawn(con, only(con), Window())
    figure = dependence(found, 0, "log-odds")
    recorded = ~np.isnan(found.values[:, 0])
    assert figure.data[0].x == pytest.approx(found.values[recorded, 0])
    assert figure.data[0].y == pytest.approx(found.phi[recorded, 0])
    assert len(figure.data[1].x) == 24
    levels = dependence(found, 2, "log-odds")
    assert levels.layout.xaxis.ticktext == LEVELS
    assert levels.data[1].y == pytest.approx(
        [found.phi[found.values[:, 2] == level, 2].mean() for level in (0, 1)]
    )
    across, up = group_means(np.array([1.0, 1.0, 2.0]), np.array([0.0, 2.0, 5.0]))
    assert (across.tolist(), up.tolist()) == ([1.0, 2.0], [1.0, 5.0])


def test_decision_lines_lead_from_the_base_to_the_output(con) -> None:
    found = drawn(con, only(con), Window(), at_most=20)
    lines = decision_plot(found, "log-odds").data
    ends = [line.x[at] for line in lines for at in range(len(found.of.inputs), len(line.x), 5)]
    assert sorted(ends) == pytest.approx(sorted(found.decisions["output"]), abs=1e-6)
    assert [line.name.split(",")[0] for line in lines] == [
        "ends above the threshold", "ends below the threshold",
    ]  # fmt: skip
    few = decision_plot(found, "log-odds", top=1)
    assert few.layout.yaxis.ticktext[1] == "2 others"


def test_names_are_no_markup_in_any_figure(con) -> None:
    of = only(con)
    of = replace(of, inputs=(replace(of.inputs[0], name="<b>hot"), *of.inputs[1:]))
    found = drawn(con, of, Window(), at_most=20)
    weights = importance(con, of, Window())
    assert weights is not None
    apart = differences(con, of, Window(), Filters(device="fan-2"))
    for figure in (
        importance_over_time(weights, "log-odds"), beeswarm(found, "log-odds"),
        dependence(found, 0, "log-odds"), decision_plot(found, "log-odds"),
        differences_ranked(apart),
    ):  # fmt: skip
        assert "<b>hot" not in figure.to_json().replace("\\u003c", "<")


def test_bars_end_where_the_axis_does_and_say_how_far_it_goes_on(con) -> None:
    found = differences(con, only(con), Window(), Filters(device="fan-2"))
    bars = differences_ranked(found).data[1]
    place = [one.name for one in found.ranked].index("load")
    assert (bars.x[place], bars.text[place]) == (-3, "−∞")


def test_no_decision_makes_an_empty_figure(con) -> None:
    nothing = drawn(con, only(con), Window(), Filters(device="nobody"))
    assert isinstance(nothing, Drawn)
    assert all(len(trace.x) == 0 for trace in beeswarm(nothing, "log-odds").data)
    assert len(dependence(nothing, 0, "log-odds").data[0].x) == 0


def within(rows: pl.DataFrame, window: Window) -> pl.DataFrame:
    if window.start is None:
        return rows
    return rows.filter(pl.col("decided_at").is_between(window.start, window.end, closed="left"))


def picked(rows: pl.DataFrame, selection: Filters) -> np.ndarray:
    if selection.window.start:
        return rows["decision_id"].is_in(within(rows, LATE)["decision_id"].implode()).to_numpy()
    asked = selection.device or selection.disposition
    return (rows["device_id" if selection.device else "d"] == asked).to_numpy()


def moments(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    mean = np.average(values, weights=weights)
    return float(mean), float(np.average((values - mean) ** 2, weights=weights))


def assert_beside(found: Beside, own: tuple[float, float], others: tuple[float, float]) -> None:
    spread = math.sqrt((own[1] + others[1]) / 2)
    assert found.mean == pytest.approx(own[0], rel=1e-5)
    assert found.others == pytest.approx(others[0], rel=1e-5)
    assert found.standardised == pytest.approx((own[0] - others[0]) / spread, rel=1e-4)


def _live(url: str, clock: RecordedClock) -> list[dict]:
    """Decisions as devices make them, and an attribution of each, every hour."""
    random = np.random.default_rng(7)
    recorders = {
        name: Recorder(
            device_id=name,
            service="fan",
            exporter=OTLPSpanExporter(endpoint=f"{url}/v1/traces"),
            clock=clock,
        )
        for name in ("fan-1", "fan-2")
    }
    rows = []
    for hour in range(HOURS):
        clock.set(_ns(hour))
        for number, (name, recorder) in enumerate(recorders.items()):
            missing = hour % 10 == 3
            temperature = math.nan if missing else float(random.normal((40, 60)[number], 5))
            load, level = (2.0, 1.0)[number], 0 if number else hour % 2
            became = "blocked" if random.random() < 0.3 else "executed"
            decided = Decision(
                "fan.run", MODEL, action="run", disposition=became,
                inputs={"load": load, "temperature": temperature}, categoricals={"mode": LEVELS[level]},
            )  # fmt: skip
            decision_id = recorder.record(decided)
            scale = (3.0 if hour >= TURNED else 1.0, 1.0, 0.2)
            phi = np.float32(random.normal(0.1 * (became == "blocked"), 1, 3) * scale).tolist()
            rows.append(
                {
                    "device_id": name,
                    "decision_id": decision_id,
                    "decision_type": "fan.run",
                    "decided_at": START + timedelta(hours=hour),
                    "spec_id": SPEC,
                    "phi": phi,
                    "se": [],
                    "base": -0.5,
                    "output": -0.5 + sum(phi),
                    "residual": 0.0,
                    "replay_error": 0.0,
                    "weight": 3.0 if random.random() < 0.3 else 1.0,
                    "status": "ok",
                    "t": temperature,
                    "l": load,
                    "m": float(level),
                    "d": became,
                }
            )
    for recorder in recorders.values():
        recorder.shutdown()
    return rows


def _spec(spec_id: str) -> dict:
    return {
        "spec_id": spec_id, "model_digest": MODEL.digest, "artifact": "onnx", "output": "margin",
        "link": "logit", "algorithm": "exact", "library": "numpy 2",
        "features": ["temperature", "load", "mode"], "reference_id": "sha256:" + "d" * 64,
        "background_rows": 1000, "background_seed": 0, "background_from": START,
        "background_to": START + timedelta(days=1),
    }  # fmt: skip


def _ns(hour: int) -> int:
    return int((START + timedelta(hours=hour)).timestamp()) * 1_000_000_000
