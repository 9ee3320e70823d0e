"""An ensemble of decision trees as arrays: the one form into which every format is read.

Owns how a split reads its input. A split is `column <= threshold` and nothing else: what a format does
beyond that (float32 inputs, zeros that mean missing, categories) becomes a column of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from traces.errors import ModelError

ZERO = float(np.float32(1e-35))
"""LightGBM's kZeroThreshold: up to it, a value is read as zero."""

Kind = Literal["number", "float32", "tiny is zero", "zero is missing", "category"]


@dataclass(frozen=True, slots=True)
class Column:
    """How splits read a feature.

    A `category` column is 0 where the value is one of `categories`, else 1; a value is truncated first.
    """

    feature: int
    kind: Kind = "number"
    categories: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree; arrays of shape `(n_nodes,)`, node 0 is the root, `column` is -1 at a leaf.

    A row goes left where its column's value is at most the threshold, and where it is NaN and
    `nan_left` says so. `value` counts at leaves, towards output number `output`.
    """

    column: np.ndarray
    threshold: np.ndarray
    nan_left: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    output: int = 0


@dataclass(frozen=True, slots=True)
class Trees:
    """An ensemble: the nodes of all trees one behind the other, children and roots as node numbers.

    The margin of output k is `base[k]` plus one leaf's value of each tree with `output == k`.
    """

    columns: tuple[Column, ...]
    column: np.ndarray
    threshold: np.ndarray
    nan_left: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    root: np.ndarray
    output: np.ndarray
    base: np.ndarray

    @property
    def owner(self) -> np.ndarray:
        """The feature of each column, shape `(n_columns,)`."""
        return np.array([column.feature for column in self.columns], dtype=np.int32)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """What the splits see of float64 rows `(n_rows, n_features)`: `(n_columns, n_rows)`."""
        seen = np.empty((len(self.columns), len(rows)))
        for number, column in enumerate(self.columns):
            seen[number] = _read(rows[:, column.feature], column)
        return seen

    def margin(self, rows: np.ndarray) -> np.ndarray:
        """Margins of shape `(n_rows, n_outputs)`."""
        return self._sum(rows, self.base.astype(np.float64))

    def margin_float32(self, rows: np.ndarray) -> np.ndarray:
        """The margins, summed in float32 and in the order of the trees, as some runtimes do."""
        return self._sum(rows, self.base.astype(np.float32))

    def _sum(self, rows: np.ndarray, base: np.ndarray) -> np.ndarray:
        from observability.models.tree_sums import (
            add_leaves,
        )  # compiled: seconds, where it is not kept

        out = np.tile(base, (len(rows), 1))
        nodes = (self.column, self.threshold, self.nan_left, self.left, self.right, self.value)
        add_leaves(*nodes, self.root, self.output, self.read(rows), out)
        return out


def ensemble(columns: Sequence[Column], trees: Sequence[Tree], base: Sequence[float]) -> Trees:
    """The trees as one ensemble, in their order; `base` has one value for each output.

    Raises ModelError where the nodes are no trees: a walk down them would never end.
    """
    for number, tree in enumerate(trees):
        _check(tree, len(columns), number)
    sizes = [len(tree.column) for tree in trees]
    root = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)

    def joined(name: str, type_: type) -> np.ndarray:
        return np.concatenate([getattr(tree, name) for tree in trees]).astype(type_)

    shift = np.repeat(root, sizes)
    return Trees(
        columns=tuple(columns),
        column=joined("column", np.int32),
        threshold=joined("threshold", np.float64),
        nan_left=joined("nan_left", np.bool_),
        left=joined("left", np.int32) + shift,
        right=joined("right", np.int32) + shift,
        value=joined("value", np.float64),
        root=root,
        output=np.array([tree.output for tree in trees], dtype=np.int32),
        base=np.asarray(base, dtype=np.float64),
    )


def _check(tree: Tree, columns: int, number: int) -> None:
    splits = tree.column >= 0
    children = np.concatenate([tree.left[splits], tree.right[splits]])
    whole = (
        len(tree.column)
        and tree.column.max() < columns
        and np.isin(children, np.arange(1, len(tree.column))).all()
        and len(np.unique(children)) == len(children)
        and np.isfinite(tree.value).all()
        and not np.isnan(tree.threshold[splits]).any()
    )
    if not whole:
        raise ModelError(f"tree {number}, whose nodes are no tree", "a root, splits and leaves")


def below(threshold: np.ndarray) -> np.ndarray:
    """The largest float32 below each threshold t: a float32 x is less than t iff it is at most that."""
    return np.nextafter(threshold.astype(np.float32), np.float32(-np.inf)).astype(np.float64)


def _read(values: np.ndarray, column: Column) -> np.ndarray:
    if column.kind == "number":
        return values
    if column.kind == "float32":
        with np.errstate(over="ignore"):
            return values.astype(np.float32)
    if column.kind in ("tiny is zero", "zero is missing"):
        return np.where(
            np.abs(values) <= ZERO, 0.0 if column.kind == "tiny is zero" else np.nan, values
        )
    outside = ~np.isin(np.trunc(values), list(column.categories))
    return np.where(np.isnan(values), np.nan, outside.astype(np.float64))
