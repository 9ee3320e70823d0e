"""Whose shift it is and how large, from counts: parts that sum to the fleet's, sizes, and usual days."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from observability.figures.contribution_bars import contribution_bars
from observability.monitor.contribution import OTHERS, contributions, of_devices
from observability.monitor.drift import compared
from observability.monitor.effect import shift_sizes
from observability.monitor.psi import FLOOR
from observability.monitor.usual_days import usual_days
from observability.store.cube import summed
from tests.monitor.test_drift import DEVICES, EVEN, HOT, baseline, cube

found_counts = arrays(np.int64, (len(DEVICES), 4), elements=st.integers(0, 200))


@settings(max_examples=20)
@given(
    found_counts, st.sets(st.sampled_from(DEVICES)), st.sets(st.sampled_from(DEVICES), max_size=3)
)
def test_the_parts_of_all_devices_sum_to_the_fleets_shift(
    found: np.ndarray, gone: set[str], unknown: set[str]
) -> None:
    """Whoever no longer decides, and whomever the baseline does not know."""
    now = cube(range(28, 29), {(d, 28): row for d, row in zip(DEVICES, found, strict=True)})
    now = now.only(np.flatnonzero(~now.cells["device_id"].is_in(gone)))
    usual = baseline()
    known = np.flatnonzero(~usual.cube.cells["device_id"].is_in(unknown))
    drift = compared(replace(usual, cube=usual.cube.only(known)), "pump.stop", now)
    names, parts = of_devices(drift, "temperature")
    p, q = (
        counts / max(counts.sum(), 1)
        for counts in (drift.usual[0, 0], drift.now[0, :, 0].sum(axis=0))
    )
    expected = ((q - p) ** 2 / np.maximum(p, FLOOR)).sum() if q.sum() else 0.0
    assert parts.whole == pytest.approx(expected, abs=1e-9)
    assert set(names) - {OTHERS} == set(drift.devices)
    assert not parts.whole or parts.shares.sum() == pytest.approx(1)


def test_a_device_that_moved_alone_carries_all_of_it() -> None:
    drift = compared(baseline(), "pump.stop", cube(range(28, 30), {("pump-2", 29): HOT}))
    names, parts = of_devices(drift, "temperature", 1)
    assert names == DEVICES
    assert parts.shares.tolist() == [0, 1, 0, 0]


def test_a_baseline_that_names_no_device_lets_each_differ_from_the_fleets() -> None:
    usual = baseline()
    nobody = usual.cube.cells.with_columns(device_id=pl.lit(None, pl.String))
    nameless = replace(usual, cube=replace(usual.cube, cells=nobody))
    drift = compared(nameless, "pump.stop", cube(range(28, 29), {("pump-3", 28): HOT}))
    names, parts = of_devices(drift, "temperature")
    assert dict(zip(names, parts.shares.round(9).tolist(), strict=True))["pump-3"] == 1
    assert not parts.mix.any()


@given(st.lists(st.booleans(), min_size=28, max_size=28))
def test_the_drift_of_any_split_adds_up(kept: list[bool]) -> None:
    whole = cube(range(28, 35), {("pump-2", 29): HOT})
    mask = np.array(kept)
    parts = [whole.only(np.flatnonzero(side)) for side in (mask, ~mask) if side.any()]
    one, other = (compared(baseline(), "pump.stop", each) for each in (whole, summed(parts)))
    assert np.array_equal(one.now, other.now)
    assert np.array_equal(one.decided, other.decided)


def test_every_size_of_no_shift_is_nothing_and_of_a_constant_unknown() -> None:
    drift = compared(baseline(), "pump.stop", cube(range(28, 30), {("pump-2", 29): HOT}))
    still = shift_sizes(drift, "temperature", "pump-1")
    assert [still.psi, still.jensen_shannon, still.kolmogorov_smirnov, still.wasserstein] == [0] * 4
    moved = shift_sizes(drift, "temperature", "pump-2", 1)
    assert moved.kolmogorov_smirnov == 0.75
    assert (moved.wasserstein, moved.unit) == (1.0, "°C")
    assert math.isnan(shift_sizes(drift, "stage", None).psi)


def test_the_band_is_where_most_days_of_the_baseline_lie() -> None:
    odd = cube(range(28), {("pump-1", day): HOT for day in range(28)})
    drift = compared(replace(baseline(), cube=odd), "pump.stop", cube(range(28, 29)))
    own = usual_days(drift, "temperature", "pump-1")
    assert own is not None
    assert (own.days, own.low.tolist(), own.high.tolist()) == (28, [0, 0, 0, 1], [0, 0, 0, 1])
    fleet = usual_days(drift, "temperature", None)
    assert fleet is not None
    assert fleet.low.tolist() == pytest.approx((3 * EVEN + HOT) / 400)
    timeless = odd.cells.with_columns(at=pl.lit(None, pl.Datetime("us", "UTC")))
    without = replace(baseline(), cube=replace(odd, cells=timeless))
    assert usual_days(replace(drift, baseline=without), "temperature", None) is None


def test_bars_are_the_largest_in_order_the_rest_one_and_names_escaped() -> None:
    usual = np.full((20, 4), 25)
    now = usual.copy()
    now[3] = HOT
    names = ["<i>" if n == 3 else f"fan-{n}" for n in range(20)]
    figure = contribution_bars(names, contributions(usual, now), "<i>")
    assert figure.layout.yaxis.ticktext[0] == "<b>&lt;i&gt;</b>"
    assert figure.layout.yaxis.ticktext[-1] == "5 others"
    assert sum(sum(bar.x) for bar in figure.data) == pytest.approx(100)
