"""Where an action can change along one feature: at a split of a tree and at the limit of a gate.

Owns exactness: between two neighbouring edges of a feature, nothing that looks at it changes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from observability.explain.policy import Policy, watched
from observability.models.model import Model
from observability.models.trees import ZERO
from traces.errors import WrongUse

_HALVINGS = 64


@functools.lru_cache(maxsize=8)
def tree_edges(model: Model) -> tuple[np.ndarray, ...]:
    """For each feature, the last value before each step of the model's trees, ascending.

    In the feature's own unit, whatever the artifact does to it before the first split. Splits on
    sets of categories have none. Raises WrongUse where the model is no trees.
    """
    trees = model.trees
    if trees is None:
        raise WrongUse(f"a model of {model.artifact} whose inside is unknown", "trees")
    splits = np.flatnonzero(trees.column >= 0)
    kinds = np.array([column.kind for column in trees.columns], dtype=object)
    splits = splits[kinds[trees.column[splits]] != "category"]
    feature = trees.owner[trees.column[splits]]
    is_float32 = kinds[trees.column[splits]] == "float32"
    width = len(model.feature_names)

    def left(values: np.ndarray) -> np.ndarray:
        """Whether each split is passed to the left by its own value."""
        rows = np.zeros((len(splits), width))
        rows[np.arange(len(splits)), feature] = values
        with np.errstate(over="ignore"):
            read = model.prepare(rows)[np.arange(len(splits)), feature]
            read = np.where(is_float32, read.astype(np.float32), read)
        return read <= trees.threshold[splits]

    last, steps = _last_before(left, len(splits))
    found = [np.unique(last[steps & (feature == number)]) for number in range(width)]
    for column in trees.columns:
        if "zero" in column.kind:
            hole = [np.nextafter(-ZERO, -np.inf), ZERO]
            found[column.feature] = np.union1d(found[column.feature], hole)
    return tuple(found)


def gate_edges(policy: Policy, feature: int) -> np.ndarray:
    """The last values before each step of the gates that look at a feature, ascending."""
    name = policy.features[feature].name
    limits = np.array(
        [
            gate.limit
            for side in (policy.below, policy.above)
            for gate in side.gates
            if watched(gate) == name and np.isfinite(gate.limit)
        ]
    )
    return np.unique(np.concatenate([limits, np.nextafter(limits, -np.inf)]))


def beyond(edges: np.ndarray, value: float) -> np.ndarray:
    """The value nearest to `value` on the far side of each edge.

    >>> beyond(np.array([1.0, 2.0]), 1.5).round(3).tolist()
    [1.0, 2.0]
    """
    return np.where(value <= edges, np.nextafter(edges, np.inf), edges)


def _last_before(left: Callable[[np.ndarray], np.ndarray], count: int) -> tuple[np.ndarray, ...]:
    """The largest float64 before each of `count` steps, and whether there is a step at all."""
    end = _ordinal(np.full(count, np.finfo(np.float64).max))
    low, high = -end, end
    at_low = left(_float(low))
    steps = at_low != left(_float(high))
    for _ in range(_HALVINGS):
        middle = (low >> 1) + (high >> 1) + (low & high & 1)
        before = left(_float(middle)) == at_low
        low, high = np.where(before, middle, low), np.where(before, high, middle)
    return _float(low), steps


def _ordinal(values: np.ndarray) -> np.ndarray:
    """The place of each float64 among all, as an integer; `_float` is the way back."""
    bits = values.view(np.int64)
    return np.where(bits < 0, np.int64(-(2**63)) - bits, bits)


def _float(ordinals: np.ndarray) -> np.ndarray:
    return np.where(ordinals < 0, np.int64(-(2**63)) - ordinals, ordinals).view(np.float64)
