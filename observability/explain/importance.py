"""How much each input weighs in a model's decisions, over time: mean |phi|.

Owns when a share counts as changed. That describes, and raises no alarm: shares also change when the
inputs do, and inputs repeat themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb
import numpy as np

from observability.store import read_attributions
from observability.store.read import Window
from observability.store.read_attributions import Extent
from observability.store.read_explained import Explained

FEWEST = 5
"""Attributions that a bucket needs to be judged."""
BUCKETS_AT_LEAST = 8
"""Judged buckets that are needed to tell a before and an after."""
POINTS = 0.05
"""The least change of a share of mean |phi| that is worth a word,"""
DEVIATIONS = 6.0
"""where it is this many of its own standard errors."""


@dataclass(frozen=True, slots=True, eq=False)
class Importance:
    """The weighted sums of |phi| by bucket and input, in the unit of the spec's link.

    `starts` (UTC) are the buckets' without a hole, each `width` wide; `attributions` and `weights`
    (n_buckets,), `sums` (n_buckets, n_inputs), in the order of `of.inputs`.
    """

    of: Explained
    extent: Extent
    width: timedelta
    starts: tuple[datetime, ...]
    attributions: np.ndarray
    weights: np.ndarray
    sums: np.ndarray

    @property
    def mean_abs(self) -> np.ndarray:
        """Mean |phi| `(n_buckets, n_inputs)`; NaN where nothing was explained."""
        with np.errstate(invalid="ignore"):
            return self.sums / self.weights[:, None]

    @property
    def overall(self) -> np.ndarray:
        """Mean |phi| by input over the whole time."""
        return self.sums.sum(axis=0) / self.weights.sum()

    @property
    def shares(self) -> np.ndarray:
        """What part of mean |phi| each input has; zero of a model that uses none."""
        total = self.overall.sum()
        return self.overall / total if total else np.zeros_like(self.overall)

    @property
    def ranked(self) -> tuple[int, ...]:
        """The indices of the inputs, the weightiest first."""
        return tuple(np.argsort(-self.overall, kind="stable").tolist())


@dataclass(frozen=True, slots=True)
class Change:
    """An input whose share of mean |phi| was `before` until `since` (UTC), and `after` from then on."""

    name: str
    since: datetime
    before: float
    after: float


def importance(con: duckdb.DuckDBPyConnection, of: Explained, window: Window) -> Importance | None:
    """Mean |phi| by input and time; None where nothing in the window is explained and in order."""
    known = read_attributions.extent(con, of, window)
    if not known.attributions:
        return None
    width, rows = read_attributions.over_time(con, of, window, known)
    first = rows["bucket"][0].astimezone(UTC)
    places = [round((at - first) / width) for at in rows["bucket"]]
    size = places[-1] + 1
    attributions, weights = np.zeros(size, np.int64), np.zeros(size)
    sums = np.zeros((size, len(of.inputs)))
    attributions[places] = rows["attributions"].to_numpy()
    weights[places] = rows["weight"].to_numpy()
    sums[places] = rows.select(f"a{n}" for n in range(len(of.inputs))).to_numpy()
    starts = tuple(first + place * width for place in range(size))
    return Importance(of, known, width, starts, attributions, weights, sums)


def changed(found: Importance) -> Change | None:
    """The input whose share changed most, split where a before and an after tell it best."""
    judged = np.flatnonzero((found.attributions >= FEWEST) & (found.sums.sum(axis=1) > 0))
    if len(judged) < BUCKETS_AT_LEAST:
        return None
    shares = found.sums[judged] / found.sums[judged].sum(axis=1, keepdims=True)
    edge = max(2, len(judged) // 10)
    places = np.arange(edge, len(judged) - edge + 1)
    by, deviations = _split(shares, places)
    sure = (np.abs(by) >= POINTS) & (deviations >= DEVIATIONS)
    if not sure.any():
        return None
    place, number = np.unravel_index(np.argmax(np.where(sure, np.abs(by), 0.0)), by.shape)
    at = int(places[place])
    return Change(
        name=found.of.inputs[int(number)].name,
        since=found.starts[int(judged[at])],
        before=float(shares[:at, number].mean()),
        after=float(shares[at:, number].mean()),
    )


def _split(shares: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By how much shares `(n, n_inputs)` differ before and from each place, and in standard errors."""
    size = len(shares)
    sums = np.cumsum(shares, axis=0)
    squares = np.cumsum(shares**2, axis=0)
    n = places[:, None]
    before, after = sums[places - 1] / n, (sums[-1] - sums[places - 1]) / (size - n)
    rest = squares[-1] - n * before**2 - (size - n) * after**2
    error = np.sqrt(np.maximum(rest, 0.0) / (size - 2) * (1 / n + 1 / (size - n)))
    by = after - before
    return by, np.abs(by) / (error + math.ulp(1.0))
