"""How unusual each day of a stream is, measured by how much its own baseline's days differ.

A stream is one input of one device (or site, or fleet) as counts by day and bin. Rows of a sensor
repeat each other, so a day is the unit of evidence: each day of the baseline, compared with the rest,
shows what an ordinary day looks like. Nothing here counts rows as independent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.special import ndtr, stdtr

from observability.monitor.matching import FEWEST_VALUES, Days, beside, each_other

FEWEST_DAYS = 14
"""Days that a baseline needs before anything is said against it."""
FEWEST_BESIDE = 4
"""Streams of an input that a day needs before one of them is compared with the others."""
_RARE = 1.0
"""A bin that a day has fewer values in is counted together with the other rare ones."""
_MOST_REPEATED = 0.9
_SMALLEST = 1e-300


class Insufficient(StrEnum):
    """Why a stream has no evidence; empty where it has."""

    NOTHING = ""
    NO_VALUES = "no values in the baseline"
    ONE_BIN = "the baseline has one value only"
    FEW_DAYS = f"fewer than {FEWEST_DAYS} baseline days of {FEWEST_VALUES} values to compare"
    FEW_VALUES = f"no day of {FEWEST_VALUES} values since the baseline"


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """P-values of each day of a window, `(n_streams, n_days)`; NaN where a day or stream says nothing.

    `shape` is of all bins, `level` of the mean rank, `apart` of the mean rank less that of the
    input's streams together: weather that all of them share is no change of one, and what most do
    counts as weather. `level` and `apart` are of what a day adds to the day before it; `repeats`
    `(n_streams,)` is how much days resemble the day before them, 0 to 0.9, which `shape` leaves in.
    """

    shape: np.ndarray
    level: np.ndarray
    apart: np.ndarray
    repeats: np.ndarray
    days: Days
    insufficient: tuple[Insufficient, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Pools:
    """The streams that share an input; only those that have evidence count."""

    place: np.ndarray
    said: np.ndarray

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Of each stream the mean over its input's streams; both `(n_streams,)`."""
        kept = self.said & np.isfinite(values)
        count = np.bincount(self.place[kept], minlength=self.place.max(initial=0) + 1)
        sums = np.bincount(self.place[kept], values[kept], minlength=len(count))
        return np.where(count > 0, sums / np.maximum(count, 1), np.nan)[self.place]

    def less_others(self, values: np.ndarray) -> np.ndarray:
        """Of each day what lies beyond the median of the input's streams, `(n_streams, n_days)`."""
        out = np.full(values.shape, np.nan)
        for input_ in np.unique(self.place):
            of = self.said & (self.place == input_)
            days = np.isfinite(values[of]).sum(axis=0) >= FEWEST_BESIDE
            both = np.ix_(of, days)
            if days.any():
                out[both] = values[both] - np.nanmedian(values[both], axis=0)
        return out


def calibrate(
    baseline: np.ndarray,
    window: np.ndarray,
    feature: np.ndarray,
    *,
    ordered: np.ndarray | None = None,
    matches: tuple[np.ndarray, np.ndarray] | None = None,
) -> Calibrated:
    """How unusual each day of a window is.

    Counts `(n_streams, n_days, n_bins)`, or `(n_streams, n_days, n_strata, n_bins)` where a day is
    compared within strata (hours of the day). `feature` `(n_streams,)` tells which streams share an
    input; what they have in common steadies each. A fleet's own stream is a feature of its own.
    `ordered` `(n_streams,)` is False for categories. `matches` says which baseline days serve each
    baseline day and each window day (`matching`); by default all, though no day serves itself.
    """
    baseline, window = _with_strata(baseline), _with_strata(window)
    n_days = baseline.shape[1]
    own, served = matches or (each_other(n_days), np.ones((window.shape[1], n_days), dtype=bool))
    total = baseline.sum(axis=(1, 2)).astype(float)
    usual, now = beside(baseline, baseline, own), beside(window, baseline, served)
    insufficient = _insufficient(total, usual, now)
    said = np.array([reason is Insufficient.NOTHING for reason in insufficient], dtype=bool)
    pools = _Pools(np.unique(feature, return_inverse=True)[1], said)
    typical = _over_days(np.nanmedian, np.where(usual.enough, usual.values, np.nan))
    ranks, variance = _ranks(total)
    leaning = _leaning(usual, ranks), _leaning(now, ranks)
    rest = pools.less_others(leaning[0]), pools.less_others(leaning[1])
    least = variance / np.maximum(typical, 1)
    fewer = np.maximum(typical[:, None] / np.maximum(now.values, 1), 1)
    ordered = said if ordered is None else said & ordered
    level, apart = (_student(*each, pools, least, fewer) for each in (leaning, rest))
    apart[2 * np.abs(leaning[1]) < np.abs(rest[1])] = 1  # the others have moved, not this one
    return Calibrated(
        shape=np.where(said[:, None], _shape(usual, now, typical, pools), np.nan),
        level=np.where(ordered[:, None], level, np.nan),
        apart=np.where(ordered[:, None], apart, np.nan),
        repeats=_repeats(leaning[0], pools),
        days=now,
        insufficient=insufficient,
    )


def _with_strata(counts: np.ndarray) -> np.ndarray:
    return counts[:, :, None] if counts.ndim == 3 else counts


