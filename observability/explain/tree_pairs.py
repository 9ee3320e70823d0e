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
    waiting = np.empty((DEEPEST + 2, 3), np.int32)
    decided = np.empty(DEEPEST + 1, np.int32)
    side = np.zeros(phi.shape[1], np.uint8)
    for row in range(seen.shape[1]):
        for other in range(against.shape[1]):
            x, z = seen[:, row], against[:, other]
            for tree in range(len(root)):
                out = phi[output[tree], :, row]
                _pair(root[tree], nodes, share, x, z, waiting, decided, side, out)


@compiled
def _pair(
    top: int, nodes: _Nodes, share: np.ndarray, x: np.ndarray, z: np.ndarray, waiting: np.ndarray,
    decided: np.ndarray, side: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """Give each leaf of a tree that a mix of row and background row reaches to the features that decide.

    `decided` are the features on the way that lead apart, `side` says whose value each has. A line of
    `waiting` is a node, how many were decided above it, and which feature the background row decides.
    Not by recursion: numba keeps no recursive function on disk without breaking it.
    """
    count, held = 0, 1
    waiting[0, 0], waiting[0, 1], waiting[0, 2] = top, 0, -1
    while held:
        held -= 1
        node, above, feature = waiting[held, 0], waiting[held, 1], waiting[held, 2]
        for at in range(above, count):
            side[decided[at]] = 0
        count = above
        if feature >= 0:
            decided[count], side[feature] = feature, _BACKGROUND
            count += 1
        while nodes.column[node] >= 0:
            at, limit, nan_left = nodes.column[node], nodes.threshold[node], nodes.nan_left[node]
            by_x = nodes.left[node] if _goes_left(x[at], limit, nan_left) else nodes.right[node]
            by_z = nodes.left[node] if _goes_left(z[at], limit, nan_left) else nodes.right[node]
            feature = nodes.owner[at]
            if by_x != by_z and side[feature] == 0:
                waiting[held, 0], waiting[held, 1], waiting[held, 2] = by_z, count, feature
                held += 1
                decided[count], side[feature] = feature, _ROW
                count += 1
            node = by_z if side[feature] == _BACKGROUND else by_x
        _give(nodes.value[node], share, decided[:count], side, out)
    for at in range(count):
        side[decided[at]] = 0


@compiled
def _give(
    value: float, share: np.ndarray, decided: np.ndarray, side: np.ndarray, out: np.ndarray
) -> None:
    """A leaf's value to the features whose present value it needs, less to those whose absent one."""
    a = 0
    for feature in decided:
        a += side[feature] == _ROW
    b = len(decided) - a
    for feature in decided:
        out[feature] += value * share[a, b] if side[feature] == _ROW else -value * share[b, a]


@compiled
def _goes_left(x: float, threshold: float, nan_left: bool) -> bool:
    return not x > threshold if nan_left else x <= threshold
