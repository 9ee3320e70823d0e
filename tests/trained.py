"""Small models of every family, trained in milliseconds on random rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
import pytest
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

from observability.models.artifact import model_of
from observability.models.model import Model

FAMILIES = ("lightgbm", "xgboost", "gradient boosting", "random forest")
FEATURES = 5


@dataclass(frozen=True)
class Trained:
    """A model as the product reads it, what shap takes for it, and the rows it was trained on."""

    model: Model
    original: Any
    rows: np.ndarray


def trained(
    family: str, seed: int, *, depth: int = 4, classes: int = 2, holes: bool = False, trees: int = 6
) -> Trained:
    """Train on 300 rows of float32 values, of 5 features; `classes` of 1 is regression."""
    chance = np.random.default_rng(seed)
    rows = chance.normal(size=(300, FEATURES)).astype(np.float32).astype(np.float64)
    rows[:, 4] = np.round(rows[:, 4])
    score = rows[:, 0] + rows[:, 1] * rows[:, 2] + 0.5 * rows[:, 4] ** 2
    labels = score if classes == 1 else np.searchsorted(np.quantile(score, CUTS[classes]), score)
    if holes:
        rows[chance.random(rows.shape) < 0.1] = np.nan
    made = TRAIN[family](rows, labels, classes, depth, trees, seed)
    return Trained(model_of(made[0], family), made[1], rows)


def at_thresholds(model: Model, count: int, *, holes: bool = False) -> np.ndarray:
    """Rows whose every value is one of the thresholds at which the model splits."""
    chance = np.random.default_rng(count)
    assert model.trees is not None
    rows = np.zeros((count, len(model.feature_names)))
    for number, feature in enumerate(model.trees.owner):
        held = model.trees.threshold[model.trees.column == number]
        rows[:, feature] = chance.choice(held, count) if len(held) else 0.0
    if holes:
        rows[chance.random(rows.shape) < 0.2] = np.nan
    return rows


CUTS = {2: [0.5], 3: [0.3, 0.7]}


def _lightgbm(rows, labels, classes, depth, trees, seed):
    objective = {1: "regression", 2: "binary"}.get(classes, "multiclass")
    parameters = {
        "objective": objective, "max_depth": depth, "num_leaves": min(2**depth, 64), "seed": seed,
        "min_data_in_leaf": 3, "num_threads": 1, "verbosity": -1,
        **({"num_class": classes} if classes > 2 else {}),
    }  # fmt: skip
    data = lightgbm.Dataset(rows, labels, params={"verbosity": -1})
    booster = lightgbm.train(parameters, data, trees)
    return booster.model_to_string().encode(), booster


def _xgboost(rows, labels, classes, depth, trees, seed):
    xgboost = pytest.importorskip("xgboost")
    objective = {1: "reg:squarederror", 2: "binary:logistic"}.get(classes, "multi:softprob")
    parameters = {
        "objective": objective, "max_depth": depth, "seed": seed, "nthread": 1,
        **({"num_class": classes} if classes > 2 else {}),
    }  # fmt: skip
    booster = xgboost.train(parameters, xgboost.DMatrix(rows, labels), trees)
    return bytes(booster.save_raw("ubj" if seed % 2 else "json")), booster


def _gradient_boosting(rows, labels, classes, depth, trees, seed):
    kind = GradientBoostingRegressor if classes == 1 else GradientBoostingClassifier
    return onnx_of(kind(n_estimators=trees, max_depth=depth, random_state=seed), rows, labels)


def _random_forest(rows, labels, classes, depth, trees, seed):
    kind = RandomForestRegressor if classes == 1 else RandomForestClassifier
    return onnx_of(kind(n_estimators=trees, max_depth=depth, random_state=seed), rows, labels)


def onnx_of(estimator, rows, labels):
    """A scikit-learn estimator, trained: the bytes of its ONNX and itself."""
    skl2onnx = pytest.importorskip("skl2onnx")
    estimator.fit(rows, labels)
    return skl2onnx.to_onnx(estimator, rows[:1].astype(np.float32)).SerializeToString(), estimator


TRAIN = {
    "lightgbm": _lightgbm,
    "xgboost": _xgboost,
    "gradient boosting": _gradient_boosting,
    "random forest": _random_forest,
}
