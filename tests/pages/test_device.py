"""One device: beside the others, its gates and releases, and the page that says whether it is healthy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from observability.figures.beside import beside
from observability.figures.course import course as drawn
from observability.store import lake
from observability.store.read import Window
from observability.store.read_device import Course, Known, changes_within, course, known
from observability.store.read_unusual import gated, shifted, silent_for, stood_still
from observability.store.write import Writer
from tests.pages.seed import START, TRAP
from tests.pages.test_health import at
from tests.pages.test_pages import shown_id, title, words
from tests.spans import MODEL, NOON, decision, decision_span, decoded, group
from traces import ModelVersion
from traces.device import RecordedClock

BEGINS = pl.datetime(2026, 1, 1, time_zone="UTC")
BUCKETS = 40


@pytest.fixture
def con(seeded) -> Iterator[duckdb.DuckDBPyConnection]:
    with lake.connect(seeded.store) as opened:
        yield opened


def look(con, device: str, window: Window | None = None) -> tuple[Known, Course]:
    window = window or Window()
    seen = known(con, device, window)
    assert seen is not None
    found = course(con, seen, seen.types["type"][0], window)
    assert found is not None
    return seen, found


def inputs(median: list[float], *, spread: float = 0.5) -> pl.DataFrame:
    """A temperature of one device, hourly, beside others that lie between 10 and 20."""
    return pl.select(
        pl.datetime_range(
            BEGINS, BEGINS + pl.duration(hours=len(median) - 1), "1h", time_zone="UTC"
        ).alias("bucket")
    ).with_columns(
        pl.lit("temperature").alias("name"),
        pl.lit(4).alias("n"),
        pl.Series("median", median),
        pl.Series("least", [value - spread for value in median]),
        pl.Series("most", [value + spread for value in median]),
        pl.lit(100).alias("others"),
        pl.lit(10.0).alias("low"),
        pl.lit(15.0).alias("middle"),
        pl.lit(20.0).alias("high"),
    )


def with_inputs(con, rows: pl.DataFrame) -> Course:
    return replace(look(con, "pump-1")[1], inputs=rows, bucket_width=timedelta(hours=1))


def wave(length: int) -> list[float]:
    return [14.0 + (step % 5) / 2 for step in range(length)]


def test_a_device_is_known_with_its_last_decision_and_counts_of_the_window(con, seeded) -> None:
    seen, found = look(con, "pump-1")
    assert (seen.decisions, seen.blocked) == (found.decisions, found.blocked) == (144, 24)
    assert seen.last["last_ever_at"] == START + timedelta(hours=24)
    assert seen.mean_interval_s == 600.0
    assert look(con, "pump-1", Window(START, START + timedelta(hours=1)))[0].decisions == 5
    assert known(con, "pump-99", Window()) is None


def test_bars_scores_and_outcomes_hold_every_decision(con) -> None:
    _, found = look(con, "pump-1")
    assert found.over_time["decisions"].sum() == found.scores["decisions"].sum() == 144
    assert set(found.scores["threshold"]) == {0.5}
    assert found.outcomes["decisions"].sum() == 100


def test_the_others_are_all_devices_but_this_one(con) -> None:
    _, found = look(con, "pump-4")
    assert found.decisions == 12
    hour = found.inputs.filter(pl.col("name") == "vibration")
    assert hour["n"].sum() == 12
    assert hour["others"].sum() == 36
    gate = found.gates.row(0, named=True)
    assert gate["gate"] == "minimum_dwell"
    assert 0 < gate["asked"] <= 12 < gate["others_asked"]


def test_an_input_keeps_its_unit_and_the_order_of_its_model(con) -> None:
    _, found = look(con, "pump-1")
    assert found.inputs["name"].unique(maintain_order=True).to_list() == [
        "temperature", "vibration", "pressure",
    ]  # fmt: skip
    assert found.units["temperature"] == "°C"


def test_releases_are_first_decisions_and_a_rollback_is_seen_again(tmp_path: Path) -> None:
    store = tmp_path / "fleet"
    newer = ModelVersion(MODEL.name, "1.5.0", MODEL.digest)
    ran = [(MODEL, "4.2"), (MODEL, "4.3"), (newer, "4.3"), (newer, "4.3"), (MODEL, "4.3")]
    with Writer(store, RecordedClock(NOON)) as writer:
        for hours, (model, firmware) in enumerate(ran):
            one = decision_span(decision(model=model), **at(timedelta(hours=hours)))
            writer.write(decoded(group([one], "pump-1", **{"service.version": firmware})).batch())
    with lake.connect(store) as con:
        _, found = look(con, "pump-1")
    assert [sorted(said) for said in changes_within(found)["said"]] == [
        ["firmware 4.2", "guard 1.4.0"],
        ["firmware 4.3"],
        ["guard 1.5.0"],
        ["guard 1.4.0 again"],
    ]


def test_an_input_that_shifted_is_told_with_how_far_and_since_when(con) -> None:
    biased = [value + 6.0 * (step >= 25) for step, value in enumerate(wave(BUCKETS))]
    (one,) = shifted(with_inputs(con, inputs(biased)))
    assert one.name == "temperature"
    assert one.by == pytest.approx(6.0, abs=0.6)
    assert abs(one.since - datetime(2026, 1, 2, 1, tzinfo=UTC)) <= timedelta(hours=3)
    assert one.until is None


def test_an_input_that_came_back_is_told_with_until_when(con) -> None:
    for_a_while = [value + 20.0 * (15 <= step < 34) for step, value in enumerate(wave(BUCKETS))]
    (one,) = shifted(with_inputs(con, inputs(for_a_while)))
    assert one.until == datetime(2026, 1, 2, 10, tzinfo=UTC)


@pytest.mark.parametrize("offset", [0.0, 30.0, -30.0])
def test_a_device_that_always_read_so_has_not_shifted(con, offset: float) -> None:
    steady = [value + offset for value in wave(BUCKETS)]
    assert shifted(with_inputs(con, inputs(steady))) == ()


def test_an_input_that_stood_still_is_told_with_its_value_and_time(con) -> None:
    rows = pl.concat(
        [inputs(wave(20)), inputs([12.5] * 8, spread=0.0).with_columns(
            pl.col("bucket") + pl.duration(hours=20)
        )]
    )  # fmt: skip
    (one,) = stood_still(with_inputs(con, rows))
    assert (one.value, one.stands) == (12.5, True)
    assert one.last_at - one.first_at == timedelta(hours=8)
    always = inputs([12.5] * 28, spread=0.0)
    assert stood_still(with_inputs(con, always)) == ()


@pytest.mark.parametrize(
    ("blocked", "asked", "others_blocked", "listed"),
    [(9, 20, 5, True), (9, 20, 40, False), (1, 20, 0, False), (9, 9, 0, False)],
)
def test_a_gate_that_blocks_more_here_needs_evidence(
    blocked, asked, others_blocked, listed
) -> None:
    gates = pl.DataFrame(
        {
            "gate": ["g"], "blocked": [blocked], "asked": [asked],
            "others_blocked": [others_blocked], "others_asked": [100],
        }
    )  # fmt: skip
    assert bool(gated(gates)) is listed


def test_silence_is_measured_by_the_devices_own_habit(con) -> None:
    seen, _ = look(con, "pump-4")
    last = seen.last["last_ever_at"]
    assert silent_for(seen, last + timedelta(minutes=99)) is None
    assert silent_for(seen, last + timedelta(hours=3)) == timedelta(hours=3)


def test_figures_draw_what_the_frames_say(con) -> None:
    _, found = look(con, "pump-1")
    figure = drawn(found.over_time, found.scores, changes_within(found), found.bucket_width)
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert sum(sum(bar.y) for bar in bars) == 144
    assert [shape.name for shape in figure.layout.shapes] == ["release"]
    names = found.inputs["name"].unique(maintain_order=True).to_list()
    panels = beside(found.inputs, names, found.units, found.bucket_width)
    assert panels.layout.annotations[0].text == "<b>temperature</b> °C"


def test_the_page_says_first_whether_the_device_is_healthy(open_page, seeded) -> None:
    app = open_page("device", seeded.store, id="pump-1")
    assert not app.exception
    assert title(app) == "Nothing changed on pump-1: 144 decisions in the whole recording"
    assert "Last decision" in words(app)
    assert len(app.get("plotly_chart")) == 2


def test_a_silent_device_is_called_so(open_page, seeded) -> None:
    said = title(open_page("device", seeded.store, id="pump-4")).replace("\u202f", " ")
    assert said.startswith("Look at pump-4: it stopped 22 h before the recording ends")


def test_its_last_decision_and_all_of_them_are_one_step_away(open_page, seeded) -> None:
    app = open_page("device", seeded.store, id="pump-1")
    app.button(key="go_last").click().run()
    assert shown_id(app) != "pump-1"
    assert title(app).startswith("pump-1 ")
    app = open_page("device", seeded.store, id="pump-1")
    app.button(key="go_decisions").click().run()
    assert title(app).startswith("144 decisions of 1 device match")


def test_a_window_without_its_decisions_is_told_apart(open_page, seeded) -> None:
    app = open_page("device", seeded.store, id="pump-1", **{"from": "2030-01-01T00:00Z"})
    assert not app.exception
    assert "No decision matches." in words(app)


def test_a_device_with_hardly_anything_recorded_is_shown(open_page, seeded) -> None:
    app = open_page("device", seeded.store, id="pump-8")
    assert not app.exception
    for expected in ("No gate was asked.", "No input was recorded.", "None is known yet."):
        assert expected in words(app)


def test_a_device_named_like_markdown_stays_a_name(open_page, seeded) -> None:
    app = open_page("device", seeded.store, id=TRAP)
    assert not app.exception
    drawn_texts = "\n".join(str(element.value) for element in (*app.title, *app.markdown))
    assert "![trap](" not in drawn_texts
    assert TRAP in title(app).replace("\u2060", "")


@pytest.mark.parametrize("device", ["pump-99", "'; DROP TABLE decisions; --"])
def test_a_device_that_never_decided_is_not_found(open_page, seeded, device: str) -> None:
    app = open_page("device", seeded.store, id=device)
    assert not app.exception
    assert title(app) == "No such device"


def test_no_id_asks_for_one(open_page, seeded) -> None:
    assert title(open_page("device", seeded.store)) == "Which device?"


def test_an_empty_store_is_no_error(open_page, empty) -> None:
    app = open_page("device", empty, id="pump-1")
    assert not app.exception
    assert title(app) == "No such device"


def test_a_folder_that_is_no_store_is_one_sentence(open_page, tmp_path: Path) -> None:
    app = open_page("device", tmp_path / "nowhere", id="pump-1")
    assert not app.exception
    assert "expected a store folder" in words(app)
