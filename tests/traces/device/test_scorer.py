from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from observability.models.features import Feature, encode_row
from tests.traces.device.test_point import MODEL
from traces.device import DecisionPoint, Recorder
from traces.device.scorer import scorer

FEATURES = ("temperature", "vibration", "valve")
LEVELS = {"valve": ("open", "shut")}


@pytest.fixture(scope="module")
def booster() -> lightgbm.Booster:
    random = np.random.default_rng(7)
    rows = random.normal(size=(400, 3))
    rows[:, 2] = random.integers(0, 2, 400)
    worn = (rows[:, 0] - 2 * rows[:, 1] + rows[:, 2] > 0).astype(float)
    data = lightgbm.Dataset(rows, worn, feature_name=list(FEATURES), params={"verbosity": -1})
    chosen = {"objective": "binary", "num_leaves": 4, "num_threads": 1, "verbosity": -1}
    return lightgbm.train(chosen, data, 5)


def session(kind: Any = TensorProto.FLOAT) -> Any:
    """An ONNX model that weights two inputs 2 and 5: which is which shows in the score."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["rows", "weights"], ["score"])],
        "weighted",
        [helper.make_tensor_value_info("rows", kind, [None, 2])],
        [helper.make_tensor_value_info("score", kind, [None, 1])],
        [helper.make_tensor("weights", kind, [2, 1], [2.0, 5.0])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnxruntime.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def point(predict: Any, **options: Any) -> DecisionPoint:
    recorder = Recorder(device_id="d", service="s")
    return DecisionPoint("pump.stop", MODEL, predict, 0.5, ("run", "stop"), recorder, **options)


def score(decided: Any) -> float:
    return decided.decision.recommendation.score


def test_a_callable_is_its_own_score() -> None:
    def predict(values: Any) -> float:
        return 0.9

    assert scorer(predict) is predict


def test_a_booster_scores_as_the_server_does(booster: lightgbm.Booster) -> None:
    features = [Feature(n, levels=LEVELS.get(n, ())) for n in FEATURES]
    inputs = {"vibration": 0.4, "temperature": -1.1}
    predict = scorer(booster, FEATURES, LEVELS)
    for valve in ("open", "shut", "unheard of"):
        row = encode_row(features, inputs, {"valve": valve})
        assert predict({**inputs, "valve": valve}) == booster.predict(row)[0]


def test_a_booster_knows_the_order_of_its_inputs(booster: lightgbm.Booster) -> None:
    inputs = {"valve": 1.0, "vibration": 0.4, "temperature": -1.1}
    expected = booster.predict(np.array([[-1.1, 0.4, 1.0]]))[0]
    assert score(point(booster).decide(inputs)) == expected


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.DOUBLE])
def test_a_session_gets_its_inputs_in_the_order_of_the_point(kind: Any) -> None:
    inputs = {"a": 1.0, "b": 10.0}
    assert score(point(session(kind), features=("a", "b")).decide(inputs)) == 52.0
    assert score(point(session(kind), features=("b", "a")).decide(inputs)) == 25.0
    assert score(point(session(kind)).decide(inputs)) == 52.0


def test_a_model_without_one_of_its_inputs_makes_the_device_fall_back() -> None:
    for inputs in ({"a": 1.0}, {}):
        decided = point(session(), features=("a", "b")).decide(inputs)
        assert (decided.action, decided.decision.disposition) == ("run", "blocked")
        assert decided.decision.inputs == inputs
