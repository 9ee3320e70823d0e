"""Exact interventional Shapley values of tree ensembles, row against background row.

For ensembles whose paths are too long for tables: any depth, no tables, time in proportion to the
background. Owns the walk, which is that of shap's interventional TreeExplainer (Lundberg et al. 2020).
What is compiled here calls nothing outside this file.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from observability.collect.scan.compiled import compiled
from observability.models.trees import Trees
from traces.errors import ModelError

DEEPEST = 200
"""Levels of a tree that are walked down."""
_ROW, _BACKGROUND = 1, 2


class _Nodes(NamedTuple):
    """The nodes of all trees (Trees says what they are), for compiled code."""

    column: np.ndarray
    threshold: np.ndarray
    nan_left: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    owner: np.ndarray


def paired_values(trees: Trees, background: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Shapley values `(n_outputs, n_features, n_rows)` of rows against rows, both `(n, n_features)`.

    Raises ModelError where a tree is deeper than 200 levels.
    """
    if _depth(trees) > DEEPEST:
        raise ModelError("a tree of more than 200 levels", f"{DEEPEST} levels at most")
    phi = np.zeros((len(trees.base), rows.shape[1], len(rows)))
    nodes = _Nodes(
        trees.column, trees.threshold, trees.nan_left, trees.left, trees.right, trees.value,
        trees.owner,
    )  # fmt: skip
    share = _weights(min(DEEPEST, rows.shape[1])) / len(background)
    seen, against = trees.read(rows), trees.read(background)
    _pair_all(nodes, trees.root, trees.output, share, seen, against, phi)
    return phi


def _depth(trees: Trees) -> int:
    """Levels of splits of the deepest tree, counted up to one more than are walked."""
    level, depth = trees.root, 0
    while depth <= DEEPEST:
        level = level[trees.column[level] >= 0]
        if not len(level):
            return depth
        level = np.concatenate([trees.left[level], trees.right[level]])
        depth += 1
    return depth


def _weights(most: int) -> np.ndarray:
    """`[a, b]`: (a - 1)! b! / (a + b)!, and 0 where a is 0."""
    log = [math.lgamma(n + 1) for n in range(2 * most + 1)]
    table = np.zeros((most + 1, most + 1))
    for a in range(1, most + 1):
        for b in range(most + 1):
            table[a, b] = math.exp(log[a - 1] + log[b] - log[a + b])
    return table


@compiled
def _pair_all(
    nodes: _Nodes, root: np.ndarray, output: np.ndarray, share: np.ndarray, seen: np.ndarray,
    against: np.ndarray, phi: np.ndarray,
) -> None:  # fmt: skip
    side = np.zeros(phi.shape[1], np.uint8)
    for row in range(seen.shape[1]):
        for other in range(against.shape[1]):
            x, z = seen[:, row], against[:, other]
            for tree in range(len(root)):
                out = phi[output[tree], :, row]
                _pair(root[tree], 0, 0, nodes, share, x, z, side, out)


@compiled
def _pair(
    node: int, a: int, b: int, nodes: _Nodes, share: np.ndarray, x: np.ndarray, z: np.ndarray,
    side: np.ndarray, out: np.ndarray,
) -> tuple[float, float]:  # fmt: skip
    """Give the features of a subtree theirs; what its leaves are worth to a present, an absent one above.

    On the way here, a features were decided by the row and b by the background row; `side` says which.
    """
    at = nodes.column[node]
    if at < 0:
        return nodes.value[node] * share[a, b], nodes.value[node] * share[b, a]
    limit, nan_left = nodes.threshold[node], nodes.nan_left[node]
    by_x = nodes.left[node] if _goes_left(x[at], limit, nan_left) else nodes.right[node]
    by_z = nodes.left[node] if _goes_left(z[at], limit, nan_left) else nodes.right[node]
    feature = nodes.owner[at]
    if by_x == by_z or side[feature] == _ROW:
        return _pair(by_x, a, b, nodes, share, x, z, side, out)
    if side[feature] == _BACKGROUND:
        return _pair(by_z, a, b, nodes, share, x, z, side, out)
    side[feature] = _ROW
    present_x, absent_x = _pair(by_x, a + 1, b, nodes, share, x, z, side, out)
    side[feature] = _BACKGROUND
    present_z, absent_z = _pair(by_z, a, b + 1, nodes, share, x, z, side, out)
    side[feature] = 0
    out[feature] += present_x - absent_z
    return present_x + present_z, absent_x + absent_z


@compiled
def _goes_left(x: float, threshold: float, nan_left: bool) -> bool:
    return not x > threshold if nan_left else x <= threshold
