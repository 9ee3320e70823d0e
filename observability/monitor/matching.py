"""What a day is compared with: which baseline days serve it, and what they lead to expect of it."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

FEWEST_VALUES = 20
"""Values below which a day says nothing."""
SEASON_DAYS = 45
"""How far from a day of the year its season reaches, to both sides."""
_YEAR_DAYS = 365.25


@dataclass(frozen=True, slots=True, eq=False)
class Days:
    """Days beside what was expected of them: shares of the bins, `(n_streams, n_days, n_bins)`.

    `values` and `against` `(n_streams, n_days)` are how many values the two rest on.
    """

    found: np.ndarray
    expected: np.ndarray
    values: np.ndarray
    against: np.ndarray

    @property
    def enough(self) -> np.ndarray:
        """Which days rest on enough values to say something."""
        return (self.values >= FEWEST_VALUES) & (self.against >= FEWEST_VALUES)


def each_other(n_days: int) -> np.ndarray:
    """Each baseline day is compared with all others: `(n_days, n_days)`, False on the diagonal."""
    return ~np.eye(n_days, dtype=bool)


def same_season(days: np.ndarray, baseline_days: np.ndarray) -> np.ndarray:
    """The days of other years that lie in the same season: `(n_days, n_baseline_days)`, True to compare.

    Days are counted from any epoch. Weather repeats itself for weeks, so a baseline day is a fair
    sample of its season only from half a year away; nearer days never serve. A year has 365.25 days.

    >>> same_season(np.array([800]), np.array([70, 434, 500, 799])).tolist()
    [[True, True, False, False]]
    """
    apart = np.abs(days[:, None] - baseline_days[None, :])
    of_year = np.abs((apart + _YEAR_DAYS / 2) % _YEAR_DAYS - _YEAR_DAYS / 2)
    return (of_year <= SEASON_DAYS) & (apart > _YEAR_DAYS / 2)


def beside(days: np.ndarray, baseline: np.ndarray, matches: np.ndarray) -> Days:
    """Days, and what the baseline days that serve them lead to expect.

    Counts `(n_streams, n_days, n_strata, n_bins)`, `matches` `(n_days, n_baseline_days)`. What is
    expected has the day's own mixture of strata; values in strata that the baseline lacks do not count.
    """
    flat = baseline.reshape(*baseline.shape[:2], prod(baseline.shape[2:]))
    usual = (matches.astype(float) @ flat).reshape(days.shape)
    known = usual.sum(axis=-1)
    counted = np.where(known[..., None] > 0, days, 0)
    by_stratum = counted.sum(axis=-1)
    values = by_stratum.sum(axis=-1)
    weight = by_stratum / np.maximum(values, 1)[..., None]
    each = weight / np.maximum(known, 1)
    spread = (weight * each).sum(axis=-1)
    return Days(
        found=counted.sum(axis=2) / np.maximum(values, 1)[..., None],
        expected=(usual * each[..., None]).sum(axis=2),
        values=values,
        against=np.where(spread > 0, 1 / np.where(spread > 0, spread, 1), 0),
    )
