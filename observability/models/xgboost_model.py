"""An XGBoost model, read from JSON or UBJ without XGBoost: as trees that are scored as XGBoost does.

Owns the format. XGBoost reads inputs as float32, goes left where one is below the threshold, and sums
leaves in float32.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from observability.models import ubjson
from observability.models.link import Link
from observability.models.trees import Column, Tree, Trees, below, ensemble
from traces.errors import ModelError

_LINKS: dict[str, Link] = {
    "binary:logistic": "logit",
    "binary:logitraw": "identity",
    "reg:logistic": "logit",
    "reg:squarederror": "identity",
    "reg:absoluteerror": "identity",
    "reg:pseudohubererror": "identity",
    "reg:quantileerror": "identity",
    "multi:softprob": "softmax",
    "multi:softmax": "softmax",
}
_SAVE = "save it with Booster.save_model('model.json') or 'model.ubj'"
_CATEGORICAL = 1


def is_xgboost(content: bytes) -> bool:
    """Whether the bytes begin as JSON or UBJ with an object does."""
    return content[:1] == b"{"


def xgboost_trees(content: bytes, where: str) -> tuple[tuple[str, ...], Link, Trees]:
    """Feature names, link and trees; raises ModelError where it is no supported XGBoost model."""
    text = content[1:].lstrip()[:1] == b'"'
    try:
        held = json.loads(content) if text else ubjson.parse(content)
    except (ValueError, RecursionError) as error:
        said = str(error).splitlines()[0][:100]
        raise _malformed(where, f"no whole JSON or UBJ ({said})") from error
    try:
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            return _read(held["learner"], where)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise _malformed(where, " ".join(f"{type(error).__name__} {error}".split())) from error


def _read(learner: Mapping[str, Any], where: str) -> tuple[tuple[str, ...], Link, Trees]:
    objective, parameters = learner["objective"]["name"], learner["learner_model_param"]
    if objective not in _LINKS:
        raise ModelError(f"{where} with objective {objective}", "one of " + ", ".join(_LINKS))
    count = int(parameters["num_feature"])
    names = tuple(learner.get("feature_names") or (f"Column_{n}" for n in range(count)))
    if len(names) != count:
        raise _malformed(where, f"{len(names)} names of {count} features")
    outputs = max(1, int(parameters["num_class"]), int(parameters.get("num_target", 1)))
    if outputs > 1 and _LINKS[objective] != "softmax":
        raise ModelError(f"{where} with {outputs} targets", "one target or several classes")
    held, weights = _boosted(learner["gradient_booster"], where)
    columns: dict[Column, int] = {}
    groups = np.asarray(held["tree_info"]).tolist()
    trees = [
        _tree(tree, columns, group, weight, count)
        for tree, group, weight in zip(held["trees"], groups, weights, strict=True)
    ]
    if not trees or not set(groups) <= set(range(outputs)):
        raise _malformed(where, f"{len(trees)} trees for outputs {sorted(set(groups))}")
    base = _base(str(parameters["base_score"]), _LINKS[objective], outputs)
    return names, _LINKS[objective], ensemble(tuple(columns), trees, base)


def _boosted(booster: Mapping[str, Any], where: str) -> tuple[Mapping[str, Any], list[float]]:
    """The trees of a booster and the weight of each."""
    if booster["name"] == "dart":
        held = booster["gbtree"]["model"]
        return held, [float(weight) for weight in booster["weight_drop"]]
    if booster["name"] != "gbtree":
        raise ModelError(f"{where} with booster {booster['name']}", "gbtree or dart", _SAVE)
    held = booster["model"]
    return held, [1.0] * len(held["trees"])


def _tree(
    tree: Mapping[str, Any], columns: dict[Column, int], output: int, weight: float, count: int
) -> Tree:
    left, right = _whole(tree["left_children"]), _whole(tree["right_children"])
    features = _whole(tree["split_indices"])
    conditions = np.asarray(tree["split_conditions"], dtype=np.float32)
    default_left = np.asarray(tree["default_left"], dtype=np.bool_)
    splits = left >= 0
    if splits.any() and not 0 <= features[splits].min() <= features[splits].max() < count:
        raise ValueError("a split over a feature that does not exist")
    sets = _categories(tree)
    column = np.full(len(left), -1)
    for node in np.flatnonzero(splits).tolist():
        kind = "category" if node in sets else "float32"
        wanted = Column(int(features[node]), kind, sets.get(node, frozenset()))
        column[node] = columns.setdefault(wanted, len(columns))
    categorical = np.isin(np.arange(len(left)), list(sets))
    # A category of the set goes right in XGBoost, and left in the array form.
    return Tree(
        column=column,
        threshold=np.where(categorical, 0.5, below(conditions)),
        nan_left=default_left ^ categorical,
        left=np.where(categorical, right, left),
        right=np.where(categorical, left, right),
        value=np.where(splits, 0.0, (conditions * np.float32(weight)).astype(np.float64)),
        output=output,
    )


def _categories(tree: Mapping[str, Any]) -> dict[int, frozenset[int]]:
    """The category set of each categorical split."""
    held = _whole(tree.get("categories", []))
    starts, sizes = (
        _whole(tree.get("categories_segments", [])),
        _whole(tree.get("categories_sizes", [])),
    )
    nodes = _whole(tree.get("categories_nodes", []))
    return {
        int(node): frozenset(held[start : start + size].tolist())
        for node, start, size in zip(nodes, starts, sizes, strict=True)
    }


def _base(text: str, link: Link, outputs: int) -> list[float]:
    """The margin to which the leaves are added: base_score is stated as a score, one for all or each."""
    scores = [float(np.float32(part)) for part in text.strip("[]").split(",")]
    if link == "logit":
        scores = [float(np.float32(-np.log(1.0 / score - 1.0))) for score in scores]
    return scores * outputs if len(scores) == 1 else scores


def _whole(values: Any) -> np.ndarray:
    return np.asarray(values, dtype=np.int64)


def _malformed(where: str, what: str) -> ModelError:
    return ModelError(f"{where}: {what}", "a whole XGBoost model", _SAVE)
