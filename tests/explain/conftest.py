"""A real store with decisions of a real model, sent through the real recorder and receiver."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import lightgbm
import numpy as np
import polars as pl
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

import observability
from observability.collect.serving import serving
from observability.models.features import Feature
from observability.models.registry import RegisteredModel, add
from traces import Decision, Gate, ModelVersion, Outcome
from traces.device import DecisionPoint, Recorder

NAMES = ("T30", "s4", "s11", "s2")
FEATURES = (Feature("T30", "°R"), Feature("s4", "°R"), Feature("s11", "psia"), Feature("s2"))


@pytest.fixture(scope="session")
def rows() -> np.ndarray:
    """1,500 rows of four inputs."""
    return np.random.default_rng(7).normal(size=(1500, 4)) + 10


@pytest.fixture(scope="session")
def train(rows: np.ndarray) -> Callable[..., lightgbm.Booster]:
    """Train on the rows; the first inputs decide."""

    def trained(
        inputs: np.ndarray = rows,
        *,
        labels: np.ndarray | None = None,
        rounds: int = 20,
        categorical: list[int] | str = "auto",
        **parameters: Any,
    ) -> lightgbm.Booster:
        if labels is None:
            score = np.nan_to_num(rows[:, 0] - 10) + (rows[:, 1] - 10) * (rows[:, 2] - 10)
            labels = (score > 0.2).astype(float)
        chosen = {
            "objective": "binary",
            "num_leaves": 7,
            "num_threads": 1,
            "verbosity": -1,
            "seed": 7,
        }
        names = list(NAMES) if inputs.shape[1] == len(NAMES) else "auto"
        data = lightgbm.Dataset(
            inputs,
            labels,
            feature_name=names,
            categorical_feature=categorical,
            params={"verbosity": -1},
        )
        return lightgbm.train({**chosen, **parameters}, data, rounds)

    return trained


@dataclass(frozen=True)
class Plant:
    """A store, its registered model and the decisions in it, by what makes each special."""

    store: Path
    model: RegisteredModel
    ids: Mapping[str, str]


@pytest.fixture(scope="session")
def plant(
    train: Callable[..., lightgbm.Booster],
    rows: np.ndarray,
    tmp_path_factory: pytest.TempPathFactory,
) -> Plant:
    store = tmp_path_factory.mktemp("plant") / "fleet"
    booster = train()
    artifact, reference = store.parent / "model.txt", store.parent / "reference.parquet"
    booster.save_model(artifact)
    pl.DataFrame({name: rows[:, number] for number, name in enumerate(NAMES)}).write_parquet(
        reference
    )
    with serving(store) as url:
        model = add(
            store,
            artifact,
            name="rul",
            version="1",
            features=FEATURES,
            reference=reference,
            threshold=0.5,
        )
        add(store, artifact, name="bare", version="1", features=FEATURES)
        exporter = OTLPSpanExporter(f"{url}/v1/traces")
        recorder = Recorder(device_id="engine-049", service="test", exporter=exporter)
        ids = _decide(recorder, booster, model.version, rows)
        recorder.shutdown()
    return Plant(store, model, ids)


def _decide(
    recorder: Recorder, booster: lightgbm.Booster, version: ModelVersion, rows: np.ndarray
) -> dict[str, str]:
    scores = booster.predict(rows)
    high, low = rows[np.argmax(scores)], rows[np.argmin(scores)]

    def predict(inputs: Mapping[str, Any]) -> float:
        return float(booster.predict([[inputs[name] for name in NAMES]])[0])

    def decide(
        row: np.ndarray, limit: float = 1.0, named: ModelVersion = version, **changed: float
    ) -> str:
        plausible = Gate("sensor_plausible", "T30", ">=", limit, guards=("ground",))
        point = DecisionPoint(
            "engine.ground", model=named, predict=predict, threshold=0.5, actions=("fly", "ground"),
            gates=(Gate("powered", "voltage", ">", 20.0), plausible), recorder=recorder,
        )  # fmt: skip
        inputs = {**dict(zip(NAMES, row.tolist(), strict=True)), **changed}
        return point.decide(inputs, context={"voltage": 24.0}).decision_id

    other = "sha256:" + "0" * 64
    ids = {
        "executed": decide(high),
        "held": decide(low),
        "blocked": decide(high, limit=1500.0),
        "missing value": decide(high, s2=float("nan")),
        "unknown model": decide(high, named=ModelVersion("rul", "9", version.digest)),
        "other digest": decide(high, named=ModelVersion("rul", "1", other)),
        "no reference": decide(high, named=ModelVersion("bare", "1", version.digest)),
    }
    drifted = Decision("engine.ground", version, "fly", "executed", inputs={"T30": 1.0})
    ids["other inputs"] = recorder.record(drifted)
    trace_id, span_id = ids["executed"].split("-")
    recorder.record_outcome(
        Outcome(trace_id, span_id, "failed", "sensor", 1_700_000_000_000_000_000, 1.0)
    )
    return ids


@pytest.fixture
def con(plant: Plant) -> Iterator[duckdb.DuckDBPyConnection]:
    with observability.connect(plant.store) as opened:
        yield opened
