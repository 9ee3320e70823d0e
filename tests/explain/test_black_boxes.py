"""Models of whose inside only the scores are known: coalitions, permutations, players, closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from observability.explain import attribution
from observability.explain.attribution import (
    ENUMERATION,
    LINEAR,
    PERMUTATIONS,
    attribute,
)
from observability.explain.enumeration import enumerated_values
from observability.explain.permutations import sampled_values
from observability.explain.players import each_feature
from observability.models.artifact import model_of
from observability.models.model import Model
from tests.trained import onnx_of
from traces.errors import WrongUse

ROWS = np.random.default_rng(5).normal(size=(400, 6)).astype(np.float32).astype(np.float64)
SCORE = ROWS[:, 0] - ROWS[:, 1] * ROWS[:, 2] + 0.3 * ROWS[:, 3]
LABELS = {1: SCORE, 2: (SCORE > 0).astype(int), 3: np.digitize(SCORE, [-0.5, 0.5])}


def perceptron(classes: int = 2) -> Model:
    chosen = {"hidden_layer_sizes": (8,), "max_iter": 30, "random_state": 0, "tol": 10.0}
    kind = MLPRegressor if classes == 1 else MLPClassifier
    return model_of(onnx_of(kind(**chosen), ROWS, LABELS[classes])[0], "perceptron")


def wide(features: int) -> Model:
    """Of many features: their sum, and the product of each two that follow each other."""

    def margin(rows: np.ndarray) -> np.ndarray:
        return rows.sum(axis=1) + (rows[:, 1:] * rows[:, :-1]).sum(axis=1)

    names = tuple(f"Column_{number}" for number in range(features))
    return Model(f"wide {features}", "formula", "identity", names, margin, margin)


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_few_players_are_counted_out_exactly(classes):
    found = attribute(perceptron(classes), ROWS[:5], ROWS[:50])
    assert found.algorithm == ENUMERATION
    assert found.phi.shape == ((5, 6) if classes < 3 else (5, 6, 3))
    assert found.residual.max() <= 1e-9
    assert not found.standard_error.any()


@pytest.mark.parametrize(
    ("estimator", "classes"),
    [
        (LinearRegression(), 1),
        (LogisticRegression(), 2),
        (LogisticRegression(), 3),
        (make_pipeline(StandardScaler(), LogisticRegression()), 2),
    ],
)
def test_a_linear_model_has_a_closed_form_that_all_coalitions_confirm(estimator, classes):
    content, fitted = onnx_of(estimator, ROWS * 3 + 1, LABELS[classes])
    model, rows = model_of(content, "linear"), ROWS[:5] * 3 + 1
    found = attribute(model, rows, ROWS[:50])
    assert found.algorithm == LINEAR
    assert found.residual.max() <= 1e-9
    counted = enumerated_values(replace(model, linear=None), ROWS[:50], each_feature(6), rows)
    np.testing.assert_allclose(found.phi, counted.reshape(found.phi.shape), atol=1e-9)
    if classes == 2 and not hasattr(estimator, "steps"):
        weights = fitted.coef_[0] * (rows - ROWS[:50].mean(axis=0))
        np.testing.assert_allclose(found.phi, weights, atol=1e-5)


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_permutations_sum_exactly_and_err_as_much_as_they_say(classes):
    model = perceptron(classes)
    exact = enumerated_values(model, ROWS[:50], each_feature(6), ROWS[:40])
    phi, error = sampled_values(model, ROWS[:50], each_feature(6), ROWS[:40], rounds=6)
    whole = model.margin(ROWS[:40]).reshape(40, -1) - model.margin(ROWS[:50]).reshape(50, -1).mean(
        axis=0
    )
    np.testing.assert_allclose(phi.sum(axis=1), whole, atol=1e-9)
    off = (phi - exact)[error > 1e-9] / error[error > 1e-9]
    assert 0.7 < np.sqrt(np.mean(off**2)) < 1.4


def test_more_rounds_err_less():
    exact = enumerated_values(perceptron(), ROWS[:50], each_feature(6), ROWS[:10])
    off = [
        np.abs(
            sampled_values(perceptron(), ROWS[:50], each_feature(6), ROWS[:10], rounds)[0] - exact
        )
        for rounds in (2, 32)
    ]
    assert off[1].mean() < off[0].mean() / 2


def test_more_players_are_sampled_in_few_calls_and_say_how_many_pairs():
    model, calls = wide(14), []
    model = replace(model, margin=lambda rows: calls.append(len(rows)) or wide(14).margin(rows))
    rows, background = np.random.default_rng(1).normal(size=(2, 100, 14))
    found = attribute(model, rows[:3], background)
    assert found.algorithm == f"{PERMUTATIONS} 200 pairs with seed 0"
    assert found.residual.max() <= 1e-9
    assert (found.standard_error >= 0).all()
    assert found.standard_error.any()
    assert len(calls) <= 6
    again = attribute(replace(model, digest="again"), rows[:3], background)
    np.testing.assert_array_equal(found.phi, again.phi)


def test_a_small_background_is_visited_more_often():
    rows = np.random.default_rng(4).normal(size=(2, 14))
    found = attribute(wide(14), rows[:1], rows[1:])
    assert found.algorithm == f"{PERMUTATIONS} 200 pairs with seed 0"
    assert found.residual.max() <= 1e-9


def test_features_of_a_group_come_and_go_together():
    model = wide(40)
    rows, background = np.random.default_rng(2).normal(size=(2, 20, 40))
    groups = [list(range(20)), list(range(20, 39)), [39]]
    found = attribute(model, rows, background, players=groups)
    assert found.algorithm == ENUMERATION
    assert found.phi.shape == (20, 3)
    assert found.residual.max() <= 1e-9
    before, last = rows[:, 38], rows[:, 39]
    before_there, last_there = background[:, 38], background[:, 39]
    with_it = before * last + before_there.mean() * last
    without_it = before * last_there.mean() + (before_there * last_there).mean()
    expected = last - last_there.mean() + (with_it - without_it) / 2
    np.testing.assert_allclose(found.phi[:, 2], expected, atol=1e-9)


def test_players_that_leave_a_feature_out_are_refused_in_one_line():
    with pytest.raises(
        WrongUse, match=r"players of the features \[0, 1\]; expected each of 3 once"
    ):
        attribute(wide(3), np.zeros((1, 3)), np.zeros((2, 3)), players=[[0], [1]])


def test_a_group_of_one_each_is_what_features_are():
    given = perceptron()
    named = attribute(given, ROWS[:5], ROWS[:50], players=each_feature(6))
    np.testing.assert_array_equal(named.phi, attribute(given, ROWS[:5], ROWS[:50]).phi)


def dynamic_int8() -> bytes:
    """A model that scales its activations by the largest of the batch."""
    chance = np.random.default_rng(0)
    weights = chance.integers(-100, 100, (6, 1)).astype(np.int8)
    constants = [
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(np.float32(0.01), "step"),
    ]
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
        helper.make_node("MatMulInteger", ["q", "weights", "zero"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["number", "scale"], ["scaled"]),
        helper.make_node("Mul", ["scaled", "step"], ["y"]),
    ]
    tensors = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 6]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1]),
    ]
    graph = helper.make_graph(nodes, "dynamic", tensors[:1], tensors[1:], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    return made.SerializeToString()


def test_a_dynamically_quantised_model_is_scored_row_by_row_so_that_it_is_a_function_of_one_row():
    import onnxruntime

    content = dynamic_int8()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    together = session.run(None, {"x": ROWS[:20].astype(np.float32)})[0][:, 0]
    model = model_of(content, "dynamic")
    assert model.by_row
    assert np.abs(together - model.score(ROWS[:20])).max() > 1e-4
    assert model.score(ROWS[:20]).tolist() == [model.score(row[None])[0] for row in ROWS[:20]]
    found = attribute(model, ROWS[:2], ROWS[:20])
    assert found.algorithm == ENUMERATION
    assert found.residual.max() <= 1e-9


def test_row_by_row_is_slow_so_that_fewer_players_are_counted_out(monkeypatch):
    monkeypatch.setattr(attribution, "MOST_PLAYERS_BY_ROW", 5)
    model = replace(model_of(dynamic_int8(), "dynamic"), digest="dynamic, five at most")
    found = attribute(model, ROWS[:1], ROWS[:10])
    assert found.algorithm.startswith(PERMUTATIONS)
    assert found.residual.max() <= 1e-9
