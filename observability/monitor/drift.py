"""How far the inputs of a decision type lie from their baseline, by day, device and model version.

Effect sizes with their counts, never a verdict: whether a shift is more than a sensor's own ups and
downs is a test's question. A device is compared with its own baseline where that has enough values.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb
import numpy as np
import polars as pl

from observability.monitor.baseline import Baseline
from observability.monitor.psi import FEWEST, psi
from observability.store.cube import Cube, of_one_time
from observability.store.read import Window
from observability.store.read_cubes import Counted, counted

MOST_BUCKETS = 120
MOST_DEVICES = 2_000
"""Devices that are looked at one by one: those that decided most. The fleet is that of all."""
MOST_CELLS = 60_000
"""Of devices times buckets; a larger fleet gets wider buckets."""
MOST_ROWS = 40  # devices that a heatmap has rows for
OWN_BASELINE = 10 * FEWEST
"""Values from which a device's own part of the baseline serves it; else the fleet's does."""
_LARGEST = 1e300  # a sum beyond it, and what it is part of, is not known: NaN
_WIDTHS = tuple(timedelta(days=days) for days in (1, 7, 28, 91, 364))


@dataclass(frozen=True, slots=True, eq=False)
class Drift:
    """A decision type over a window beside its baseline.

    `usual` has the baseline's counts, shape `(1 + n_devices, n_inputs, n_bins)`, and `now` those of
    the window, `(1 + n_devices, n_buckets, n_inputs, n_bins)`; the fleet comes first, and each device
    of `devices` has the baseline that it is compared with. `decided` counts decisions, `(1 +
    n_devices, n_buckets)`; `usual_sums` and `sums` are of the recorded values, as the counts are.
    `own` tells which devices are compared with their own baseline. `astray` are decisions whose time
    lies more than a year from all others: their clocks were wrong, and they are in nothing else here.
    """

    decision_type: str
    baseline: Baseline
    width: timedelta
    starts: tuple[datetime, ...]
    devices: tuple[str, ...]
    own: np.ndarray
    usual: np.ndarray
    usual_sums: np.ndarray
    now: np.ndarray
    sums: np.ndarray
    decided: np.ndarray
    cube: Cube
    astray: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The inputs, as the model orders them."""
        return tuple(one_input.name for one_input in self.baseline.inputs)

    @property
    def constant(self) -> np.ndarray:
        """Which inputs the baseline never saw vary, shape `(n_inputs,)`; they have no PSI."""
        return np.array([bins.constant for bins in self.baseline.bins], dtype=bool)

    @property
    def after(self) -> int:
        """The first bucket after the baseline; 0 where none lies after it."""
        last = self.baseline.last_at
        later = [n for n, start in enumerate(self.starts) if last is None or start >= last]
        return later[0] if later else 0

    def place(self, device: str | None) -> int:
        """Where a device lies on the first axis; the fleet for None or one that did not decide."""
        return self.devices.index(device) + 1 if device in self.devices else 0


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """A cube by place (0 the fleet, then devices) and bucket; further axes as in the cube."""

    starts: tuple[datetime, ...]
    counts: np.ndarray
    sums: np.ndarray
    decided: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """A heatmap's numbers, rows by columns: PSI (NaN: too few), recorded values, share of missing."""

    psi: np.ndarray
    values: np.ndarray
    missing: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """One input's counts by bin, in the baseline and now, and the mean of both; NaN of levels."""

    usual: np.ndarray
    now: np.ndarray
    usual_mean: float
    mean: float
    psi: float
    missing: float


