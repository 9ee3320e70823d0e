"""Breaks in the data: values that are missing, stuck, implausible, unheard of, or in another unit.

Nothing here is drift: what a broken sensor sends says nothing about the world. Thresholds stand on
what the baseline's worst day had.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from observability.monitor.matching import FEWEST_VALUES

BREAK_SHARE = 0.1
"""A day is broken where this share of its values, beyond that of the baseline's worst day, is bad."""
STUCK_VALUES = 20
"""Equal values in a row that a sensor sends at least before it counts as stuck."""
_FITS = 0.25
"""Of the baseline's spread: how far quantiles may lie off after a conversion."""
_LEAST_FACTOR = 1.5
_BETTER = 1.5
_LARGEST = 1e30

CONVERSIONS = (
    (1.8, 32.0),
    (1 / 1.8, -32.0 / 1.8),
    (1.0, 273.15),
    (1.0, -273.15),
    (1.8, -459.67),
    (1 / 1.8, 459.67 / 1.8),
)
"""Factor and offset between °C, °F and K; all other units differ by a factor alone."""


class Break(StrEnum):
    """What is wrong with the values of a day."""

    NULL = "missing values"
    NAN = "values that are no number"
    STUCK = "a stuck value"
    CATEGORY = "unknown categories"
    RANGE = "values far outside the baseline's range"


@dataclass(frozen=True, slots=True, eq=False)
class Quality:
    """Counts of each stream and day, `(n_streams, n_days)`; `unchanged`: the longest run of equal values."""

    rows: np.ndarray
    null: np.ndarray
    nan: np.ndarray
    unchanged: np.ndarray
    unknown: np.ndarray
    outside: np.ndarray


@dataclass(frozen=True, slots=True)
class UnitChange:
    """Values are now `factor` times what they were, plus `offset` in the new unit."""

    factor: float
    offset: float


def breaks(baseline: Quality, window: Quality) -> dict[Break, np.ndarray]:
    """Which days of a window are broken in which way, `(n_streams, n_days)`.

    A day of fewer than 20 rows is never: a device with three decisions has no share of anything.
    """
    enough = window.rows >= FEWEST_VALUES
    kinds = {
        Break.NULL: (baseline.null, window.null),
        Break.NAN: (baseline.nan, window.nan),
        Break.CATEGORY: (baseline.unknown, window.unknown),
        Break.RANGE: (baseline.outside, window.outside),
    }
    found = {
        kind: enough
        & (now / np.maximum(window.rows, 1) >= _worst(usual, baseline.rows) + BREAK_SHARE)
        for kind, (usual, now) in kinds.items()
    }
    longest = baseline.unchanged.max(axis=1, initial=0)[:, None]
    found[Break.STUCK] = window.unchanged >= np.maximum(2 * longest, STUCK_VALUES)
    return found


def plausible(low: float, high: float) -> tuple[float, float]:
    """Bounds beyond which a value is implausible: as far from the baseline's range as that is wide.

    >>> plausible(10.0, 30.0), plausible(7.0, 7.0)
    ((-10.0, 50.0), (7.0, 7.0))
    """
    wide = float(high) - float(low)
    return float(low) - wide, float(high) + wide


def longest_unchanged(values: np.ndarray) -> int:
    """The most equal values in a row, of values `(n,)` in order of time; NaN is equal to nothing.

    >>> longest_unchanged(np.array([1.0, 2.0, 2.0, 2.0, 1.0]))
    3
    """
    if len(values) == 0:
        return 0
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    return int(np.diff(np.append(starts, len(values))).max())


def unit_change(baseline: np.ndarray, current: np.ndarray) -> UnitChange | None:
    """The change of unit that turns the baseline's quantiles into the current ones; None where none does.

    Quantiles `(n_quantiles,)`, ascending, at the same shares, of all values since the change, not of
    bins. The values must have left the baseline by its whole spread, and the change must lead back into
    it: between scales of temperature, else by a factor of at least 1.5 (or under 2/3) that fits clearly
    better than a shift. A wider spread about the same middle is drift.
    """
    spread = float(baseline[-1]) - float(baseline[0])
    values = np.abs(np.concatenate([baseline, current]))
    if not (spread > 1 / _LARGEST and values.max() < _LARGEST):
        return None

    def off(factor: float, offset: float) -> float:
        return float(np.sqrt(np.mean(((current - offset) / factor - baseline) ** 2))) / spread

    if off(1.0, 0.0) < 1:
        return None
    shift = off(1.0, float(np.mean(current - baseline)))
    scale = min(CONVERSIONS, key=lambda conversion: off(*conversion))
    if off(*scale) <= _FITS and (scale[0] == 1 or off(*scale) <= 2 * shift):
        return UnitChange(*scale)
    factor = float(current @ baseline / (baseline @ baseline))
    large = factor > 1 / _LARGEST and abs(np.log(factor)) >= np.log(_LEAST_FACTOR)
    if large and off(factor, 0.0) <= min(_FITS, shift / _BETTER):
        return UnitChange(factor, 0.0)
    return None


def _worst(counts: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The largest share of a baseline day, `(n_streams, 1)`; 0 without a day of 20 rows."""
    share = np.where(rows >= FEWEST_VALUES, counts / np.maximum(rows, 1), 0)
    return share.max(axis=1, initial=0)[:, None]
