"""Shapley values of decisions: why a model's margins are what they are, against a background.

Owns the choice of engine: what is known of a model's inside decides, and is named with the values.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from observability.explain.enumeration import MOST_PLAYERS, enumerated_values
from observability.explain.permutations import SEED, rounds_for, sampled_values
from observability.explain.players import Players, each_feature
from observability.models.model import Linear, Model
from observability.models.trees import Column, Tree, Trees, ensemble

TABLES = "interventional tree shap, pattern tables"
PAIRS = "interventional tree shap, row by background row"
LINEAR = "closed form of a linear model"
ENUMERATION = "all coalitions"
PERMUTATIONS = "antithetic permutations:"

KEPT_EXPLAINERS = 8
MOST_PLAYERS_BY_ROW = 6
ROWS_AT_ONCE = 64

Values = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, slots=True)
class ShapleyValues:
    """Shapley values in the unit of the model's link; with K outputs, each array has a last axis K.

    `phi` `(n_rows, n_features)`, or by player; `base` is the mean margin of the background, `output`
    `(n_rows,)` the margin as the artifact gives it. `residual` is |base + sum(phi) - output|.
    `standard_error` is shaped like phi, 0 where `algorithm` is exact.
    """

    algorithm: str
    phi: np.ndarray
    base: np.ndarray
    output: np.ndarray
    residual: np.ndarray
    standard_error: np.ndarray


@dataclass(frozen=True, slots=True)
class Explainer:
    """A model ready to explain: `values` gives phi `(n_rows, n_players, n_outputs)` and its errors."""

    model: Model
    algorithm: str
    base: np.ndarray
    values: Values

    def attribute(self, rows: np.ndarray) -> ShapleyValues:
        """The values of float64 rows `(n_rows, n_features)`."""
        phi, error = self.values(np.asarray(rows, dtype=np.float64))
        output = self.model.margin(rows)
        found = self.base + phi.sum(axis=1)
        residual = np.abs(found - output.reshape(found.shape))
        if self.model.output_count > 1:
            return ShapleyValues(self.algorithm, phi, self.base, output, residual, error)
        base, residual = self.base[0], residual[:, 0]
        return ShapleyValues(self.algorithm, phi[..., 0], base, output, residual, error[..., 0])


def attribute(
    model: Model, rows: np.ndarray, background: np.ndarray, players: Players | None = None
) -> ShapleyValues:
    """Attribute the margins of rows to their features, against background rows `(n, n_features)`.

    With `players`, to groups of features instead, each feature in one. Raises ModelError where a tree
    is too deep, WrongUse where players leave a feature out.
    """
    return explainer(model, background, players).attribute(rows)


def explainer(model: Model, background: np.ndarray, players: Players | None = None) -> Explainer:
    """What explains a model against a background, kept for the next rows."""
    content = np.ascontiguousarray(background, dtype=np.float64)
    digest = hashlib.sha256(content.tobytes()).hexdigest()
    groups = None if players is None else tuple(map(tuple, players))
    return _kept(_Asked(model.digest, digest, groups, model, content))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What tells explainers apart, and what they are made of."""

    model_digest: str
    background_digest: str
    players: tuple[tuple[int, ...], ...] | None
    model: Model = field(compare=False)
    background: np.ndarray = field(compare=False)


@functools.lru_cache(maxsize=KEPT_EXPLAINERS)
def _kept(asked: _Asked) -> Explainer:
    model, background = asked.model, asked.background
    if asked.players is None and model.trees is not None:
        return _of_trees(model, model.trees, background)
    if asked.players is None and model.linear is not None:
        return _of_weights(model, model.linear, background)
    return _of_a_black_box(model, background, asked.players or each_feature(background.shape[1]))


def _of_trees(model: Model, trees: Trees, background: np.ndarray) -> Explainer:
    from observability.explain.pattern_tables import pattern_tables, tabled_values
    from observability.explain.tree_pairs import paired_values

    prepared = model.prepare(background)
    base = trees.margin(prepared).mean(axis=0)
    tables = pattern_tables(trees, prepared)

    def values(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        read = model.prepare(rows)
        if tables is None:
            return _exact(paired_values(trees, prepared, read).transpose(2, 1, 0))
        return _exact(tabled_values(trees, tables, read).transpose(2, 1, 0))

    return Explainer(model, PAIRS if tables is None else TABLES, base, values)


def _of_weights(model: Model, linear: Linear, background: np.ndarray) -> Explainer:
    centre = model.prepare(background).mean(axis=0)

    def values(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _exact((model.prepare(rows) - centre)[:, :, None] * linear.weights)

    return Explainer(model, LINEAR, linear.margin(centre[None])[0], values)


def _of_a_black_box(model: Model, background: np.ndarray, players: Players) -> Explainer:
    base = model.margin(background).reshape(len(background), -1).mean(axis=0)
    if len(players) <= (MOST_PLAYERS_BY_ROW if model.by_row else MOST_PLAYERS):

        def enumerated(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return _exact(enumerated_values(model, background, players, rows))

        return Explainer(model, ENUMERATION, base, enumerated)

    rounds = rounds_for(len(background))

    def sampled(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        starts = range(0, len(rows), ROWS_AT_ONCE)
        parts = [
            sampled_values(model, background, players, rows[at : at + ROWS_AT_ONCE], rounds)
            for at in starts
        ]
        phi, error = zip(*parts, strict=True)
        return np.concatenate(phi), np.concatenate(error)

    pairs = f"{PERMUTATIONS} {rounds * len(background)} pairs with seed {SEED}"
    return Explainer(model, pairs, base, sampled)


def _exact(phi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return phi, np.zeros_like(phi)


def warm() -> None:
    """Import and compile what the first explanation needs: a server does so before its first page."""
    import lightgbm  # noqa: F401
    import onnxruntime  # noqa: F401

    from observability.explain.pattern_tables import pattern_tables, tabled_values
    from observability.explain.tree_pairs import paired_values

    split = np.array([0, -1, -1])
    stump = Tree(split, split, split, np.array([1, 0, 0]), np.array([2, 0, 0]), split)
    trees = ensemble([Column(0)], [stump], [0.0])
    row = np.zeros((1, 1))
    tables = pattern_tables(trees, row)
    if tables is not None:
        tabled_values(trees, tables, row)
    paired_values(trees, row, row)
    trees.margin_float32(row)
    trees.margin(row)
