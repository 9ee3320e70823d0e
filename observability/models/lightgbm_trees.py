"""The trees of a LightGBM text model as arrays. Owns what the bits of a node's decision type mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from observability.models.trees import Column, Tree, Trees, ensemble

_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_AS_ZERO, _ZERO_IS_MISSING = 0, 1  # the missing type, from the third bit on; 2 is NaN


@dataclass(frozen=True, slots=True)
class Nodes:
    """One tree as its text has it: leaves are children below zero.

    Of a categorical split, the threshold is the number of its set in `categories`, of 32-bit words.
    """

    feature: np.ndarray
    threshold: np.ndarray
    decision: np.ndarray
    left: np.ndarray
    right: np.ndarray
    leaf_value: np.ndarray
    categories: tuple[np.ndarray, ...]


def trees_of(trees: Sequence[Nodes], output_count: int, scale: float) -> Trees:
    """The ensemble whose margins are `scale` times LightGBM's raw scores."""
    columns: dict[Column, int] = {}
    made = [_tree(nodes, columns, at % output_count, scale) for at, nodes in enumerate(trees)]
    return ensemble(tuple(columns), made, [0.0] * output_count)


def _tree(nodes: Nodes, columns: dict[Column, int], output: int, scale: float) -> Tree:
    splits, leaves = len(nodes.feature), len(nodes.leaf_value)
    column = np.full(splits + leaves, -1)
    for node in range(splits):
        column[node] = columns.setdefault(_column(nodes, node), len(columns))
    categorical = (nodes.decision & _CATEGORICAL) == 1
    threshold = np.where(categorical, 0.5, nodes.threshold)
    default_left = (nodes.decision & _DEFAULT_LEFT) == _DEFAULT_LEFT
    # A feature trained without missing values reads NaN as 0; a category that is missing goes right.
    nan_left = np.where((nodes.decision >> 2) == _AS_ZERO, threshold >= 0, default_left)
    at_leaves = np.zeros(leaves)
    return Tree(
        column=column,
        threshold=np.concatenate([threshold, at_leaves]),
        nan_left=np.concatenate([nan_left & ~categorical, at_leaves]),
        left=np.concatenate([_children(nodes.left, splits), at_leaves]),
        right=np.concatenate([_children(nodes.right, splits), at_leaves]),
        value=np.concatenate([np.zeros(splits), nodes.leaf_value * scale]),
        output=output,
    )


def _children(children: np.ndarray, splits: int) -> np.ndarray:
    return np.where(children < 0, splits + ~children, children)


def _column(nodes: Nodes, node: int) -> Column:
    feature, decision = int(nodes.feature[node]), int(nodes.decision[node])
    if decision & _CATEGORICAL:
        return Column(feature, "category", _set(nodes.categories[int(nodes.threshold[node])]))
    return Column(
        feature, "zero is missing" if decision >> 2 == _ZERO_IS_MISSING else "tiny is zero"
    )


def _set(words: np.ndarray) -> frozenset[int]:
    return frozenset(
        32 * at + bit
        for at, word in enumerate(words.tolist())
        for bit in range(32)
        if word >> bit & 1
    )
