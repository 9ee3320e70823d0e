"""Recorded files are read as their spec says, and labels are known when the future settles them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from observability.fleet import recorded
from tests.fleet.conftest import ROOT, SPECS, example

REAL = ROOT.parent / "shared" / "data"
needs_real_data = pytest.mark.skipif(
    not REAL.is_dir(), reason="no ../shared/data: recorded data not at hand"
)


def test_blanks_without_a_header_are_columns_by_their_given_names(sample):
    rows = recorded.read(example("cmapss"), sample("cmapss")).decisions
    first = (sample("cmapss") / "test_FD001.txt").read_text().split()

    row = rows.filter(device_id="engine-001").row(0, named=True)
    assert (row["T24"], row["W32"]) == (float(first[6]), float(first[25]))
    assert row["decided_at"] == datetime(2020, 1, 1, 1, tzinfo=UTC)


def test_an_index_that_the_header_does_not_name_shifts_nothing(sample):
    row = recorded.read(example("occupancy"), sample("occupancy")).decisions.row(0, named=True)
    first = (sample("occupancy") / "datatest2.txt").read_text().splitlines()[1].split(",")

    assert (row["Temperature"], row["CO2"]) == (float(first[2]), float(first[5]))
    assert row["decided_at"] == datetime(2015, 2, 10, 23, tzinfo=UTC), "local time in Brussels"


def test_a_missing_reading_is_missing_and_not_zero(sample):
    rows = recorded.read(example("beijing"), sample("beijing")).decisions
    written = (sample("beijing") / "PRSA_Data_Changping.csv").read_text()

    assert "NA" in written
    assert rows["PM2.5"].null_count() > 0
    assert rows["wd"].null_count() > 0
    assert rows["PM2.5"].min() > 0


def test_training_ends_where_deciding_begins_at_local_midnight(sample):
    both = recorded.read(example("beijing"), sample("beijing"))

    assert both.training["decided_at"].max() == datetime(2014, 12, 31, 15, tzinfo=UTC)
    assert both.decisions["decided_at"].min() == datetime(2014, 12, 31, 16, tzinfo=UTC)


def test_rows_come_in_the_order_of_time_whatever_the_device(sample):
    for name in SPECS:
        rows = recorded.read(example(name), sample(name)).decisions
        assert rows["decided_at"].is_sorted()


def test_an_engine_fails_when_the_truth_file_says_and_not_before(sample):
    rows = recorded.read(example("cmapss"), sample("cmapss")).decisions
    left = [int(line) for line in (sample("cmapss") / "RUL_FD001.txt").read_text().split()]
    failure = rows.group_by("device_id").agg(last=pl.col("decided_at").max()).sort("device_id")
    failure = failure.with_columns(fails=pl.col("last") + pl.duration(hours=pl.Series(left)))
    rows = rows.join(failure, on="device_id")

    life = rows["fails"] - rows["decided_at"]
    assert (rows["label"] == (life <= timedelta(hours=30))).all()
    positive, negative = rows.filter("label"), rows.filter(~pl.col("label"))
    assert (positive["label_known_at"] == positive["fails"]).all()
    assert (negative["label_known_at"] - negative["decided_at"] == timedelta(hours=31)).all()
    assert (negative["label_known_at"] <= negative["fails"]).all()


def test_a_station_knows_an_hour_later_and_never_where_the_reading_is_missing(sample):
    rows = recorded.read(example("beijing"), sample("beijing")).decisions.filter(
        device_id="Changping"
    )
    later = rows.select(pl.col("decided_at") - pl.duration(hours=1), seen=pl.col("PM2.5"))
    both = rows.join(later, on="decided_at")

    assert (both["label_known_at"] - both["decided_at"] == timedelta(hours=1)).all()
    assert (
        both.filter(pl.col("seen").is_null())["label"].null_count() == both["seen"].null_count() > 0
    )
    known = both.filter(pl.col("seen").is_not_null())
    assert (known["label"] == (known["seen"] > 75)).all()


@needs_real_data
@pytest.mark.parametrize(
    ("name", "training", "decisions", "devices", "positive"),
    [
        ("cmapss", 20631, 13096, 100, 332),
        ("occupancy", 8143, 9752, 1, 2049),
        ("beijing", 64416, 75840, 4, 26846),
    ],
)
def test_the_real_files_fit_their_specs(name, training, decisions, devices, positive):
    both = recorded.read(example(name), REAL / name)

    assert (len(both.training), len(both.decisions)) == (training, decisions)
    assert both.decisions["device_id"].n_unique() == devices
    assert both.decisions["label"].sum() == positive
