"""The past decisions most like this one: near in every input, measured in the device's own spread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Nearest:
    """Row numbers of past decisions, nearest first, and their distances in IQRs; shapes `(k,)`."""

    indices: np.ndarray
    distances: np.ndarray


def nearest(
    past: np.ndarray, row: np.ndarray, iqrs: np.ndarray, categorical: np.ndarray, count: int = 5
) -> Nearest:
    """The `count` rows of `past` `(n, n_features)` nearest to `row` `(n_features,)`.

    Euclidean, numbers in their `iqrs` `(n_features,)`. Values that differ count as 1 where no number
    says by how much: of a `categorical` (a mask `(n_features,)`), where one of the two is missing, and
    where the IQR is 0 or unknown. Equal distances keep the order of `past`.
    """
    squared = np.zeros(len(past))
    measurable = ~categorical & np.isfinite(iqrs) & (iqrs > 0)
    for column, value, iqr, measured in zip(past.T, row, iqrs, measurable, strict=True):
        same = (column == value) | (np.isnan(column) & np.isnan(value))
        apart = np.where(same, 0.0, 1.0)
        if measured and np.isfinite(value):
            known = np.isfinite(column)
            apart[known] = (column[known] - value) / iqr
        squared += apart * apart
    wanted = min(count, len(past))
    if wanted == 0:
        return Nearest(np.empty(0, dtype=np.intp), np.empty(0))
    limit = np.partition(squared, wanted - 1)[wanted - 1]
    close = np.flatnonzero(squared <= limit)
    chosen = close[np.argsort(squared[close], kind="stable")[:wanted]]
    return Nearest(chosen, np.sqrt(squared[chosen]))
