"""A share that is known of some only: its estimate, its interval, and what it can be at all.

Owns the arithmetic of intervals and bounds. The interval (Wilson 1927) is about chance and counts
decisions as independent; the bounds (Manski 1989) are about what nobody saw and assume nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Z_95 = 1.959964


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number estimated from `n` known cases; `low` to `high` is its 95 % interval.

    `least` to `most` is what it can be, whatever the unknown are. NaN where there is none; where there
    is no estimate, `reason` says why.
    """

    value: float
    low: float
    high: float
    n: int
    least: float = math.nan
    most: float = math.nan
    reason: str = ""


def share(part: int, whole: int, bounds: tuple[float, float], reason: str = "") -> Estimate:
    """A share of known cases. A `reason` withholds the estimate, not the bounds.

    >>> share(8, 10, (0.4, 0.9)).value, share(0, 0, (0.0, 1.0)).reason
    (0.8, 'no case is known')
    """
    reason = reason or ("" if whole else "no case is known")
    if reason:
        return Estimate(math.nan, math.nan, math.nan, whole, *bounds, reason)
    return Estimate(part / whole, *wilson(part, whole), whole, *bounds)


def wilson(part: int, whole: int) -> tuple[float, float]:
    """The 95 % interval of a share.

    >>> [round(end, 3) for end in wilson(8, 10)], wilson(0, 0)
    ([0.49, 0.943], (0.0, 1.0))
    """
    if not whole:
        return 0.0, 1.0
    centre = (part + Z_95**2 / 2) / (whole + Z_95**2)
    half = Z_95 / (whole + Z_95**2) * math.sqrt(part * (whole - part) / whole + Z_95**2 / 4)
    return max(0.0, centre - half), min(1.0, centre + half)


def share_bounds(part: int, rest: int, unknown: int) -> tuple[float, float]:
    """Between what a share lies of which `unknown` cases may belong to either side.

    >>> share_bounds(2, 1, 1)
    (0.5, 0.75)
    """
    whole = part + rest + unknown
    return (part / whole, (part + unknown) / whole) if whole else (math.nan, math.nan)


def recall_bounds(
    found: int, missed: int, unknown_found: int, unknown_missed: int
) -> tuple[float, float]:
    """Between what found / (found + missed) lies, where more of either may have been needed.

    >>> recall_bounds(8, 1, 2, 1)
    (0.8, 0.9090909090909091)
    """
    least, most = found + missed + unknown_missed, found + unknown_found + missed
    return (found / least if least else 0.0, (found + unknown_found) / most if most else 1.0)


def mean(
    total: float, total_of_squares: float, n: int, bounds: tuple[float, float], reason: str = ""
) -> Estimate:
    """A mean with its normal 95 % interval, never below 0. A `reason` withholds it, not the bounds."""
    reason = reason or ("" if n else "no case is known")
    if reason:
        return Estimate(math.nan, math.nan, math.nan, n, *bounds, reason)
    value = total / n
    half = Z_95 * math.sqrt(max(0.0, total_of_squares / n - value**2) / n)
    return Estimate(value, max(0.0, value - half), value + half, n, *bounds)


def weighted_share(hits: Sequence[bool], probabilities: Sequence[float]) -> Estimate:
    """A share over all from those that a policy let through, each with its probability (0, 1].

    Inverse probability weights, normalised (Hájek 1971); the interval is the linearised one.
    """
    y, w = np.asarray(hits, dtype=float), 1 / np.asarray(probabilities, dtype=float)
    if not len(y):
        return Estimate(math.nan, math.nan, math.nan, 0, reason="no case is known")
    value = float((w * y).sum() / w.sum())
    half = Z_95 * float(np.sqrt((w**2 * (y - value) ** 2).sum()) / w.sum())
    return Estimate(value, max(0.0, value - half), min(1.0, value + half), len(y))
