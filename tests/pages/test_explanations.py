"""The page of what a model attends to: with attributions, with a selection, and each way of having none."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from observability.collect.serving import serving
from observability.explain.importance import importance
from observability.store import lake
from observability.store.append import append
from observability.store.read import Window
from observability.store.read_explained import explained
from observability.store.schema import arrow_table
from pages.explanations_parts import answer
from pages.format import instant
from tests.pages.attributed import attribute
from tests.pages.seed import TRAP, Seeded
from tests.pages.test_pages import title, words
from traces import Decision, ModelVersion
from traces.device import Recorder

BEFORE_NOON = 4 * 12 + 3 * (71 - 12)
"""Decisions of the seed: four pumps for two hours, then three, every ten minutes."""


@pytest.fixture(scope="module")
def attributed(seeded: Seeded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("attributed") / "fleet"
    shutil.copytree(seeded.store, store)
    attribute(store)
    return store


def test_the_first_line_says_what_the_model_attends_to(open_page, attributed: Path) -> None:
    app = open_page("explanations", attributed)
    assert not app.exception
    with lake.connect(attributed) as con:
        found = importance(con, explained(con)[0], Window())
    assert found is not None
    names = [one.name for one in found.of.inputs]
    first = found.ranked[0]
    share = f"{100 * found.shares[first]:.0f} % of mean |phi|"
    said = title(app).replace("\u202f", " ")
    assert said.startswith(f"pump-wear 1.0.0 attends most to {names[first]} ({share})")
    assert len(app.get("plotly_chart")) == 4


def test_what_gained_is_said_with_when(attributed: Path) -> None:
    with lake.connect(attributed) as con:
        of = explained(con)[0]
        found = importance(con, of, Window())
    assert found is not None
    sums = found.sums.copy()
    pressure = [one.name for one in of.inputs].index("pressure")
    sums[24:, pressure] += sums[24:].sum(axis=1)
    said = answer(of, replace(found, sums=sums), "so far").replace("\u202f", " ")
    assert f"; since {instant(found.starts[24])} pressure gained (" in said
    assert said.endswith("→ 50 %)")


def test_what_the_figures_rest_on_is_said(open_page, attributed: Path) -> None:
    said = words(open_page("explanations", attributed))
    for text in (
        "of 447 decisions explained, n\u00a0=\u00a0444, of 4 devices",
        "2024-05-01 00:10 to 2024-05-02 00:00 UTC",
        "1 explanation left out as not in order, mostly: the model here is not what the device ran.",
        "Relative to 1,000 rows of the reference sha256:",
        "2024-04-01 to 2024-04-25; margin in log-odds, interventional tree shap, pattern tables.",
        "Explains the model, not the cause.",
        "A column is 30 min",
    ):
        assert text in said


def test_a_selection_is_set_beside_all_others(open_page, attributed: Path) -> None:
    app = open_page("explanations", attributed, these_disposition="blocked")
    assert not app.exception
    said = words(app)
    assert "is most different: mean " in said
    assert "explained of " in said
    assert len(app.get("plotly_chart")) == 5
    assert list(app.table[0].value.columns)[:2] == ["Input", "Value, these"]


def test_the_rest_of_a_selection_by_time_is_another_time(open_page, attributed: Path) -> None:
    app = open_page("explanations", attributed, these_from="2024-05-01T12:00Z")
    assert not app.exception
    assert f"selected, beside {BEFORE_NOON} of {BEFORE_NOON}." in words(app)


def test_an_input_is_chosen_in_the_url(open_page, attributed: Path) -> None:
    app = open_page("explanations", attributed, explained_input="pressure")
    assert not app.exception
    assert "pressure: value and push" in words(app)
    app = open_page("explanations", attributed, explained_input="nothing", explained_model="x")
    assert not app.exception


def test_a_selection_without_explanations_says_so(open_page, attributed: Path) -> None:
    app = open_page("explanations", attributed, these_device=TRAP)
    assert not app.exception
    assert "Nothing to tell apart: n\u00a0=\u00a00 explained of 1 selected" in words(app)
    assert "None of the selected decisions is explained" in words(app)
    assert len(app.get("plotly_chart")) == 3


def test_two_specs_are_never_mixed(open_page, attributed: Path, tmp_path: Path) -> None:
    store = Path(shutil.copytree(attributed, tmp_path / "fleet"))
    with lake.connect(store) as con:
        of = explained(con)[0]
        spec = con.sql("FROM specs").to_arrow_table().drop_columns("received_at").to_pylist()[0]
        rows = con.sql("FROM attributions LIMIT 9").to_arrow_table().drop_columns("received_at")
    other = "sha256:" + "f" * 64
    append(
        store,
        {
            "specs": arrow_table("specs", [{**spec, "spec_id": other}]),
            "attributions": arrow_table(
                "attributions",
                [{**row, "spec_id": other, "status": "ok"} for row in rows.to_pylist()],
            ),
        },
    )
    app = open_page("explanations", store)
    assert "n\u00a0=\u00a0444," in words(app)
    assert len(app.selectbox(key="explained_spec").options) == 2
    app = open_page("explanations", store, explained_spec="sha256:ffffffffffff…")
    assert "n\u00a0=\u00a09," in words(app)
    assert of.spec_id != other


def test_each_way_of_having_none_is_told_apart(open_page, attributed, seeded, empty) -> None:
    app = open_page("explanations", empty)
    assert not app.exception
    assert "No decision was received yet." in words(app)
    app = open_page("explanations", seeded.store)
    assert not app.exception
    assert "The worker has not explained a decision of a registered model yet" in words(app)
    app = open_page("explanations", attributed, to="2024-04-30")
    assert not app.exception
    assert title(app) == "No decision of pump-wear 1.0.0 is explained in the chosen time"
    assert "Its newest explained decision was made 2024-05-0" in words(app)


def test_without_a_model_there_is_nothing_to_explain(open_page, empty: Path) -> None:
    ghost = ModelVersion("ghost", "0.1", "sha256:" + "0" * 64)
    with serving(empty) as url:
        exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces")
        recorder = Recorder(device_id="fan-1", service="fan", exporter=exporter)
        recorder.record(Decision("fan.run", ghost, action="run", disposition="executed"))
        recorder.shutdown()
    app = open_page("explanations", empty)
    assert not app.exception
    assert title(app) == "No decision is explained yet"
    assert "No model is registered" in words(app)
