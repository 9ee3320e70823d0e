"""The drift page over real stores: with a reference, without one, empty, and with odd inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from observability.collect.serving import serving
from observability.figures.heatmap import heatmap
from observability.figures.overlay import overlay as drawn_overlay
from observability.models import registry
from observability.monitor.baseline import first_days, from_first_days, from_reference, reference_of
from observability.monitor.drift import Drift, by_device, by_input, drift, overlay
from observability.store import lake
from observability.store.read import Window
from observability.store.read_drift import DecidedType, decided_types
from observability.store.write import Writer
from tests.pages.seed import START, TRAP
from tests.pages.test_pages import title, words
from traces import Decision, ModelVersion
from traces.device import RecordedClock, Recorder

DAYS, HOURLY = 8, 6
SHIFTED_DAY = 6
GHOST = ModelVersion("ghost", "0.1", "sha256:" + hashlib.sha256(b"ghost").hexdigest())


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight days of three fans, every ten minutes, no model registered; fan-2 runs hot from day six."""
    store = tmp_path_factory.mktemp("bare") / "fleet"
    clock = RecordedClock(_ns(0))
    Writer(store, clock).close()
    with serving(store, clock) as url:
        _live(url, clock)
    return store


@pytest.fixture
def con(bare: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with lake.connect(bare) as opened:
        yield opened


def found(con: duckdb.DuckDBPyConnection, window: Window | None = None) -> Drift:
    decided = only(con)
    usual = from_first_days(con, decided.decision_type, first_days(decided))
    return drift(con, usual, decided.decision_type, window or Window())


def only(con: duckdb.DuckDBPyConnection) -> DecidedType:
    (decided,) = decided_types(con)
    return decided


def test_the_first_half_of_a_short_store_is_its_baseline(con) -> None:
    window = first_days(only(con))
    assert (window.start, window.end) == (
        only(con).first_at,
        only(con).first_at + timedelta(days=3),
    )


def test_the_baseline_beside_itself_has_no_drift(con) -> None:
    itself = found(con, first_days(only(con)))
    assert np.array_equal(itself.usual[0], itself.now[0].sum(axis=0))
    for name in ("temperature", "load", "mode"):
        assert overlay(itself, name, None).psi == 0


def test_bins_hold_equal_counts_of_the_baseline(con) -> None:
    counts = found(con).usual[0, 0]
    assert counts.max() - counts.min() <= 0.02 * counts.sum()


def test_missing_values_are_counted_apart(con) -> None:
    shown = found(con)
    load = shown.names.index("load")
    cells = by_input(shown)
    assert cells.missing[load, 0] == pytest.approx(0.5, abs=0.01)
    assert cells.values[load, 1] == 3 * 24 * HOURLY / 2
    assert not cells.missing[shown.names.index("temperature")].any()


def test_an_unknown_level_is_counted_as_others(con) -> None:
    shown = found(con)
    mode = shown.names.index("mode")
    assert shown.baseline.inputs[mode].levels == ("auto", "eco")
    before, after = (
        overlay(shown, "mode", "fan-2", *days).now for days in ((0, 3), (SHIFTED_DAY, None))
    )
    assert before[2] == 0
    assert after[2] == after.sum() > 0


def test_figures_show_what_was_counted_and_escape_names(con) -> None:
    shown = found(con)
    names, cells = by_device(shown, "temperature")
    figure = heatmap(cells, ("<b>", *names[1:]), shown.starts, shown.width, chosen=names[1])
    assert figure.layout.yaxis.ticktext == ("&lt;b&gt;", "<b>fan-1</b>", "fan-2")
    assert "PSI" in figure.data[1].customdata[1][0]
    at = shown.names.index("temperature")
    values = overlay(shown, "temperature", None)
    of, bins = shown.baseline.inputs[at], shown.baseline.bins[at]
    bars = drawn_overlay(values, of, bins).data
    assert [sum(bar.y) for bar in bars] == pytest.approx([1, 1])
    assert values.now.sum() == only(con).decisions


def test_the_reference_of_the_type_s_model_is_the_baseline(seeded) -> None:
    with lake.connect(seeded.store) as con:
        decided = only(con)
        model = reference_of(con, seeded.store, decided)
        assert model == registry.registered(con, seeded.store, name="pump-wear")[0]
        usual = from_reference(con, model)
        assert usual.decisions == 1200
        assert usual.model == "pump-wear 1.0.0"
        itself = usual.cube.counts.sum(axis=0)
        assert (itself.max(axis=1) - itself.min(axis=1)).max() <= 1


def test_the_page_says_first_that_nothing_can_be_judged_yet_and_why(open_page, bare) -> None:
    app = open_page("drift", bare)
    assert not app.exception
    assert title(app) == (
        "Nothing can be judged yet: fewer than 14 baseline days of 20 values to compare"
    )
    said = words(app)
    assert "PSI is shown, never alarmed on" in said
    assert "the first days of this store, as no reference is registered" in said
    assert len(app.get("plotly_chart")) == 2


def test_the_page_says_first_what_is_wrong_since_when_and_on_whom(open_page, troubled) -> None:
    app = open_page("drift", troubled, range="all")
    assert not app.exception
    assert title(app).startswith("ambient on 2 of 5 devices (pump-1, pump-4) is in another unit")
    assert "since 2026-01-2" in title(app)
    assert title(app).endswith("; 2 more troubles below")
    said = words(app)
    assert "temperature on pump-2 shifted, mean 60" in said
    assert "pressure on pump-3 stood still, from 2026-01-23 05:00" in said
    assert "moved together on pump-5: the process rather than a sensor" in said
    assert app.selectbox(key="drift_input").placeholder == "ambient"
    app.button(key="show_1").click().run()
    assert not app.exception
    assert app.selectbox(key="drift_device").value == "pump-2"
    assert app.selectbox(key="drift_input").value == "temperature"
    assert "How far has temperature moved? :gray[pump-2, never alarmed on]" in words(app)


def test_since_when_names_the_onset_what_moved_first_and_what_was_changed(
    open_page, troubled
) -> None:
    app = open_page(
        "drift", troubled, range="all", drift_question="Since when", drift_device="pump-2"
    )
    assert not app.exception
    said = words(app)
    assert "temperature has moved since 2026-01-2" in said
    assert "pressure moved first, on pump-3, 2026-01-23; then " in said
    assert "On pump-2 nothing that is recorded was changed about then." in said
    assert "From 1,000 on it alarms" in said
    asked = {"drift_question": "Since when", "drift_input": "speed", "drift_device": "pump-1"}
    quiet = words(open_page("drift", troubled, range="all", **asked))
    assert "No alarm on speed: evidence came to" in quiet


def test_whose_names_the_devices_that_carry_the_shift(open_page, troubled) -> None:
    app = open_page("drift", troubled, range="all", drift_question="Whose")
    assert not app.exception
    said = words(app)
    assert "pump-1 and pump-4 carry" in said
    assert "Exact shares of the fleet's shift; all sum to 100 %" in said
    assert "beside the fleet's baseline" in said


def test_does_it_matter_tells_what_moved_and_what_moved_the_scores(open_page, troubled) -> None:
    app = open_page("drift", troubled, range="all", drift_question="Does it matter", drift_device="pump-2",
                    drift_input="temperature")  # fmt: skip
    assert not app.exception
    said = words(app)
    assert "the shift of temperature reaches the scores" in said
    assert "temperature alarms and matters" in said
    assert "most of all by temperature" in said
    assert "The parts add up to the change" in said
    assert len(app.get("plotly_chart")) == 3


def test_without_explanations_it_is_said_how_to_get_them(open_page, bare) -> None:
    app = open_page("drift", bare, drift_question="Does it matter")
    assert not app.exception
    assert "An explained decision was not found." in words(app)
    assert "No model is registered" in words(app)


def test_the_page_says_whose_reference_is_the_baseline(open_page, seeded) -> None:
    app = open_page("drift", seeded.store, drift_question="Whose")
    assert not app.exception
    assert "Baseline: the reference of pump-wear 1.0.0, 1,200 decisions" in words(app)
    assert "beside the fleet's baseline" in words(app)


def test_device_and_input_come_from_the_url(open_page, bare) -> None:
    app = open_page("drift", bare, drift_device="fan-2", drift_input="temperature")
    assert "fan-2" in words(app)
    assert "Mean 19.8 → 31.9" in words(app)
    assert app.selectbox(key="drift_device").value == "fan-2"


def test_a_constant_input_is_called_so(open_page, bare) -> None:
    app = open_page("drift", bare, drift_input="stage")
    assert not app.exception
    assert "stage is constant at 2 in the baseline, so it has no PSI." in words(app)


@pytest.mark.parametrize(
    ("question", "name"),
    [("What changed", "mode"), ("Since when", "stage"), ("Whose", "mode"), ("Does it matter", "stage")],
)  # fmt: skip
def test_odd_inputs_and_names_have_an_answer_to_each_question(
    open_page, bare, question, name
) -> None:
    app = open_page("drift", bare, drift_question=question, drift_input=name, drift_device=TRAP)
    assert not app.exception
    assert "![trap](" not in "\n".join(str(e.value) for e in (*app.header, *app.markdown))


def test_a_device_that_looks_like_markdown_stays_a_name(open_page, bare) -> None:
    app = open_page("drift", bare, drift_device=TRAP)
    assert not app.exception
    assert TRAP in words(app)
    assert "![trap](" not in "\n".join(str(element.value) for element in app.header)


def test_what_is_not_there_is_left_out(open_page, bare) -> None:
    app = open_page("drift", bare, drift_device="nobody", drift_input="nothing", drift_type="x")
    assert not app.exception
    assert len(app.get("plotly_chart")) == 2


def test_a_time_without_decisions_is_told_apart_from_no_data(open_page, bare, empty) -> None:
    app = open_page("drift", bare, **{"from": "2020-01-01T00:00Z", "to": "2020-01-02T00:00Z"})
    assert not app.exception
    assert "No decision matches." in words(app)
    app = open_page("drift", empty)
    assert not app.exception
    assert "No decision was received yet." in words(app)


def test_a_folder_that_is_no_store_is_one_sentence(open_page, tmp_path: Path) -> None:
    app = open_page("drift", tmp_path / "nowhere")
    assert not app.exception
    assert "expected a store folder" in words(app)


def _live(url: str, clock: RecordedClock) -> None:
    """Half of the loads are missing; the stage never changes; fan-2 gets hot, in a mode of its own."""
    random = np.random.default_rng(7)
    recorders = {name: _recorder(name, url, clock) for name in ("fan-1", "fan-2", TRAP)}
    for step in range(24 * HOURLY * DAYS):
        minute = 60 // HOURLY * step
        clock.set(_ns(minute))
        for name, recorder in recorders.items():
            hot = name == "fan-2" and minute >= SHIFTED_DAY * 24 * 60
            mode = "boost" if hot else ("auto", "eco")[int(random.integers(2))]
            inputs = {
                "temperature": float(random.normal(50 if hot else 20, 5)),
                "load": float("nan") if step % 2 else float(random.random()),
                "stage": 2.0,
            }
            recorder.record(
                Decision(
                    "fan.run",
                    GHOST,
                    action="run",
                    disposition="executed",
                    inputs=inputs,
                    categoricals={"mode": mode},
                )
            )
            if step % 400 == 399:
                recorder.flush()
    for recorder in recorders.values():
        recorder.shutdown()


def _recorder(name: str, url: str, clock: RecordedClock) -> Recorder:
    exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces")
    return Recorder(device_id=name, service="fan", exporter=exporter, clock=clock)


def _ns(minute: int) -> int:
    return int((START + timedelta(minutes=minute)).timestamp()) * 1_000_000_000


def test_the_device_page_says_what_drift_says_of_it_and_leads_there(open_page, troubled) -> None:
    app = open_page("device", troubled, id="pump-2", range="all")
    assert not app.exception
    assert "; temperature on pump-2 shifted, mean 60.1 → 69.9, since 2026-01-25 (PSI " in title(app)
    app.button(key="device_trouble_0").click().run()
    assert not app.exception
    assert app.selectbox(key="drift_device").value == "pump-2"
    assert app.selectbox(key="drift_input").value == "temperature"
    assert "temperature: baseline and now" in words(app)


def test_on_the_device_page_a_stuck_sensor_is_said_once_and_the_process_is_no_fault(
    open_page, troubled
) -> None:
    stuck = title(open_page("device", troubled, id="pump-3", range="all"))
    assert stuck.endswith("; pressure stood still at 5.3")
    loaded = open_page("device", troubled, id="pump-5", range="all")
    assert title(loaded).startswith("Look at pump-5: silent for ")
    assert ";" not in title(loaded)
    assert "moved together on pump-5: the process rather than a sensor" in words(loaded)
