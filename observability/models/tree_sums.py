"""The leaf that each row reaches in each tree, summed: compiled. Owns the walk down a tree."""

from __future__ import annotations

import numpy as np

from observability.collect.scan.compiled import compiled


@compiled
def add_leaves(
    column: np.ndarray,
    threshold: np.ndarray,
    nan_left: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    value: np.ndarray,
    root: np.ndarray,
    output: np.ndarray,
    seen: np.ndarray,
    out: np.ndarray,
) -> None:
    """Add to `out` `(n_rows, n_outputs)`, in its own precision, for `seen` `(n_columns, n_rows)`."""
    for row in range(seen.shape[1]):
        for tree in range(len(root)):
            node = root[tree]
            while column[node] >= 0:
                x = seen[column[node], row]
                goes_left = x <= threshold[node] or (np.isnan(x) and nan_left[node])
                node = left[node] if goes_left else right[node]
            out[row, output[tree]] += out.dtype.type(value[node])
