"""ONNX models: what is read out of a graph, and that it is believed only where it gives the scores."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from observability.models.artifact import model_of
from observability.models.link import score_of
from tests.trained import at_thresholds, onnx_of, trained
from traces.errors import ModelError

ROWS = np.random.default_rng(5).normal(size=(300, 4)).astype(np.float32).astype(np.float64)
TWO = (ROWS[:, 0] + ROWS[:, 1] * ROWS[:, 2] > 0).astype(int)
THREE = TWO + (ROWS[:, 3] > 0.5)
SMALL = {"n_estimators": 4, "max_depth": 3, "random_state": 0}


@pytest.mark.parametrize(
    ("estimator", "labels", "inside", "link"),
    [
        (GradientBoostingClassifier(**SMALL), TWO, "trees", "logit"),
        (GradientBoostingClassifier(**SMALL), THREE, "trees", "softmax"),
        (RandomForestClassifier(**SMALL), TWO, "trees", "identity"),
        (RandomForestClassifier(**SMALL), THREE, "trees", "identity"),
        (RandomForestRegressor(**SMALL), ROWS[:, 0], "trees", "identity"),
        (ExtraTreesClassifier(**SMALL), TWO, "trees", "identity"),
        (
            make_pipeline(StandardScaler(), GradientBoostingClassifier(**SMALL)),
            TWO,
            "trees",
            "logit",
        ),
        (LogisticRegression(), TWO, "linear", "logit"),
        (make_pipeline(StandardScaler(), LogisticRegression()), THREE, "linear", "softmax"),
        (MLPClassifier((5,), max_iter=20, tol=10.0), TWO, "nothing", "logit"),
        (MLPClassifier((5,), max_iter=20, tol=10.0), THREE, "nothing", "softmax"),
        (AdaBoostClassifier(n_estimators=3), TWO, "nothing", "identity"),
    ],
)
def test_scores_are_those_of_the_estimator_and_margins_lead_to_them(
    estimator, labels, inside: str, link: str
) -> None:
    content, fitted = onnx_of(estimator, ROWS, labels)
    model = model_of(content, "estimator")
    known = "trees" if model.trees else "linear" if model.linear else "nothing"
    assert (known, model.link) == (inside, link)
    expected = (
        fitted.predict_proba(ROWS) if hasattr(fitted, "predict_proba") else fitted.predict(ROWS)
    )
    if expected.shape[1:] == (2,):
        expected = expected[:, 1]
    np.testing.assert_allclose(model.score(ROWS), expected, atol=1e-5)
    np.testing.assert_allclose(score_of(model.margin(ROWS), link), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost"])
@pytest.mark.parametrize("classes", [1, 2, 3])
def test_boosted_trees_converted_to_onnx_are_taken_apart(kind: str, classes: int) -> None:
    onnxmltools = pytest.importorskip("onnxmltools")
    from onnxmltools.convert.common.data_types import FloatTensorType

    source = trained(kind, 1, classes=classes, holes=True)
    convert = getattr(onnxmltools, f"convert_{kind}")
    taken = [("x", FloatTensorType([None, 5]))]
    options = {"zipmap": False} if kind == "lightgbm" else {}
    converted = convert(source.original, initial_types=taken, **options).SerializeToString()
    model = model_of(converted, "converted")
    assert model.trees is not None
    rows = np.concatenate([source.rows, at_thresholds(model, 100, holes=True)])
    found, expected = score_of(model.margin(rows), model.link), model.score(rows)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(model.score(source.rows), source.model.score(source.rows), atol=1e-4)


def test_trees_that_do_not_give_the_scores_are_not_believed() -> None:
    content, _ = onnx_of(GradientBoostingClassifier(**SMALL), ROWS, TWO)
    graph = onnx.load_model_from_string(content)
    halved = onnx.helper.make_node("Mul", ["halved", "half"], ["y"])
    graph.graph.node[0].output[1] = "halved"
    del graph.graph.node[1:], graph.graph.output[:]
    graph.graph.node.append(halved)
    graph.graph.initializer.append(onnx.numpy_helper.from_array(np.float32([0.5, 0.2]), "half"))
    graph.graph.output.append(
        onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 2])
    )
    model = model_of(graph.SerializeToString(), "halved")
    assert model.trees is None
    assert model.link == "identity"
    np.testing.assert_array_equal(model.margin(ROWS), model.score(ROWS))


def test_bytes_that_are_no_onnx_are_refused_in_one_line() -> None:
    content, _ = onnx_of(LogisticRegression(), ROWS, TWO)
    for broken in (content[: len(content) // 2], b"\x08\x01", b"\x08" + content[::-1]):
        with pytest.raises(ModelError) as refused:
            model_of(broken, "broken.onnx")
        assert "broken.onnx" in str(refused.value)
        assert "\n" not in str(refused.value)
