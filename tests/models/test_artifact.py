from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from observability.models.artifact import digest_of, load_model, model_of
from observability.models.link import score_of
from traces.errors import ModelError

INVALID = Path(__file__).parents[1] / "invalid"
TINY = Path(__file__).parent / "tiny.txt"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("model_pickle.pkl", "a pickle"),
        ("model_pickle_ascii.pkl", "a pickle"),
        ("model_pickle.joblib.gz", "a gzip file"),
        ("model_pickle.joblib.bz2", "a bzip2 or xz file"),
        ("model_archive.zip", "a zip file"),
        ("model_xgboost.json", "KeyError 'learner_model_param'"),
        ("model_empty.txt", "an empty file"),
        ("model_prose.txt", "another format"),
        ("model_no_tree.txt", "no tree"),
        ("model_truncated.txt", "tree 1 not where the header says"),
        ("model_ranking.txt", "with objective lambdarank"),
        ("model_linear_tree.txt", "a linear tree"),
        ("model_poisson.txt", "with objective poisson"),
        ("model_custom_objective.txt", "with objective none"),
        ("model_children_in_a_ring.txt", "nodes that are no tree"),
        ("model_split_on_no_feature.txt", "a split over a feature that does not exist"),
        ("model_not_a_number.txt", "threshold that are not numbers"),
        ("model_leaf_missing.txt", "leaf_value that are not numbers"),
        ("model_unknown_field.txt", "an unknown field 'leaf_wEight'"),
        ("model_not_utf8.txt", "bytes that are not UTF-8"),
    ],
)
def test_a_file_that_is_no_model_is_refused_in_one_line(name: str, found: str) -> None:
    with pytest.raises(ModelError) as refused:
        load_model(INVALID / name)
    said = str(refused.value)
    assert found in said
    assert name in said
    assert "; expected " in said
    assert "\n" not in said


@pytest.mark.parametrize(
    "name", ["model_pickle.pkl", "model_pickle.joblib.gz", "model_archive.zip"]
)
def test_what_may_be_a_pickle_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(ModelError, match="loading a pickle runs code"):
        load_model(INVALID / name)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"found no file .*; expected a model file"):
        load_model(tmp_path / "none.txt")


def test_the_digest_is_that_of_the_files_bytes() -> None:
    content = TINY.read_bytes()
    assert (
        load_model(TINY).digest
        == "sha256:" + hashlib.sha256(content).hexdigest()
        == digest_of(content)
    )


def test_every_byte_changed_in_the_trees_gives_a_model_or_a_refusal_never_an_abort() -> None:
    content = TINY.read_bytes()
    outcomes = set()
    for at in range(0, len(content), 3):
        for byte in (b"9", b" ", b"\n"):
            try:
                model_of(content[:at] + byte + content[at + 1 :], "a changed model").score(
                    np.zeros((1, 2))
                )
                outcomes.add("scored")
            except ModelError:
                outcomes.add("refused")
    assert outcomes == {"scored", "refused"}


@pytest.mark.parametrize(
    ("parameters", "link"),
    [
        ({}, "logit"),
        ({"sigmoid": 2.5}, "logit"),
        ({"boosting": "dart"}, "logit"),
        ({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, "logit"),
        ({"objective": "cross_entropy"}, "logit"),
        ({"objective": "regression"}, "identity"),
        ({"objective": "quantile", "alpha": 0.9}, "identity"),
    ],
)
def test_the_score_is_the_margin_through_the_link(
    train, rows, labels, parameters: dict, link: str
) -> None:
    model = model_of(train(rows, labels, **parameters).model_to_string().encode(), "model")
    assert model.link == link
    margin = model.margin(rows)
    assert margin.shape == model.score(rows).shape == (len(rows),)
    expected = 1 / (1 + np.exp(-margin)) if link == "logit" else margin
    np.testing.assert_allclose(model.score(rows), expected, atol=1e-12)


def test_a_model_that_learnt_nothing_is_a_model(train, rows) -> None:
    model = model_of(train(rows, np.zeros(len(rows))).model_to_string().encode(), "constant")
    assert (model.score(rows[:3]) < 1e-6).all()


@pytest.mark.parametrize("parameters", [{}, {"zero_as_missing": True}, {"use_missing": False}])
@pytest.mark.parametrize("learnt_holes", [False, True])
def test_the_trees_read_missing_values_and_zeros_as_lightgbm_does(
    train, rows, labels, parameters: dict, learnt_holes: bool
) -> None:
    holes = rows.copy()
    holes[::4, 1] = np.nan
    holes[1::4, 0] = 0.0
    holes[2::4, 2] = 1e-36
    trained = train(holes if learnt_holes else rows, labels, **parameters)
    model = model_of(trained.model_to_string().encode(), "model")
    np.testing.assert_allclose(model.trees.margin(holes)[:, 0], model.margin(holes), atol=1e-12)


def test_the_trees_read_categories_as_lightgbm_does(train, rows, labels) -> None:
    coded = rows.copy()
    coded[:, 3] = np.arange(len(rows)) % 40
    of_level = np.isin(coded[:, 3] % 7, [1, 4]) ^ (labels > 0)
    booster = train(coded, of_level.astype(float), categorical=[3], min_data_per_group=5)
    model = model_of(booster.model_to_string().encode(), "model")
    assert "category" in {column.kind for column in model.trees.columns}
    coded[:6, 3] = [np.nan, -1.0, -0.5, 2.7, 39.9, 4000.0]
    np.testing.assert_allclose(model.trees.margin(coded)[:, 0], model.margin(coded), atol=1e-12)


@pytest.mark.parametrize("objective", ["multiclass", "multiclassova"])
def test_a_model_of_several_classes_has_a_margin_for_each(train, rows, objective: str) -> None:
    classes = np.digitize(rows[:, 0] + rows[:, 1], [-0.5, 0.5])
    booster = train(rows, classes, objective=objective, num_class=3)
    model = model_of(booster.model_to_string().encode(), "model")
    margin = model.margin(rows)
    assert margin.shape == (len(rows), model.output_count) == (len(rows), 3)
    np.testing.assert_allclose(model.trees.margin(rows), margin, atol=1e-12)
    np.testing.assert_allclose(score_of(margin, model.link), model.score(rows), atol=1e-12)