def width_for(span: timedelta, devices: int) -> timedelta:
    """The narrowest bucket for a stretch of time: days, or more where that would be too many.

    >>> width_for(timedelta(days=42), 24).days, width_for(timedelta(days=790), 4).days
    (1, 7)
    """
    most = max(6, min(MOST_BUCKETS, MOST_CELLS // max(devices, 1)))
    return next((width for width in _WIDTHS if span / width <= most), _WIDTHS[-1])


def drift(
    con: duckdb.DuckDBPyConnection,
    baseline: Baseline,
    decision_type: str,
    window: Window,
    model: str | None = None,
) -> Drift:
    """A window's decisions in the baseline's bins; `model` (name and version) narrows.

    What the store has counted already is summed, the rest is counted now: the result is the same.
    """
    asked = Counted(decision_type, baseline.inputs, baseline.bins, baseline.bins_id)
    cube = counted(con, asked, window, baseline.width)
    return compared(baseline, decision_type, cube, model)


def compared(baseline: Baseline, decision_type: str, cube: Cube, model: str | None = None) -> Drift:
    """A cube beside its baseline. The order of the cube's cells does not matter."""
    if model is not None:
        cube = cube.only(np.flatnonzero(cube.cells["model"] == model))
    every, cube = cube, of_one_time(cube)
    devices = _devices(cube)
    spread = spread_out(cube, devices, baseline.width)
    usual, usual_sums, own = _usual(baseline, devices)
    return Drift(
        decision_type=decision_type,
        baseline=baseline,
        width=baseline.width,
        starts=spread.starts,
        devices=devices,
        own=own,
        usual=usual,
        usual_sums=usual_sums,
        now=spread.counts,
        sums=spread.sums,
        decided=spread.decided,
        cube=cube,
        astray=int(every.cells["decisions"].sum()) - int(cube.cells["decisions"].sum()),
    )


def _devices(cube: Cube) -> tuple[str, ...]:
    decided = cube.cells.group_by("device_id").agg(pl.col("decisions").sum())
    listed = decided.sort("decisions", "device_id", descending=[True, False]).head(MOST_DEVICES)
    return tuple(listed["device_id"].sort())


def spread_out(cube: Cube, devices: tuple[str, ...], width: timedelta) -> Spread:
    """A cube's counts by device and bucket; the fleet's sum, of known and other devices, is first."""
    starts = _steps(cube.cells["at"], width)
    buckets = {at: n for n, at in enumerate(starts)}
    places = {device: n + 1 for n, device in enumerate(devices)}
    known = cube.cells["at"].is_not_null().to_numpy()
    cube = cube if known.all() else cube.only(np.flatnonzero(known))
    cells = cube.cells
    device_at = np.array([places.get(device, 0) for device in cells["device_id"]], dtype=int)
    bucket_at = np.array([buckets[at] for at in cells["at"]], dtype=int)

    index = device_at * len(starts) + bucket_at
    order = np.argsort(index, kind="stable")
    first = np.flatnonzero(np.diff(index[order], prepend=-1))

    def spread(values: np.ndarray) -> np.ndarray:
        out = np.zeros(((1 + len(devices)) * len(starts), *values.shape[1:]), values.dtype)
        if len(first) == len(index):  # one model version: nothing to add
            out[index] = values
        else:
            out[index[order][first]] = np.add.reduceat(values[order], first, axis=0)
        out = out.reshape(1 + len(devices), len(starts), *values.shape[1:])
        out[0] = out.sum(axis=0)
        return out

    decided = cube.cells["decisions"].to_numpy().astype(np.int64)
    return Spread(starts, spread(cube.counts), spread(_known(cube.sums)), spread(decided))


def by_input(drift: Drift, device: str | None = None) -> Cells:
    """Inputs by buckets, of the fleet or of one device; shape `(n_inputs, n_buckets)`."""
    at = drift.place(device)
    cells = _cells(drift.usual[at][:, None], drift.now[at].swapaxes(0, 1), drift.decided[at])
    cells.psi[drift.constant] = np.nan
    return cells


def by_device(
    drift: Drift, name: str, first: int = 0, most: int = MOST_ROWS
) -> tuple[tuple[str, ...], Cells]:
    """Devices by buckets, of one input: their names, and cells of shape `(n_devices, n_buckets)`.

    Of more than `most` devices, those whose PSI is largest in the buckets from `first` on.
    """
    n = drift.names.index(name)
    cells = _cells(drift.usual[1:, None, n], drift.now[1:, :, n], drift.decided[1:])
    far = np.nan_to_num(cells.psi[:, first:]).max(axis=1, initial=0.0)
    kept = np.sort(np.argsort(-far, kind="stable")[:most])
    if drift.constant[n]:
        cells.psi[:] = np.nan
    names = tuple(drift.devices[at] for at in kept)
    return names, Cells(cells.psi[kept], cells.values[kept], cells.missing[kept])


def overlay(
    drift: Drift, name: str, device: str | None, first: int = 0, until: int | None = None
) -> Overlay:
    """One input in the baseline and in the buckets from `first` up to `until`."""
    n, at = drift.names.index(name), drift.place(device)
    usual, now = drift.usual[at, n], drift.now[at, first:until, n].sum(axis=0)
    decided = drift.decided[at, first:until].sum()
    levels = bool(drift.baseline.inputs[n].levels)
    return Overlay(
        usual=usual,
        now=now,
        usual_mean=np.nan if levels else _ratio(drift.usual_sums[at, n], usual.sum()),
        mean=np.nan if levels else _ratio(drift.sums[at, first:until, n].sum(), now.sum()),
        psi=float("nan") if drift.constant[n] else float(psi(usual, now)),
        missing=_ratio(decided - now.sum(), decided),
    )


def by_version(
    drift: Drift, name: str, device: str | None, first: int = 0, until: int | None = None
) -> pl.DataFrame:
    """Each model version that decided, beside the baseline: model, psi (NaN: too few), values, devices."""
    n, at = drift.names.index(name), drift.place(device)
    cells = drift.cube.cells
    during = cells["at"].is_in(list(drift.starts[first:until]))
    asked = during & (cells["device_id"] == device) if at else during
    rows = []
    for model in cells.filter(asked)["model"].unique().sort():
        of = asked & (cells["model"] == model)
        counts = drift.cube.counts[of.to_numpy(), n].sum(axis=0)
        effect = float("nan") if drift.constant[n] else float(psi(drift.usual[at, n], counts))
        devices = cells.filter(of)["device_id"].n_unique()
        rows.append((model, effect, int(counts.sum()), devices))
    return pl.DataFrame(rows, ["model", "psi", "values", "devices"], orient="row")


def _cells(usual: np.ndarray, now: np.ndarray, decided: np.ndarray) -> Cells:
    values = now.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        missing = 1 - values / np.where(decided > 0, decided, np.nan)
    return Cells(psi(usual, now), values, missing)


def _usual(
    baseline: Baseline, devices: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The baseline of the fleet and of each device, their sums, and whose own it is."""
    cube = baseline.cube
    known = _known(cube.sums)
    fleet, fleet_sums = cube.counts.sum(axis=0), known.sum(axis=0)
    places = {device: n for n, device in enumerate(devices)}
    at = np.array([places.get(device, -1) for device in cube.cells["device_id"]], dtype=int)
    decisions = cube.cells["decisions"].to_numpy()[at >= 0]
    own = np.bincount(at[at >= 0], decisions, len(devices)) >= OWN_BASELINE
    counts = np.zeros((len(devices), *fleet.shape), fleet.dtype)
    sums = np.zeros((len(devices), *fleet_sums.shape))
    np.add.at(counts, at[at >= 0], cube.counts[at >= 0])
    np.add.at(sums, at[at >= 0], known[at >= 0])
    counts[~own], sums[~own] = fleet, fleet_sums
    return np.concatenate([fleet[None], counts]), np.concatenate([fleet_sums[None], sums]), own


def _known(sums: np.ndarray) -> np.ndarray:
    return np.where(np.abs(sums) < _LARGEST, sums, np.nan)


def _steps(at: pl.Series, width: timedelta) -> tuple[datetime, ...]:
    """Every bucket from the first to the last, whether or not anything lies in it."""
    first, last = at.min(), at.max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        return ()
    return tuple(first + n * width for n in range((last - first) // width + 1))


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