def _insufficient(total: np.ndarray, usual: Days, now: Days) -> tuple[Insufficient, ...]:
    """The first reason that holds for each stream."""
    reasons = (
        (Insufficient.NO_VALUES, total.sum(axis=-1) == 0),
        (Insufficient.ONE_BIN, (total > 0).sum(axis=-1) == 1),
        (Insufficient.FEW_DAYS, usual.enough.sum(axis=1) < FEWEST_DAYS),
        (Insufficient.FEW_VALUES, ~now.enough.any(axis=1)),
    )
    place = np.select([holds for _, holds in reasons], range(len(reasons)), len(reasons))
    names = (*(reason for reason, _ in reasons), Insufficient.NOTHING)
    return tuple(names[at] for at in place)


def _shape(usual: Days, now: Days, typical: np.ndarray, pools: _Pools) -> np.ndarray:
    """Rao and Scott 1981: X2 over all bins, whose moments are half a stream's own, half its input's.

    Rows that repeat each other inflate X2 by as much as the X2 of baseline days shows. Its tail is
    that of a log-normal with their mean and variance: that of a chi-square with the same two is too
    thin where days differ more in some directions than in others. Never surer than independent rows.
    """
    (ordinary, bins), (found, _) = (_chi_square(days, typical) for days in (usual, now))
    free = np.maximum(bins.sum(axis=1) / max(bins.shape[1], 1) - 1, 1)
    mean, variance = _over_days(np.nanmean, ordinary), _over_days(np.nanvar, ordinary)
    mean = np.maximum((mean + pools.mean(mean)) / 2, free)
    variance = np.maximum((variance + pools.mean(variance)) / 2, 2 * free)
    spread = np.log1p(variance / mean**2)
    z = np.log(np.maximum(found, _SMALLEST)) - (np.log(mean) - spread / 2)[:, None]
    return np.where(now.enough, ndtr(-z / np.sqrt(spread)[:, None]), np.nan)


def _chi_square(days: Days, typical: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """X2 of each day, NaN where it has too few values, and over how many bins it goes.

    More values than an ordinary day has are no more evidence: they repeat each other. Bins that are
    rare in the day and in the baseline are one, or a single value of thousands of categories would do.
    """
    values, against = days.values[..., None], days.against[..., None]
    pooled = (values * days.found + against * days.expected) / np.maximum(values + against, 1)
    common = pooled * np.nan_to_num(typical)[:, None, None] >= _RARE
    apart = days.found - days.expected
    rest = [np.where(common, 0, each).sum(axis=-1) for each in (apart, pooled)]
    whole = np.where(common, apart**2 / np.where(common, pooled, 1), 0).sum(axis=-1)
    whole += rest[0] ** 2 / np.where(rest[1] > 0, rest[1], 1)
    effective = np.fmin(days.values, typical[:, None])
    weight = effective * days.against / np.maximum(effective + days.against, 1)
    return np.where(days.enough, weight * whole, np.nan), common.sum(axis=-1) + (rest[1] > 0)


def _ranks(total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean rank of each bin's values in the baseline, 0 to 1, and the variance of the ranks.

    Ranks, not values: a single glitch of 1e6 in the baseline would hide every later shift of a mean.
    """
    share = total / np.maximum(total.sum(axis=-1, keepdims=True), 1)
    ranks = share.cumsum(axis=-1) - share / 2
    return ranks, (share * (ranks - 0.5) ** 2).sum(axis=-1)


def _leaning(days: Days, ranks: np.ndarray) -> np.ndarray:
    """How much higher a day's mean rank is than expected, `(n_streams, n_days)`; NaN of too few values."""
    leaning = ((days.found - days.expected) * ranks[:, None]).sum(axis=-1)
    return np.where(days.enough, leaning, np.nan)


def _student(
    ordinary: np.ndarray, found: np.ndarray, pools: _Pools, least: np.ndarray, fewer: np.ndarray
) -> np.ndarray:
    """Student's t-test of each day against how much the baseline's days vary, `(n_streams, n_days)`.

    `least` is the variance of independent rows; a day has it `fewer` times as large where it is short.
    """
    repeats = _repeats(ordinary, pools)[:, None]
    ordinary, found = _added(ordinary, repeats), _added(found, repeats)
    between = np.fmax(_over_days(np.nanmean, ordinary**2), least)
    free = np.maximum(np.isfinite(ordinary).sum(axis=1) - 1, 1)
    t = found / np.sqrt(np.maximum(between[:, None] * fewer, _SMALLEST))
    return 2 * stdtr(free[:, None], -np.abs(t))


def _repeats(ordinary: np.ndarray, pools: _Pools) -> np.ndarray:
    """The correlation of a baseline day with the next one, of all streams of an input."""
    pairs = np.nansum(ordinary[:, 1:] * ordinary[:, :-1], axis=1)
    whole = np.nansum(ordinary**2, axis=1)
    n_days = np.maximum(np.isfinite(ordinary).sum(axis=1), 2)
    repeats = pools.mean(pairs / np.where(whole > 0, whole, 1) + 1 / n_days)
    return np.clip(np.nan_to_num(repeats), 0, _MOST_REPEATED)


def _added(values: np.ndarray, repeats: np.ndarray) -> np.ndarray:
    """What each day adds to what the day before led to expect; all have the same variance."""
    before = np.concatenate([np.full_like(values[:, :1], np.nan), values[:, :-1]], axis=1)
    alone = values * np.sqrt(1 - repeats**2)
    return np.where(np.isfinite(before), values - repeats * before, alone)


def _over_days(statistic: Callable[..., np.ndarray], values: np.ndarray) -> np.ndarray:
    """A statistic of each stream's days, leaving NaN out; NaN where all are."""
    out = np.full(len(values), np.nan)
    some = np.isfinite(values).any(axis=1)
    out[some] = statistic(values[some], axis=1)
    return out
