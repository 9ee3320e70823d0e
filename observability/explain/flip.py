"""The smallest change of the inputs that would have changed the action, through model and gates.

Exact for one feature of trees, whose scores are piecewise constant: every step is tried at its near
side, all in one batch. Best found for two features, and for other models, on a grid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from observability.explain.candidates import Candidates, Lever, candidates, joined
from observability.explain.edges import beyond, gate_edges
from observability.explain.policy import Policy, actions_of
from observability.models.model import Model
from traces.errors import ModelError

PAIRED_FEATURES = 8
KEPT_OF_A_FEATURE = 8
_HALVINGS = 64


@dataclass(frozen=True, slots=True)
class Change:
    """One input as it was and as it would have to be; a feature with levels by their text."""

    feature: str
    before: float | str
    after: float | str


@dataclass(frozen=True, slots=True)
class Flip:
    """A change of the action, `cost` in IQRs summed over the changes; `score` is the model's then.

    `row` is what the model would have seen, feature by feature.
    """

    changes: tuple[Change, ...]
    cost: float
    score: float
    action: str
    row: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Flips:
    """The smallest change of one feature, and one of two where that is smaller still.

    None where there is none: for certain of one feature where `exact`, else none was found.
    """

    one: Flip | None
    two: Flip | None
    exact: bool


@dataclass(frozen=True, slots=True)
class _Case:
    """The decision: its model, policy and row, the action taken, what may be changed."""

    model: Model
    policy: Policy
    row: np.ndarray
    action: str
    levers: tuple[Lever, ...]

    def differs(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which rows lead to another action, and their scores."""
        scores = self.model.score(rows)
        return actions_of(self.policy, rows, scores) != self.action, scores


def smallest_flips(model: Model, policy: Policy, row: np.ndarray, levers: Sequence[Lever]) -> Flips:
    """The smallest changes of a row `(n_features,)` that lead to another action.

    A missing input is never changed: nothing says how far that would be. Nor is one whose IQR is 0 or
    unknown. Raises ModelError where the model has several outputs.
    """
    if model.output_count > 1:
        found = f"a model of {model.output_count} outputs"
        raise ModelError(found, "one score, which a threshold divides")
    score = model.score(row[None])
    action = str(actions_of(policy, row[None], score)[0])
    case = _Case(model, policy, row, action, tuple(levers))
    tried = candidates(model, policy, row, levers)
    if not len(tried.feature):
        return Flips(None, None, model.trees is not None)
    differs, scores = case.differs(tried.rows(row))
    one = _cheapest(case, _refined(case, tried, differs))
    two = _of_two(case, tried, scores, math.inf if one is None else one.cost)
    return Flips(one, two, model.trees is not None)


def _refined(case: _Case, tried: Candidates, differs: np.ndarray) -> Candidates:
    """The flips among what was tried; of a grid, drawn near to where each begins."""
    flips = tried.take(np.flatnonzero(differs))
    if case.model.trees is not None or not len(flips.feature):
        return flips
    levelled = np.array([bool(feature.levels) for feature in case.policy.features])
    here = case.row[tried.feature]
    chosen, stays = [], []
    for feature in np.unique(flips.feature):
        for side in (tried.value < here, tried.value > here):
            along = np.flatnonzero((tried.feature == feature) & side)
            hits = np.flatnonzero(differs[along])
            if len(hits) and not levelled[feature]:
                chosen.append(along[hits[0]])
                stays.append(tried.value[along[hits[0] - 1]] if hits[0] else here[along[0]])
    drawn = _drawn_near(case, tried.take(np.array(chosen, dtype=int)), np.array(stays))
    return joined([drawn, flips.take(np.flatnonzero(levelled[flips.feature]))])


