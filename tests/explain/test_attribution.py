"""The laws of Shapley values, and agreement with shap and with all coalitions counted out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import shap
from hypothesis import given, settings
from hypothesis import strategies as st
from shap.utils._exceptions import ExplainerError

from observability.explain import pattern_tables, subtrees
from observability.explain.attribution import PAIRS, TABLES, attribute, explainer
from observability.explain.enumeration import enumerated_values
from observability.explain.players import each_feature
from observability.explain.tree_pairs import paired_values
from observability.models.artifact import digest_of, model_of
from observability.models.model import Model
from observability.models.trees import Column, Tree, ensemble
from tests.trained import FAMILIES, FEATURES, at_thresholds, trained
from traces.errors import ModelError

seeds = st.integers(0, 10_000)
families = st.sampled_from(FAMILIES)
depths = st.integers(1, 10)
few = settings(max_examples=25)


def forest(trees: list[Tree], columns: int, base: float = 0.0) -> Model:
    """A regression by these trees, one column for each feature."""
    held = ensemble([Column(number) for number in range(columns)], trees, [base])
    digest = digest_of(b"".join(np.ascontiguousarray(part).tobytes() for part in (
        held.column, held.threshold, held.value, held.left, held.right, held.nan_left, held.base
    )))  # fmt: skip

    def margin(rows: np.ndarray) -> np.ndarray:
        return held.margin(rows)[:, 0]

    names = tuple(f"Column_{number}" for number in range(columns))
    return Model(digest, "forest", "identity", names, margin, margin, trees=held)


def random_tree(chance: np.random.Generator, features: list[int], depth: int) -> Tree:
    """A full tree of random splits over the features; thresholds are whole numbers."""
    splits = 2**depth - 1
    nodes = 2 * splits + 1
    column = np.full(nodes, -1)
    column[:splits] = chance.choice(features, splits)
    child = np.where(column >= 0, 2 * np.arange(nodes) + 1, 0)
    return Tree(
        column=column,
        threshold=chance.integers(-2, 3, nodes).astype(np.float64),
        nan_left=chance.random(nodes) < 0.5,
        left=child,
        right=np.where(column >= 0, child + 1, 0),
        value=np.where(column >= 0, 0.0, chance.normal(size=nodes)),
    )


def whole_rows(chance: np.random.Generator, count: int, features: int) -> np.ndarray:
    """Rows that lie on thresholds, beside them, or are missing."""
    rows = chance.integers(-3, 4, (count, features)).astype(np.float64)
    rows[chance.random(rows.shape) < 0.1] = np.nan
    return rows


@few
@given(families, seeds, depths, st.sampled_from([1, 2, 3]), st.booleans())
def test_the_parts_sum_to_the_margin_whatever_the_trees(family, seed, depth, classes, holes):
    holes = holes and family in ("lightgbm", "xgboost")
    given_ = trained(family, seed, depth=depth, classes=classes, holes=holes)
    rows = np.concatenate([given_.rows[:20], at_thresholds(given_.model, 20, holes=True)])
    found = attribute(given_.model, rows, given_.rows[:100])
    assert found.algorithm == TABLES
    assert found.phi.shape == (40, FEATURES) if classes < 3 else (40, FEATURES, 3)
    assert found.residual.max() <= 1e-9
    base = given_.model.margin(given_.rows[:100]).mean(axis=0)
    np.testing.assert_allclose(found.base, base, atol=1e-9)
    assert not found.standard_error.any()


@few
@given(families, seeds, depths, st.sampled_from([1, 2, 3]), st.booleans())
def test_they_are_what_counting_all_coalitions_gives(family, seed, depth, classes, holes):
    holes = holes and family in ("lightgbm", "xgboost")
    given_ = trained(family, seed, depth=depth, classes=classes, holes=holes)
    rows = np.concatenate([given_.rows[:2], at_thresholds(given_.model, 3, holes=True)])
    against = np.concatenate([given_.rows[:20], at_thresholds(given_.model, 20, holes=True)])
    found = attribute(given_.model, rows, against).phi
    counted = enumerated_values(given_.model, against, each_feature(FEATURES), rows)
    np.testing.assert_allclose(found, counted.reshape(found.shape), atol=1e-9)


@few
@given(families, seeds, depths, st.sampled_from([1, 2]))
def test_they_are_what_shap_gives(family, seed, depth, classes):
    given_ = trained(family, seed, depth=depth, classes=classes)
    background, rows = given_.rows[:100], given_.rows[100:110]
    masker = shap.maskers.Independent(background, max_samples=len(background))
    oracle = shap.TreeExplainer(given_.original, masker, feature_perturbation="interventional")
    expected = np.asarray(oracle.shap_values(rows, check_additivity=False))
    if expected.ndim == 3:  # of a forest's two classes, ours is the second
        expected = expected[..., 1]
    np.testing.assert_allclose(attribute(given_.model, rows, background).phi, expected, atol=1e-6)


def test_several_classes_are_what_shap_gives():
    for family in FAMILIES:
        if family == "gradient boosting":  # of which shap explains two classes only
            continue
        given_ = trained(family, 3, classes=3)
        background, rows = given_.rows[:100], given_.rows[100:110]
        masker = shap.maskers.Independent(background, max_samples=len(background))
        oracle = shap.TreeExplainer(given_.original, masker, feature_perturbation="interventional")
        expected = np.asarray(oracle.shap_values(rows, check_additivity=False))
        found = attribute(given_.model, rows, background).phi
        if family == "lightgbm":  # of whose classes shap gives the sums only
            found = found.sum(axis=2)
        np.testing.assert_allclose(found, expected, atol=1e-6)


@given(seeds, st.integers(1, 6))
def test_the_two_tree_engines_agree(seed, depth):
    chance = np.random.default_rng(seed)
    trees = [random_tree(chance, list(range(8)), depth) for _ in range(3)]
    model = forest(trees, 8)
    rows, background = whole_rows(chance, 10, 8), whole_rows(chance, 30, 8)
    found = attribute(model, rows, background)
    assert found.algorithm == TABLES
    np.testing.assert_allclose(
        paired_values(model.trees, background, rows)[0].T, found.phi, atol=1e-12
    )


@given(seeds)
def test_features_that_the_model_treats_alike_get_alike(seed):
    chance = np.random.default_rng(seed)
    tree = random_tree(chance, [0, 1, 2], 4)
    mirrored = np.where(tree.column == 0, 1, np.where(tree.column == 1, 0, tree.column))
    other = Tree(mirrored, tree.threshold, tree.nan_left, tree.left, tree.right, tree.value)
    rows, background = whole_rows(chance, 10, 3), whole_rows(chance, 20, 3)
    rows[:, 1], background[:, 1] = rows[:, 0], background[:, 0]
    phi = attribute(forest([tree, other], 3), rows, background).phi
    np.testing.assert_allclose(phi[:, 0], phi[:, 1], atol=1e-12)


@given(seeds)
def test_a_feature_that_the_model_does_not_ask_gets_nothing(seed):
    chance = np.random.default_rng(seed)
    model = forest([random_tree(chance, [0, 2], 3) for _ in range(4)], 4)
    phi = attribute(model, whole_rows(chance, 10, 4), whole_rows(chance, 20, 4)).phi
    assert not phi[:, [1, 3]].any()


@given(seeds)
def test_the_values_of_two_models_together_are_the_sums_of_theirs(seed):
    chance = np.random.default_rng(seed)
    one, two = ([random_tree(chance, [0, 1, 2, 3], 4) for _ in range(3)] for _ in range(2))
    rows, background = whole_rows(chance, 10, 4), whole_rows(chance, 20, 4)
    apart = [attribute(forest(trees, 4, 0.5), rows, background) for trees in (one, two)]
    both = attribute(forest([*one, *two], 4, 1.0), rows, background)
    np.testing.assert_allclose(both.phi, apart[0].phi + apart[1].phi, atol=1e-12)
    np.testing.assert_allclose(both.base, apart[0].base + apart[1].base, atol=1e-12)


@given(seeds)
def test_a_row_equal_to_the_whole_background_owes_nothing_to_anything(seed):
    chance = np.random.default_rng(seed)
    model = forest([random_tree(chance, [0, 1, 2], 4) for _ in range(3)], 3)
    row = whole_rows(chance, 1, 3)
    assert not attribute(model, row, np.repeat(row, 5, axis=0)).phi.any()


def test_the_order_of_the_background_does_not_matter():
    given_ = trained("lightgbm", 1)
    one, other = given_.rows[:100], given_.rows[:100][::-1]
    found = [attribute(given_.model, given_.rows[100:120], held).phi for held in (one, other)]
    np.testing.assert_allclose(*found, atol=1e-12)


def long_path(features: int) -> Tree:
    """A tree that asks one feature after the other, each once."""
    leaf_after = np.arange(features) + features
    nodes = 2 * features + 1
    chance = np.random.default_rng(0)
    at_leaves = np.zeros(features + 1)
    return Tree(
        column=np.concatenate([np.arange(features), at_leaves - 1]).astype(int),
        threshold=np.zeros(nodes),
        nan_left=np.zeros(nodes, bool),
        left=np.concatenate([leaf_after, at_leaves]).astype(int),
        right=np.concatenate([np.arange(1, features), [nodes - 1], at_leaves]).astype(int),
        value=np.concatenate([np.zeros(features), chance.normal(size=features + 1)]),
    )


@pytest.mark.parametrize(("features", "algorithm"), [(12, TABLES), (13, PAIRS), (40, PAIRS)])
def test_paths_of_more_than_twelve_features_take_no_tables_and_are_as_exact(features, algorithm):
    model = forest([long_path(features)], features)
    chance = np.random.default_rng(1)
    rows, background = chance.normal(size=(2, 4, features))
    found = attribute(model, rows + 1.0, background + 0.5)
    assert found.algorithm == algorithm
    assert found.residual.max() <= 1e-12
    oracle = paired_values(model.trees, background + 0.5, rows + 1.0)[0].T
    np.testing.assert_allclose(found.phi, oracle, atol=1e-12)


def test_tables_beyond_their_bytes_are_not_made(monkeypatch):
    given_ = trained("lightgbm", 2)
    monkeypatch.setattr(pattern_tables, "MOST_BYTES", 1000)
    found = attribute(given_.model, given_.rows[:5], given_.rows[:51])
    assert found.algorithm == PAIRS
    assert found.residual.max() <= 1e-9


@pytest.mark.parametrize("splits", [0, 1, 7])
def test_how_subtrees_are_merged_does_not_matter(monkeypatch, splits):
    given_ = trained("lightgbm", 4, depth=6)
    expected = attribute(given_.model, given_.rows[:9], given_.rows[:52]).phi
    monkeypatch.setattr(subtrees, "MERGED_SPLITS", splits)
    tables = pattern_tables.pattern_tables(given_.model.trees, given_.rows[:52])
    found = pattern_tables.tabled_values(given_.model.trees, tables, given_.rows[:9])
    np.testing.assert_allclose(found[0].T, expected, atol=1e-12)


def test_a_tree_that_is_too_deep_to_walk_is_refused_in_one_line():
    model = forest([long_path(300)], 300)
    with pytest.raises(ModelError, match="found a tree of more than 200 levels"):
        attribute(model, np.zeros((1, 300)), np.zeros((2, 300)))


def test_blocks_of_rows_do_not_show():
    given_ = trained("xgboost", 5)
    rows = np.tile(given_.rows, (8, 1))[:2100]
    together = attribute(given_.model, rows, given_.rows[:60]).phi
    apart = attribute(given_.model, rows[1020:1030], given_.rows[:60]).phi
    np.testing.assert_array_equal(together[1020:1030], apart)


def test_an_explainer_is_made_once_for_a_model_and_a_background():
    given_, other = trained("lightgbm", 6), trained("lightgbm", 7)
    background = given_.rows[:50]
    assert explainer(given_.model, background) is explainer(given_.model, background.copy())
    assert explainer(given_.model, background) is not explainer(given_.model, background[:49])
    assert explainer(given_.model, background) is not explainer(other.model, background)


def test_what_was_compiled_before_gives_the_same_when_it_is_loaded(tmp_path):
    """numba loads a function that calls itself broken, and crashes."""
    asked = (
        "import sys, numpy as np; from pathlib import Path;"
        "from observability.models.lightgbm_text import parse;"
        "from observability.explain.tree_pairs import paired_values;"
        "trees = parse(Path(sys.argv[1]).read_bytes(), 'tiny').trees;"
        "print(paired_values(trees, np.eye(2), np.array([[0.0, 0.0], [1.0, 1.0]])).tolist())"
    )
    tiny = Path(__file__).parents[1] / "models" / "tiny.txt"
    said = [
        subprocess.run(
            [sys.executable, "-c", asked, str(tiny)],
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
            capture_output=True, text=True, check=True,
        ).stdout
        for _ in range(2)
    ]  # fmt: skip
    assert said[0]
    assert said[0] == said[1]


def test_a_missing_value_that_shap_misreads_is_attributed_exactly():
    given_ = trained("lightgbm", 8)
    row = given_.rows[:1].copy()
    row[0, 0] = np.nan
    masker = shap.maskers.Independent(given_.rows[:100], max_samples=100)
    naive = shap.TreeExplainer(given_.original, masker, feature_perturbation="interventional")
    parts = naive.shap_values(row, check_additivity=False).sum() + naive.expected_value
    assert abs(parts - given_.model.margin(row)[0]) > 0.01
    assert attribute(given_.model, row, given_.rows[:100]).residual.max() <= 1e-9


def test_a_background_for_an_xgboost_model_is_right_from_the_first_call():
    """shap's expected value of an XGBoost model is wrong until its values were asked once."""
    given_ = trained("xgboost", 9)
    found = attribute(given_.model, given_.rows[:1], given_.rows[:100])
    np.testing.assert_allclose(found.base, given_.model.margin(given_.rows[:100]).mean(), atol=1e-9)


