"""How large a shift is, beside PSI: in shares and in the input's own unit. Effect sizes, never verdicts.

All take counts over the last axis and broadcast, and give NaN where either side has fewer than 50
values. The outer bins are open, so distances in units read low where values left the bins: show the
shift of the mean and of the quantiles beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np

from observability.monitor.drift import Drift
from observability.monitor.psi import FEWEST, psi


@dataclass(frozen=True, slots=True)
class ShiftSizes:
    """How far one input lies from its baseline; NaN where a measure does not exist or values are too few.

    `wasserstein` is in `unit`, the input's own; it and `kolmogorov_smirnov` are of numbers only.
    """

    psi: float
    jensen_shannon: float
    kolmogorov_smirnov: float
    wasserstein: float
    unit: str


def shift_sizes(
    drift: Drift, name: str, device: str | None, first: int = 0, until: int | None = None
) -> ShiftSizes:
    """The sizes of one input's shift in the buckets from `first` up to `until`, of a device or the fleet."""
    n, place = drift.names.index(name), drift.place(device)
    of, bins = drift.baseline.inputs[n], drift.baseline.bins[n]
    if bins.constant:
        return ShiftSizes(nan, nan, nan, nan, of.unit)
    usual = drift.usual[place, n, : bins.size]
    now = drift.now[place, first:until, n, : bins.size].sum(axis=0)
    ordered = not of.levels
    return ShiftSizes(
        psi=float(psi(usual, now)),
        jensen_shannon=float(jensen_shannon(usual, now)),
        kolmogorov_smirnov=float(kolmogorov_smirnov(usual, now)) if ordered else nan,
        wasserstein=float(wasserstein(usual, now, np.array(bins.edges))) if ordered else nan,
        unit=of.unit,
    )


def jensen_shannon(reference: np.ndarray, current: np.ndarray) -> np.ndarray:
    """Jensen-Shannon distance to base 2: 0 where equal, 1 where nothing is shared.

    >>> float(jensen_shannon(np.array([50, 0]), np.array([0, 500])))
    1.0
    """
    expected, found = _shares(reference), _shares(current)
    middle = (expected + found) / 2
    divergence = (_relative_entropy(expected, middle) + _relative_entropy(found, middle)) / 2
    return np.sqrt(np.maximum(divergence, 0))


def kolmogorov_smirnov(reference: np.ndarray, current: np.ndarray) -> np.ndarray:
    """The largest difference of the cumulated shares at the edges of the bins, 0 to 1.

    >>> float(kolmogorov_smirnov(np.array([50, 50]), np.array([90, 10])))
    0.4
    """
    return np.abs(_cumulated(reference) - _cumulated(current)).max(axis=-1)


def wasserstein(reference: np.ndarray, current: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The mean way of a value between the `n_bins - 1` edges, in the input's unit; open bins add nothing.

    >>> float(wasserstein(np.array([0, 50, 50, 0]), np.array([0, 75, 25, 0]), np.array([1, 2, 4])))
    0.375
    """
    apart = np.abs(_cumulated(reference) - _cumulated(current))[..., :-1]
    return ((apart[..., :-1] + apart[..., 1:]) / 2 * np.diff(edges)).sum(axis=-1)


def quantiles(
    counts: np.ndarray, edges: np.ndarray, low: float, high: float, at: np.ndarray
) -> np.ndarray:
    """Quantiles of one set of counts `(n_bins,)`, linear within bins; outer bins reach to low and high.

    Values beyond what the bins were cut from read as `low` or `high`.

    >>> quantiles(np.array([50, 50]), np.array([1.0]), 0.0, 3.0, np.array([0.25, 0.5, 0.75])).tolist()
    [0.5, 1.0, 2.0]
    """
    share = _cumulated(counts)
    if np.isnan(share).any():
        return np.full(len(at), np.nan)
    return np.interp(at, np.concatenate([[0.0], share]), np.concatenate([[low], edges, [high]]))


def _shares(counts: np.ndarray) -> np.ndarray:
    total = counts.sum(axis=-1, keepdims=True)
    return counts / np.where(total >= FEWEST, total, np.nan)


def _cumulated(counts: np.ndarray) -> np.ndarray:
    return _shares(counts).cumsum(axis=-1)


def _relative_entropy(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    ratio = np.where(p == 0, 1, p) / np.where(p == 0, 1, q)
    return (p * np.log2(ratio)).sum(axis=-1)