def _drawn_near(case: _Case, flips: Candidates, stays: np.ndarray) -> Candidates:
    """Flips at the nearest number after a value of the same feature that does not flip, by halving."""
    iqr = {lever.feature: lever.iqr for lever in case.levers}
    flipped = flips.value
    for _ in range(_HALVINGS):
        middle = stays + (flipped - stays) / 2
        if not len(middle) or ((middle == stays) | (middle == flipped)).all():
            break
        differs, _ = case.differs(Candidates(flips.feature, middle, flips.cost).rows(case.row))
        flipped, stays = np.where(differs, middle, flipped), np.where(differs, stays, middle)
    units = np.array([iqr[feature] for feature in flips.feature.tolist()])
    cost = np.abs(flipped - case.row[flips.feature]) / units if len(flipped) else flips.cost
    return Candidates(flips.feature, flipped, cost)


def _cheapest(case: _Case, flips: Candidates) -> Flip | None:
    if not len(flips.feature):
        return None
    at = int(np.argmin(flips.cost))
    return _flip(case, flips.rows(case.row)[at], float(flips.cost[at]))


def _of_two(case: _Case, tried: Candidates, scores: np.ndarray, below: float) -> Flip | None:
    """The cheapest change of two features that costs less than `below`, among the promising ones."""
    kept = _promising(case, tried, scores)
    firsts, seconds = [], []
    for one, two in combinations(kept, 2):
        pairs = np.meshgrid(one, two, indexing="ij")
        firsts.append(pairs[0].ravel())
        seconds.append(pairs[1].ravel())
    if not firsts:
        return None
    first, second = tried.take(np.concatenate(firsts)), tried.take(np.concatenate(seconds))
    cost = first.cost + second.cost
    cheaper = np.flatnonzero(cost < below)
    if not len(cheaper):
        return None
    rows = first.take(cheaper).rows(case.row)
    rows[np.arange(len(rows)), second.feature[cheaper]] = second.value[cheaper]
    flips = np.flatnonzero(case.differs(rows)[0])
    if not len(flips):
        return None
    at = flips[np.argmin(cost[cheaper][flips])]
    return _flip(case, rows[at], float(cost[cheaper][at]))


def _promising(case: _Case, tried: Candidates, scores: np.ndarray) -> list[np.ndarray]:
    """Of the features that move the score most, the candidates to pair, as places in `tried`.

    Those that move it further than any cheaper one of the feature, those at a gate's limit, and levels.
    """
    here = float(case.model.score(case.row[None])[0])
    gained = (here - scores) if here >= case.policy.threshold else (scores - here)
    found = []
    for feature in np.unique(tried.feature):
        mine = np.flatnonzero(tried.feature == feature)
        best = np.maximum.accumulate(np.concatenate([[0.0], gained[mine]]))
        limits = beyond(gate_edges(case.policy, feature), float(case.row[feature]))
        levels = bool(case.policy.features[feature].levels)
        always = mine[levels | np.isin(tried.value[mine], limits)]
        kept = np.union1d(_thinned(mine[gained[mine] > best[:-1]]), always)
        found.append((len(always) > 0, float(best[-1]), kept))
    found.sort(key=lambda part: part[:2], reverse=True)
    return [kept for _, _, kept in found[:PAIRED_FEATURES] if len(kept)]


def _thinned(places: np.ndarray) -> np.ndarray:
    """At most a few, evenly spread, with the first and the last."""
    if len(places) <= KEPT_OF_A_FEATURE:
        return places
    return places[np.linspace(0, len(places) - 1, KEPT_OF_A_FEATURE).round().astype(int)]


def _flip(case: _Case, row: np.ndarray, cost: float) -> Flip:
    score = case.model.score(row[None])
    changed = [at for at in range(len(row)) if row[at] != case.row[at] and not np.isnan(row[at])]
    features = case.policy.features
    return Flip(
        changes=tuple(
            Change(features[at].name, _said(case, at, case.row), _said(case, at, row))
            for at in changed
        ),
        cost=cost,
        score=float(score[0]),
        action=str(actions_of(case.policy, row[None], score)[0]),
        row=tuple(row.tolist()),
    )


def _said(case: _Case, feature: int, row: np.ndarray) -> float | str:
    levels, value = case.policy.features[feature].levels, float(row[feature])
    if not levels:
        return value
    return "" if math.isnan(value) else levels[int(value)]
