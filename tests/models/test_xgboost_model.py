"""XGBoost models, read without XGBoost, against XGBoost itself."""

from __future__ import annotations

import json

import numpy as np
import pytest

from observability.models import ubjson
from observability.models.artifact import model_of
from observability.models.link import score_of
from observability.models.model import Model
from tests.trained import at_thresholds
from traces.errors import ModelError

xgboost = pytest.importorskip("xgboost")

ROWS = np.random.default_rng(3).normal(size=(400, 4)).astype(np.float32).astype(np.float64)
ROWS[np.random.default_rng(4).random(ROWS.shape) < 0.1] = np.nan
SCORE = np.nan_to_num(ROWS[:, 0]) + np.nan_to_num(ROWS[:, 1] * ROWS[:, 2])
LABELS = {
    "binary:logistic": SCORE > 0,
    "reg:squarederror": 100 * SCORE + 1000,
    "reg:quantileerror": SCORE,
    "multi:softprob": np.digitize(SCORE, [-0.5, 0.5]),
}


def booster(objective: str = "binary:logistic", rounds: int = 20, **parameters):
    chosen = {"objective": objective, "nthread": 1, "seed": 3, **parameters}
    if objective.startswith("multi"):
        chosen["num_class"] = 3
    return xgboost.train(chosen, xgboost.DMatrix(ROWS, LABELS[objective]), rounds)


def read(trained, form: str = "json") -> Model:
    return model_of(bytes(trained.save_raw(form)), "model")


@pytest.mark.parametrize("form", ["json", "ubj"])
@pytest.mark.parametrize(
    ("objective", "parameters"),
    [
        ("binary:logistic", {}),
        ("binary:logistic", {"base_score": 0.1}),
        ("binary:logistic", {"booster": "dart", "rate_drop": 0.5}),
        ("binary:logistic", {"num_parallel_tree": 3, "subsample": 0.5}),
        ("binary:logistic", {"grow_policy": "lossguide", "tree_method": "hist", "max_leaves": 9}),
        ("reg:squarederror", {}),
        ("reg:quantileerror", {"quantile_alpha": 0.9}),
        ("multi:softprob", {}),
    ],
)
def test_scores_are_those_of_xgboost_at_thresholds_and_missing_values_too(
    form: str, objective: str, parameters: dict
) -> None:
    trained = booster(objective, **parameters)
    model = read(trained, form)
    rows = np.concatenate([ROWS, at_thresholds(model, 300, holes=True)])
    expected = trained.predict(xgboost.DMatrix(rows))
    np.testing.assert_allclose(model.score(rows), expected, rtol=3e-7, atol=3e-7)
    margin = trained.predict(xgboost.DMatrix(rows), output_margin=True)
    np.testing.assert_allclose(model.margin(rows), margin, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        score_of(model.margin(rows), model.link), expected, rtol=1e-5, atol=1e-6
    )


def test_a_sum_is_that_of_xgboost_to_the_bit() -> None:
    trained = booster("reg:squarederror", rounds=100)
    expected = trained.predict(xgboost.DMatrix(ROWS))
    assert read(trained).score(ROWS).tolist() == expected.tolist()


def test_both_forms_hold_the_same_trees() -> None:
    trained = booster()
    one, other = read(trained, "json").trees, read(trained, "ubj").trees
    for name in ("column", "threshold", "nan_left", "left", "right", "value", "root", "base"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("one_hot", [1, 100])
def test_categories_are_read_as_xgboost_does(one_hot: int) -> None:
    rows = np.column_stack([ROWS[:, 0], np.arange(400) % 12]).astype(np.float64)
    labels = (rows[:, 1] % 5 == 1) ^ (np.nan_to_num(rows[:, 0]) > 1)
    kinds = {"feature_types": ["float", "c"], "feature_names": ["level", "mode"]}
    chosen = {"objective": "binary:logistic", "max_cat_to_onehot": one_hot, "nthread": 1}
    data = xgboost.DMatrix(rows, labels, enable_categorical=True, **kinds)
    trained = xgboost.train(chosen, data, 8)
    model = read(trained)
    assert model.feature_names == ("level", "mode")
    assert "category" in {column.kind for column in model.trees.columns}
    rows[:3, 1] = [np.nan, 11.0, 0.0]
    expected = trained.predict(xgboost.DMatrix(rows, enable_categorical=True, **kinds))
    np.testing.assert_allclose(model.score(rows), expected, atol=3e-7)


def test_another_objective_is_refused_in_one_line() -> None:
    trained = xgboost.train({"objective": "rank:pairwise"}, xgboost.DMatrix(ROWS, SCORE > 0), 2)
    with pytest.raises(ModelError, match="with objective rank:pairwise; expected one of binary"):
        read(trained)


def test_every_byte_changed_gives_a_model_or_a_refusal_never_an_abort() -> None:
    for form in ("json", "ubj"):
        content = bytes(booster(rounds=1, max_depth=2).save_raw(form))
        for at in range(0, len(content), 7):
            for byte in (b"9", b"[", b"\xff"):
                try:
                    changed = content[:at] + byte + content[at + 1 :]
                    model_of(changed, "a changed model").score(np.zeros((1, 4)))
                except ModelError as error:
                    assert "\n" not in str(error)


def test_a_tree_whose_nodes_go_round_is_refused() -> None:
    held = json.loads(bytes(booster(rounds=1, max_depth=2).save_raw("json")))
    tree = held["learner"]["gradient_booster"]["model"]["trees"][0]
    tree["left_children"][1] = 0
    with pytest.raises(ModelError, match="tree 0, whose nodes are no tree"):
        model_of(json.dumps(held).encode(), "round")


@pytest.mark.parametrize("content", [b"{", b"{i\x01a", b"{i\x01a[$d#i\x7f", b"{" + b"i\x01a{" * 99])
def test_universal_binary_json_that_is_cut_short_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut short|too deep"):
        ubjson.parse(content)
