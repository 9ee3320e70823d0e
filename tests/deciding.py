"""A real device on a real model: rows go in, decisions as recorded come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import lightgbm
import numpy as np
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.neural_network import MLPClassifier

from observability.models.artifact import model_of
from observability.models.features import Feature
from observability.models.model import Model
from traces import Decision, ModelVersion
from traces.device import DecisionPoint, RecordedClock, Recorder

LEVELS = ("auto", "eco", "manual")
FEATURES = (*(Feature(f"x{n}") for n in range(4)), Feature("mode", levels=LEVELS))
CONTEXT = {"reserve": 50.0, "place": "inside"}
THRESHOLD = 0.5


@cache
def trained(family: str, seed: int) -> Model:
    """A model of four numbers and a mode: `lightgbm`, `xgboost`, or trees or a network in ONNX."""
    rows = drawn(seed, 400)
    labels = rows[:, 0] + rows[:, 1] * rows[:, 2] + 0.4 * (rows[:, 4] == 2) > 0.3
    if family == "lightgbm":
        rows[::9, 3] = np.nan
        parameters = {"objective": "binary", "num_leaves": 9, "seed": seed, "num_threads": 1,
                      "verbosity": -1, "min_data_in_leaf": 5}  # fmt: skip
        names = [feature.name for feature in FEATURES]
        data = lightgbm.Dataset(rows, labels, feature_name=names, params={"verbosity": -1})
        return model_of(lightgbm.train(parameters, data, 8).model_to_string().encode(), family)
    if family == "xgboost":
        xgboost = pytest.importorskip("xgboost")
        parameters = {"objective": "binary:logistic", "max_depth": 3, "seed": seed, "nthread": 1}
        booster = xgboost.train(parameters, xgboost.DMatrix(rows, labels), 8)
        return model_of(bytes(booster.save_raw("json")), family)
    if family == "onnx trees":
        estimator = GradientBoostingClassifier(n_estimators=8, max_depth=3, random_state=seed)
    else:
        estimator = MLPClassifier((8,), alpha=0.1, solver="lbfgs", max_iter=2000, random_state=seed)
    skl2onnx = pytest.importorskip("skl2onnx")
    estimator.fit(rows, labels)
    made = skl2onnx.to_onnx(
        estimator, rows[:1].astype(np.float32), options={id(estimator): {"zipmap": False}}
    )
    return model_of(made.SerializeToString(), family)


def drawn(seed: int, count: int) -> np.ndarray:
    """Random rows `(count, 5)`."""
    chance = np.random.default_rng(seed)
    rows = chance.normal(size=(count, 5))
    rows[:, 4] = chance.integers(0, len(LEVELS), count)
    return rows


def decided(
    model: Model,
    row: np.ndarray,
    gates: Sequence[Any] = (),
    context: Mapping[str, Any] = CONTEXT,
    before: Sequence[np.ndarray] = (),
) -> Decision:
    """What a new device decides on a row, after the rows `before`: `run`, or `stop` from the threshold on."""

    def predict(seen: Mapping[str, Any]) -> float:
        level = LEVELS.index(seen["mode"]) if seen["mode"] in LEVELS else np.nan
        numbers = [seen[f"x{n}"] for n in range(4)]
        return float(model.score(np.array([[*numbers, level]]))[0])

    recorder = Recorder(
        device_id="pump-07",
        service="pump",
        processor=SimpleSpanProcessor(InMemorySpanExporter()),
        clock=RecordedClock(10**18),
    )
    point = DecisionPoint(
        "pump.stop", ModelVersion("guard", "1", model.digest), predict, THRESHOLD, ("run", "stop"),
        recorder, gates,
    )  # fmt: skip
    for each in (*before, row):
        inputs = {f"x{n}": float(each[n]) for n in range(4)}
        mode = "" if np.isnan(each[4]) else LEVELS[int(each[4])]
        decision = point.decide(inputs, categoricals={"mode": mode}, context=context).decision
    recorder.shutdown()
    return decision
