"""The evidence of one input by day: the fleet's and each device's, with its resets, and how it is drawn."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from observability.figures.evidence_course import evidence_course
from observability.monitor.drift import compared
from observability.monitor.evidence import ALARM
from observability.monitor.stream_evidence import InputEvidence, input_evidence
from observability.monitor.watched import watch
from tests.monitor.test_drift import DEVICES, HOT, START, baseline, cube

NOTHING = pl.DataFrame(schema={"at": pl.Datetime("us", "UTC"), "said": pl.List(pl.String)})


@pytest.fixture(scope="module")
def found() -> InputEvidence:
    """pump-2 runs hot from day 30 on; pump-3 gets another version on day 32."""
    now = cube(range(28, 36), {("pump-2", day): HOT for day in range(30, 36)})
    newer = (pl.col("device_id") == "pump-3") & (pl.col("at") >= START + timedelta(days=32))
    cells = now.cells.with_columns(model=pl.when(newer).then(pl.lit("wear 1.1")).otherwise("model"))
    watched = watch(compared(baseline(), "pump.stop", replace(now, cells=cells)))
    assert watched is not None
    return input_evidence(watched, "temperature")


def test_the_fleet_comes_first_and_each_device_has_its_own(found: InputEvidence) -> None:
    assert [one.device for one in found.streams] == [None, *DEVICES]
    assert found.starts[0] == START + timedelta(days=28)
    hot = found.of("pump-2")
    assert hot.alarm.any() and hot.strongest >= ALARM
    assert not hot.alarm[:2].any()
    assert not found.of("pump-1").alarm.any()
    assert found.of("nobody") is found.of(None)
    assert hot in found.others("pump-1")[:2]


def test_a_release_is_a_reset_of_the_device_that_got_it(found: InputEvidence) -> None:
    assert np.flatnonzero(found.of("pump-3").reset).tolist() == [4]
    assert not found.of("pump-2").reset.any()


def test_the_figure_names_who_alarmed_and_draws_the_threshold(found: InputEvidence) -> None:
    figure = evidence_course(found, "pump-3", timedelta(days=1), NOTHING)
    texts = [note.text for note in figure.layout.annotations]
    assert "alarm at 1,000" in texts
    assert {"<b>pump-3</b>", "the fleet, pump-2"} <= set(texts)
    near = evidence_course(found, "pump-2", timedelta(days=1), NOTHING).layout.annotations
    assert "<b>pump-2</b>, the fleet" in [note.text for note in near]
    assert [trace.name for trace in figure.data].count("reset") == 1
    told = pl.DataFrame({"at": [START + timedelta(days=30)], "said": [["firmware <b> on pump-2"]]},
                        schema=NOTHING.schema)  # fmt: skip
    labels = evidence_course(found, None, timedelta(days=1), told).layout.annotations
    assert "▼ firmware &lt;b&gt; on pump-2" in [note.text for note in labels]