def test_a_categorical_model_is_attributed_against_the_background_which_shap_gets_wrong(
    train_levels,
):
    booster, rows = train_levels
    model = model_of(booster.model_to_string().encode(), "levels")
    masker = shap.maskers.Independent(rows[:100], max_samples=100)
    with pytest.raises(ExplainerError, match="Additivity check failed"):
        shap.TreeExplainer(booster, masker, feature_perturbation="interventional").shap_values(rows)
    found = attribute(model, rows[:5], rows[:100])
    assert found.algorithm == TABLES
    counted = enumerated_values(model, rows[:100], each_feature(rows.shape[1]), rows[:5])
    np.testing.assert_allclose(found.phi, counted[..., 0], atol=1e-9)


@pytest.fixture
def train_levels():
    import lightgbm

    chance = np.random.default_rng(3)
    rows = chance.normal(size=(400, 4))
    rows[:, 3] = chance.integers(0, 40, 400)
    labels = np.isin(rows[:, 3] % 7, [1, 4]) ^ (rows[:, 0] > 0)
    data = lightgbm.Dataset(
        rows, labels.astype(float), categorical_feature=[3], params={"verbosity": -1}
    )
    chosen = {
        "objective": "binary", "min_data_per_group": 5, "cat_smooth": 1, "cat_l2": 1,
        "verbosity": -1, "num_threads": 1,
    }  # fmt: skip
    booster = lightgbm.train(chosen, data, 8)
    rows[:4, 3] = [np.nan, -1.0, 77.0, 2.5]
    return booster, rows
