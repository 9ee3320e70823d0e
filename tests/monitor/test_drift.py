"""What drift says of counts: nothing of equal ones, most of the farthest, and no more than they hold."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.monitor.baseline import Baseline
from observability.monitor.drift import by_device, by_input, by_version, compared, overlay
from observability.monitor.psi import psi
from observability.store.cube import Cube
from observability.store.read_drift import Bins, Input, Rows

START = datetime(2024, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)
DEVICES = tuple(f"pump-{n}" for n in range(1, 5))
INPUTS = (Input("temperature", "°C"), Input("pressure", "bar"), Input("stage"))
BINS = (
    Bins((1.0, 2.0, 3.0), 0.0, 4.0),
    Bins((1.0, 2.0, 3.0), 0.0, 4.0),
    Bins((), 7.0, 7.0),
)
EVEN = np.array([25, 25, 25, 25])
HOT = np.array([0, 0, 0, 100])

counts = st.lists(st.integers(0, 500), min_size=4, max_size=4).map(np.array)


def cube(days: range, values: dict[tuple[str, int], np.ndarray] | None = None) -> Cube:
    """100 decisions of each device each day; `values` has the temperatures that are not even."""
    cells = [(START + day * DAY, device, "wear 1.0", 100) for day in days for device in DEVICES]
    counted = np.zeros((len(cells), 3, 4), np.int64)
    counted[:, :2], counted[:, 2, 0] = EVEN, 100
    for place, (at, device, _, _) in enumerate(cells):
        counted[place, 0] = (values or {}).get((device, (at - START).days), EVEN)
    frame = pl.DataFrame(cells, ["at", "device_id", "model", "decisions"], orient="row")
    sums = counted @ np.array([0.5, 1.5, 2.5, 3.5])
    return Cube(frame, counted, sums, sums, sums, sums, np.zeros((len(cells), 3, 3), np.int64))


def baseline(width: timedelta = DAY) -> Baseline:
    return Baseline(
        INPUTS,
        BINS,
        cube(range(28)),
        width,
        START,
        START + 28 * DAY,
        "wear 1.0",
        Rows("", {}, INPUTS),
    )


@given(counts)
def test_what_did_not_change_has_no_drift(found: np.ndarray) -> None:
    effect = float(psi(found, found))
    assert effect == 0 if found.sum() >= 50 else math.isnan(effect)


@given(counts, counts)
def test_drift_is_never_negative_and_the_same_both_ways(one: np.ndarray, other: np.ndarray) -> None:
    there, back = float(psi(one, other)), float(psi(other, one))
    assert math.isnan(there) == math.isnan(back) == (min(one.sum(), other.sum()) < 50)
    assert math.isnan(there) or (there >= 0 and math.isclose(there, back, abs_tol=1e-12))


@given(counts, counts)
def test_a_bin_that_both_lack_adds_nothing(one: np.ndarray, other: np.ndarray) -> None:
    padded = psi(np.append(one, [0, 0]), np.append(other, [0, 0]))
    assert np.array_equal(padded, psi(one, other), equal_nan=True)


@given(st.permutations(range(8)))
def test_the_order_in_which_counts_arrive_does_not_matter(order: list[int]) -> None:
    whole = cube(range(28, 30), {("pump-2", 29): HOT})
    mixed = whole.only(np.array(order))
    one, other = (compared(baseline(), "pump.stop", each) for each in (whole, mixed))
    assert np.array_equal(one.now, other.now)
    assert np.array_equal(by_input(one).psi, by_input(other).psi, equal_nan=True)


def test_the_counts_of_devices_and_days_add_up_to_the_fleets() -> None:
    found = compared(baseline(), "pump.stop", cube(range(28, 35)))
    assert np.array_equal(found.now[0], found.now[1:].sum(axis=0))
    assert by_version(found, "temperature", None).row(0) == ("wear 1.0", 0.0, 7 * 4 * 100, 4)


def test_an_input_that_was_constant_in_the_baseline_has_no_psi() -> None:
    found = compared(baseline(), "pump.stop", cube(range(28, 30)))
    assert found.constant.tolist() == [False, False, True]
    assert np.isnan(by_input(found).psi[2]).all()
    assert np.isnan(by_device(found, "stage")[1].psi).all()
    assert math.isnan(overlay(found, "stage", None).psi)


def test_too_few_values_have_no_psi_and_their_count_is_told() -> None:
    few = np.array([10, 10, 10, 19])
    found = compared(baseline(), "pump.stop", cube(range(28, 29), {("pump-1", 28): few}))
    _, cells = by_device(found, "temperature")
    assert np.isnan(cells.psi[:, 0]).tolist() == [True, False, False, False]
    assert cells.values[0, 0] == 49
    assert cells.missing[0, 0] == pytest.approx(0.51)


def test_a_device_that_the_baseline_does_not_know_is_compared_with_the_fleet() -> None:
    known = cube(range(28, 30))
    names = known.cells["device_id"].replace({"pump-1": "pump-9"})
    strange = replace(known, cells=known.cells.with_columns(names))
    found = compared(baseline(), "pump.stop", strange)
    assert dict(zip(found.devices, found.own.tolist(), strict=True))["pump-9"] is False
    assert np.array_equal(found.usual[found.place("pump-9")], found.usual[0])


def test_of_many_devices_the_farthest_are_shown() -> None:
    found = compared(baseline(), "pump.stop", cube(range(28, 30), {("pump-4", 29): HOT}))
    names, cells = by_device(found, "temperature", most=2)
    assert names == ("pump-1", "pump-4")
    assert cells.psi.shape == (2, 2)
