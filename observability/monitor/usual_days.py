"""How much the baseline's own days differ: the band in which most of them lie, bin by bin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from observability.monitor.drift import Drift
from observability.monitor.matching import FEWEST_VALUES
from observability.store.cube import Cube

LOW, HIGH = 0.1, 0.9
FEWEST_DAYS = 5
"""Days below which there is no band."""


@dataclass(frozen=True, slots=True, eq=False)
class UsualDays:
    """The 10th and 90th percentile of the days' shares by bin, `(n_bins,)`; a day is a baseline's bucket."""

    low: np.ndarray
    high: np.ndarray
    days: int


def usual_days(drift: Drift, name: str, device: str | None) -> UsualDays | None:
    """The band of one input, from the device's own days where it is compared with its own baseline.

    None where the baseline has no times, or too few days of 20 values or more.
    """
    place, n = drift.place(device), drift.names.index(name)
    own = device if place and drift.own[place - 1] else None
    counts = _by_day(drift.baseline.cube, n, own)
    counts = counts[counts.sum(axis=1) >= FEWEST_VALUES]
    if len(counts) < FEWEST_DAYS:
        return None
    shares = counts / counts.sum(axis=1, keepdims=True)
    low, high = np.quantile(shares, [LOW, HIGH], axis=0)
    return UsualDays(low, high, len(counts))


def _by_day(cube: Cube, n: int, device: str | None) -> np.ndarray:
    """Counts `(n_days, n_bins)` of the buckets that hold anything."""
    cells = cube.cells
    asked = cells["at"].is_not_null()
    asked = asked if device is None else asked & (cells["device_id"] == device)
    kept = asked.fill_null(False).to_numpy()
    _, day = np.unique(cells.filter(kept)["at"].to_numpy(), return_inverse=True)
    counts = np.zeros((day.max(initial=-1) + 1, cube.counts.shape[2]), np.int64)
    np.add.at(counts, day, cube.counts[kept, n])
    return counts
