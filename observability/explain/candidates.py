"""The single changes worth trying: for each feature that may be changed, the near side of each step.

Owns which features can be changed, and what a change costs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from observability.explain.edges import beyond, gate_edges, tree_edges
from observability.explain.policy import Policy
from observability.models.model import Model

REACH_IQRS = 6.0
"""How far a grid goes; what is exact has no such limit."""
GRID = 64


@dataclass(frozen=True, slots=True)
class Lever:
    """A feature that someone could change, within `low` to `high`, both allowed, in its own unit.

    `iqr` is the device's own, the unit of the cost. Of a feature with levels, another level costs 1.
    """

    feature: int
    iqr: float
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True, slots=True)
class Candidates:
    """Single changes: `feature`, `value` and `cost` of each, all of shape `(n,)`."""

    feature: np.ndarray
    value: np.ndarray
    cost: np.ndarray

    def rows(self, row: np.ndarray) -> np.ndarray:
        """The changed rows `(n, n_features)`."""
        changed = np.tile(row, (len(self.feature), 1))
        changed[np.arange(len(self.feature)), self.feature] = self.value
        return changed

    def take(self, chosen: np.ndarray) -> Candidates:
        """Some of them."""
        return Candidates(self.feature[chosen], self.value[chosen], self.cost[chosen])


def candidates(
    model: Model, policy: Policy, row: np.ndarray, levers: Sequence[Lever]
) -> Candidates:
    """What to try of each lever, cheapest first: of trees every step, of other models a grid.

    A missing input is never changed: nothing says how far that would be. Nor is one whose IQR is 0 or
    unknown.
    """
    return joined([_of_lever(model, policy, row, lever) for lever in levers])


def joined(parts: Sequence[Candidates]) -> Candidates:
    """Several lists as one."""
    if not parts:
        return Candidates(np.empty(0, dtype=int), np.empty(0), np.empty(0))
    return Candidates(
        np.concatenate([part.feature for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.cost for part in parts]),
    )


def _of_lever(model: Model, policy: Policy, row: np.ndarray, lever: Lever) -> Candidates:
    here, levels = float(row[lever.feature]), policy.features[lever.feature].levels
    if levels:
        values = np.array([float(at) for at in range(len(levels)) if at != here])
        return _sorted(lever, values, np.ones(len(values)))
    if not (math.isfinite(here) and math.isfinite(lever.iqr) and lever.iqr > 0):
        return joined([])
    steps = _steps(model, lever, here)
    values = np.union1d(steps, beyond(gate_edges(policy, lever.feature), here))
    values = values[(values >= lever.low) & (values <= lever.high) & (values != here)]
    return _sorted(lever, values, np.abs(values - here) / lever.iqr)


def _steps(model: Model, lever: Lever, here: float) -> np.ndarray:
    if model.trees is not None:
        return beyond(tree_edges(model)[lever.feature], here)
    low = max(lever.low, here - REACH_IQRS * lever.iqr)
    high = min(lever.high, here + REACH_IQRS * lever.iqr)
    return np.concatenate([np.linspace(here, end, GRID + 1)[1:] for end in (low, high)])


def _sorted(lever: Lever, values: np.ndarray, cost: np.ndarray) -> Candidates:
    order = np.argsort(cost, kind="stable")
    return Candidates(np.full(len(values), lever.feature), values[order], cost[order])
