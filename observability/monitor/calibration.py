"""How unusual each day of a stream is, measured by how much its own baseline's days differ.

A stream is one input of one device (or site, or fleet) as counts by day and bin. Rows of a sensor
repeat each other, so a day is the unit of evidence: each day of the baseline, compared with the rest,
shows what an ordinary day looks like. Owns which days a day is compared with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.special import ndtr, stdtr

FEWEST_DAYS = 14
"""Days that a baseline needs before anything is said against it."""
FEWEST_VALUES = 20
"""Values below which a day says nothing."""
SEASON_DAYS = 45
"""How far from a day of the year its season reaches, to both sides."""
_RARE = 1.0
"""A bin that an ordinary day has fewer values in is counted together with the other rare ones."""
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
    """P-values of each day, shape `(n_streams, n_days)`; NaN where a day or a stream says nothing.

    `shape` is of the counts of all bins, `level` of the mean rank; NaN of unordered streams. `found`
    and `expected` are the shares of the bins, `(n_streams, n_days, n_bins)`; `values` the counts
    behind `found`. `repeats` is how much a day resembles the day before it, 0 to 0.9, by stream.
    """

    shape: np.ndarray
    level: np.ndarray
    found: np.ndarray
    expected: np.ndarray
    values: np.ndarray
    repeats: np.ndarray
    insufficient: tuple[Insufficient, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Days:
    """Days beside what was expected of them; shares `(n_streams, n_days, n_bins)`.

    `values` and `against` count the values that both shares rest on.
    """

    found: np.ndarray
    expected: np.ndarray
    values: np.ndarray
    against: np.ndarray

    @property
    def enough(self) -> np.ndarray:
        return (self.values >= FEWEST_VALUES) & (self.against >= FEWEST_VALUES)


def each_other(n_days: int) -> np.ndarray:
    """Each baseline day is compared with all others: `(n_days, n_days)`, False where a day is left out."""
    return ~np.eye(n_days, dtype=bool)


def same_season(days: np.ndarray, baseline_days: np.ndarray) -> np.ndarray:
    """The days of other years that lie in the same season: `(n_days, n_baseline_days)`, True to compare.

    Days are counted from any epoch. Weather repeats itself for weeks, so a baseline day is a fair
    sample of its season only from half a year away; nearer days never serve. A year has 365.25 days.

    >>> same_season(np.array([800]), np.array([70, 434, 500, 799])).tolist()
    [[True, True, False, False]]
    """
    apart = np.abs(days[:, None] - baseline_days[None, :])
    of_year = np.abs((apart + 365.25 / 2) % 365.25 - 365.25 / 2)
    return (of_year <= SEASON_DAYS) & (apart > 365.25 / 2)


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
    compared within strata (hours of the day): what is expected of it then has the day's own mixture of
    strata, and values in strata that the baseline lacks do not count. `feature` `(n_streams,)` tells
    which streams share an input; what they have in common steadies each. `ordered` `(n_streams,)` is
    False for categories. `matches` says which baseline days serve each baseline day and each window
    day; by default all (a baseline day never serves itself).

    Rao and Scott 1981: rows that repeat each other inflate X2, by as much as the X2 of baseline days
    shows. Its tail is taken as that of a log-normal with their mean and variance: that of a chi-square
    with the same two is too thin where days differ more in some directions than in others. Never surer
    than independent rows would allow.
    """
    baseline, window = _with_strata(baseline), _with_strata(window)
    n_days = baseline.shape[1]
    own, served = matches or (each_other(n_days), np.ones((window.shape[1], n_days), dtype=bool))
    total = baseline.sum(axis=(1, 2)).astype(float)
    usual, now = _beside(baseline, baseline, own), _beside(window, baseline, served)
    insufficient = _insufficient(total, usual, now)
    said = np.array([reason is Insufficient.NOTHING for reason in insufficient], dtype=bool)
    pools = _Pools(feature, said)
    typical = _over_days(np.nanmedian, np.where(usual.enough, usual.values, np.nan))
    ordered = said if ordered is None else said & ordered
    return Calibrated(
        shape=np.where(said[:, None], _shape(usual, now, typical, pools), np.nan),
        level=np.where(ordered[:, None], _level(usual, now, total, typical), np.nan),
        found=now.found,
        expected=now.expected,
        values=now.values,
        repeats=_repeats(usual, total, pools),
        insufficient=insufficient,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Pools:
    """The streams that share an input; only those that have evidence count."""

    feature: np.ndarray
    said: np.ndarray

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Of each stream the mean over its input's streams; both `(n_streams,)`."""
        _, place = np.unique(self.feature, return_inverse=True)
        kept = self.said & np.isfinite(values)
        count = np.bincount(place[kept], minlength=place.max(initial=0) + 1)
        sums = np.bincount(place[kept], values[kept], minlength=len(count))
        return np.where(count > 0, sums / np.maximum(count, 1), np.nan)[place]


def _with_strata(counts: np.ndarray) -> np.ndarray:
    return counts[:, :, None] if counts.ndim == 3 else counts


def _beside(days: np.ndarray, baseline: np.ndarray, matches: np.ndarray) -> _Days:
    """Days, and what the baseline days that serve them lead to expect."""
    usual = matches.astype(float) @ baseline.reshape(*baseline.shape[:2], -1)
    usual = usual.reshape(days.shape)
    known = usual.sum(axis=-1)
    counted = np.where(known > 0, days.sum(axis=-1), 0)
    values = counted.sum(axis=-1)
    weight = counted / np.maximum(values, 1)[..., None]
    share = weight / np.maximum(known, 1)
    spread = (weight * share).sum(axis=-1)
    return _Days(
        found=np.where(known[..., None] > 0, days, 0).sum(axis=2)
        / np.maximum(values, 1)[..., None],
        expected=(usual * share[..., None]).sum(axis=2),
        values=values,
        against=np.where(spread > 0, 1 / np.where(spread > 0, spread, 1), 0),
    )


def _insufficient(total: np.ndarray, usual: _Days, now: _Days) -> tuple[Insufficient, ...]:
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


def _shape(usual: _Days, now: _Days, typical: np.ndarray, pools: _Pools) -> np.ndarray:
    """Rao and Scott's test of all bins; moments half a stream's own, half its input's."""
    (ordinary, bins), (found, _) = (_chi_square(days, typical) for days in (usual, now))
    free = np.maximum(bins.mean(axis=1) - 1, 1)
    mean, variance = _over_days(np.nanmean, ordinary), _over_days(np.nanvar, ordinary)
    mean = np.maximum((mean + pools.mean(mean)) / 2, free)
    variance = np.maximum((variance + pools.mean(variance)) / 2, 2 * free)
    spread = np.log1p(variance / mean**2)
    z = np.log(np.maximum(found, _SMALLEST)) - (np.log(mean) - spread / 2)[:, None]
    return np.where(now.enough, ndtr(-z / np.sqrt(spread)[:, None]), np.nan)


def _chi_square(days: _Days, typical: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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


def _level(usual: _Days, now: _Days, total: np.ndarray, typical: np.ndarray) -> np.ndarray:
    """Student's t-test of the mean rank, against how much the baseline's days differ in it.

    Ranks, not values: a single glitch of 1e6 in the baseline would hide every later shift.
    """
    ranks, variance = _ranks(total)
    ordinary = np.where(usual.enough, _leaning(usual, ranks), np.nan)
    between = _over_days(np.nanmean, ordinary**2)
    between = np.maximum(between, variance / np.maximum(typical, 1))
    fewer = np.maximum(typical[:, None] / np.maximum(now.values, 1), 1)
    t = _leaning(now, ranks) / np.sqrt(np.maximum(between[:, None] * fewer, _SMALLEST))
    free = np.maximum(usual.enough.sum(axis=1) - 1, 1)
    return np.where(now.enough, 2 * stdtr(free[:, None], -np.abs(t)), np.nan)


def _ranks(total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean rank of each bin's values in the baseline, 0 to 1, and the variance of the ranks."""
    share = total / np.maximum(total.sum(axis=-1, keepdims=True), 1)
    ranks = share.cumsum(axis=-1) - share / 2
    return ranks, (share * (ranks - 0.5) ** 2).sum(axis=-1)


def _leaning(days: _Days, ranks: np.ndarray) -> np.ndarray:
    """How much higher a day's mean rank is than expected, `(n_streams, n_days)`."""
    return ((days.found - days.expected) * ranks[:, None]).sum(axis=-1)


def _repeats(usual: _Days, total: np.ndarray, pools: _Pools) -> np.ndarray:
    """The correlation of a baseline day's mean rank with that of the next, of an input's streams."""
    leaning = np.where(usual.enough, _leaning(usual, _ranks(total)[0]), np.nan)
    pairs = np.nansum(leaning[:, 1:] * leaning[:, :-1], axis=1)
    whole = np.nansum(leaning**2, axis=1)
    n_days = np.maximum(usual.enough.sum(axis=1), 2)
    scale = np.where(whole > 0, whole, 1)
    repeats = pools.mean(pairs / scale + 1 / n_days)
    return np.clip(np.nan_to_num(repeats), 0, _MOST_REPEATED)


def _over_days(statistic: Callable[..., np.ndarray], values: np.ndarray) -> np.ndarray:
    """A statistic of each stream's days, leaving NaN out; NaN where all are."""
    out = np.full(len(values), np.nan)
    some = np.isfinite(values).any(axis=1)
    out[some] = statistic(values[some], axis=1)
    return out
