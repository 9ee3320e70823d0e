"""A small fleet for the pages: real recorders, a real model, a real receiver, recorded time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import polars as pl
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from observability.collect.serving import serving
from observability.models import registry
from observability.models.features import Feature
from observability.store.write import Writer
from traces import Decision, Gate, GateVerdict, ModelVersion, Outcome, Recommendation
from traces.device import Decided, DecisionPoint, RecordedClock, Recorder

START = datetime(2024, 5, 1, tzinfo=UTC)
FEATURES = (
    Feature("temperature", "°C"),
    Feature("vibration", "mm/s"),
    Feature("pressure", "bar"),
)
GATES = (
    Gate("minimum_dwell", "minutes_running", ">=", 30.0, guards=("stop",)),
    Gate("sensor_plausible", "temperature", "<=", 120.0),
)
TRAP = "![trap](https://trap.example/a.png) :red[pump]"
"""A name that must stay a name: as Markdown it would fetch a picture from another host."""


@dataclass(frozen=True, slots=True)
class Seeded:
    """Ids of decisions of each kind. `blocked` was stopped by minimum_dwell and has an outcome."""

    store: Path
    stopped: str
    blocked: str
    mistaken: str
    unknown_model: str
    bare: str
    trap: str


def seed(store: Path, work: Path) -> Seeded:
    """Make a store of recorded time: four pumps for a day, one silent, and an odd decision of each kind."""
    artifact, reference = _train(work)
    Writer(store, RecordedClock(_ns(START))).close()
    added = registry.add(
        store,
        artifact,
        name="pump-wear",
        version="1.0.0",
        features=FEATURES,
        reference=reference,
        threshold=0.5,
    )
    predict = _predict(artifact)
    with _receiver(store) as (url, server):
        ids = _live(url, server, added.version, predict) | _odd(url, server, added.version, predict)
    return Seeded(store=store, **ids)


@contextmanager
def _receiver(store: Path) -> Iterator[tuple[str, RecordedClock]]:
    clock = RecordedClock(_ns(START))
    with serving(store, clock) as url:
        yield url, clock


def _live(url: str, server: RecordedClock, model: ModelVersion, predict: Any) -> dict[str, str]:
    """A decision of each pump every ten minutes, sent every four hours; its outcome an hour later."""
    random = np.random.default_rng(7)
    recorders = [
        _recorder(f"pump-{number}", url, RecordedClock(_ns(START))) for number in range(1, 5)
    ]
    points = [
        DecisionPoint("pump.stop", model, predict, 0.5, ("run", "stop"), recorder, GATES)
        for recorder in recorders
    ]
    ids: dict[str, str] = {}
    for step in range(144):
        at = START + timedelta(minutes=10 * (step + 1))
        server.set(_ns(at))
        for point in points[: 4 if step < 12 else 3]:
            decided = _decide(point, at, step, random)
            if point is points[0] and decided.decision.disposition == "blocked":
                ids.setdefault("blocked", decided.decision_id)
            elif point is points[0] and decided.action == "stop":
                ids["stopped"] = decided.decision_id
        if step % 24 == 23:
            for recorder in recorders:
                recorder.flush()
    for recorder in recorders:
        recorder.shutdown()
    return ids


def _decide(point: DecisionPoint, at: datetime, step: int, random: np.random.Generator) -> Decided:
    clock = point.recorder.clock
    assert isinstance(clock, RecordedClock)
    clock.set(_ns(at))
    inputs = _inputs(random, worn=step % 12 > 8)
    running = 10.0 * ((step + 4) % 12)
    decided = point.decide(inputs, context={"minutes_running": running, "mode": "auto"})
    if step < 100:
        known_at = at + timedelta(hours=1)
        point.recorder.record_outcome(_outcome(decided.decision_id, inputs, known_at))
    return decided


def _odd(url: str, server: RecordedClock, model: ModelVersion, predict: Any) -> dict[str, str]:
    """A wrong score, an unknown model, hardly anything recorded, and names that look like Markdown."""
    at = START + timedelta(hours=24)
    server.set(_ns(at))
    clock = RecordedClock(_ns(at))
    inputs = {"temperature": 71.0, "vibration": 2.5, "pressure": 4.0}
    ghost = ModelVersion("ghost", "0.1", "sha256:" + hashlib.sha256(b"ghost").hexdigest())

    def decide(device: str, version: ModelVersion, *, off: float = 0.0) -> str:
        recorder = _recorder(device, url, clock)
        point = DecisionPoint(
            "pump.stop", version, lambda row: predict(row) + off, 0.5, ("run", "stop"), recorder
        )
        decided = point.decide(inputs)
        recorder.shutdown()
        return decided.decision_id

    def record(device: str, decision: Decision) -> str:
        recorder = _recorder(device, url, clock)
        decision_id = recorder.record(decision)
        recorder.shutdown()
        return decision_id

    bare = Decision("pump.stop", model, action="run", disposition="executed")
    return {
        "mistaken": decide("pump-6", model, off=0.01),
        "unknown_model": decide("pump-7", ghost),
        "bare": record("pump-8", bare),
        "trap": record(TRAP, _trap(model)),
    }


def _trap(model: ModelVersion) -> Decision:
    """A decision that says TRAP wherever a device can say anything."""
    return Decision(
        "pump.stop",
        replace(model, version=TRAP),
        action=TRAP,
        disposition="blocked",
        recommendation=Recommendation(TRAP, 0.7, 0.5),
        inputs={TRAP: 1.0},
        categoricals={"mode": TRAP},
        gates=(GateVerdict(TRAP, "rule", "block", TRAP, TRAP, "<=", 1.0, 2.0),),
        context={TRAP: TRAP},
    )


def _recorder(device: str, url: str, clock: RecordedClock) -> Recorder:
    exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces")
    return Recorder(device_id=device, service="pump-control", exporter=exporter, clock=clock)


def _inputs(random: np.random.Generator, *, worn: bool) -> dict[str, float]:
    return {
        "temperature": float(random.normal(78.0 if worn else 62.0, 4.0)),
        "vibration": float(random.normal(4.2 if worn else 2.0, 0.5)),
        "pressure": float(random.normal(4.0, 0.3)),
    }


def _outcome(decision_id: str, inputs: Mapping[str, float], at: datetime) -> Outcome:
    trace_id, _, span_id = decision_id.partition("-")
    worn = inputs["vibration"] > 3.0
    return Outcome(
        trace_id, span_id, "worn" if worn else "sound", "inspection", _ns(at), float(worn)
    )


def _train(work: Path) -> tuple[Path, Path]:
    random = np.random.default_rng(7)
    worn = random.random(1200) < 0.3
    rows = [_inputs(random, worn=bool(flag)) for flag in worn]
    values = np.array([list(row.values()) for row in rows])
    names = [feature.name for feature in FEATURES]
    data = lightgbm.Dataset(
        values, worn.astype(float), feature_name=names, params={"verbosity": -1}
    )
    chosen = {"objective": "binary", "num_leaves": 5, "num_threads": 1, "verbosity": -1, "seed": 7}
    artifact, reference = work / "model.txt", work / "reference.parquet"
    lightgbm.train(chosen, data, 12).save_model(artifact)
    since = START - timedelta(days=30)
    pl.DataFrame(rows).with_columns(
        device_id=pl.lit("pump-0"),
        decided_at=pl.Series([since + timedelta(minutes=30 * step) for step in range(len(rows))]),
    ).write_parquet(reference)
    return artifact, reference


def _predict(artifact: Path) -> Any:
    booster = lightgbm.Booster(model_file=str(artifact))
    names = [feature.name for feature in FEATURES]
    return lambda row: float(
        booster.predict(np.array([[row[name] for name in names]]), num_threads=1)[0]
    )


def _ns(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000_000
