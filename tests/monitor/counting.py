"""A store whose decisions are counted: a model with a reference, and decisions of every odd kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import lightgbm
import numpy as np
import polars as pl
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from observability.models import registry
from observability.models.features import Feature
from observability.monitor import cube_job
from observability.monitor.baseline import reference_bins
from observability.store import lake
from observability.store.count import count
from observability.store.cube import Cube, summed
from observability.store.location import Store
from observability.store.read import Window
from observability.store.read_cubes import Counted, watermark
from observability.store.read_drift import of_decisions
from observability.store.write import Writer
from tests.spans import NOON, batch, decision_span
from traces import Decision, ModelVersion

START = datetime.fromtimestamp(NOON / 1e9, UTC)
FEATURES = (Feature("heat", "°C"), Feature("flow", "l/s"), Feature("mode", levels=("auto", "eco")))
DAY = timedelta(days=1)


def registered(store: Store, folder: Path, rows: int = 400, seed: int = 1) -> ModelVersion:
    """Register a model whose reference has so many rows, in a store that is made where there is none."""
    if not lake.is_store(store):
        Writer(store).close()
    chance = np.random.default_rng(seed)
    values = np.column_stack([chance.normal(20, 5, (rows, 2)), chance.integers(0, 2, rows)])
    booster = lightgbm.train(
        {"objective": "binary", "num_leaves": 4, "verbosity": -1, "num_threads": 1},
        lightgbm.Dataset(values, values[:, 0] > 20, feature_name=["heat", "flow", "mode"]),
        2,
    )
    artifact, reference = folder / "model.txt", folder / "reference.parquet"
    artifact.write_text(booster.model_to_string())
    modes = np.array(["auto", "eco"])[values[:, 2].astype(int)]
    pl.DataFrame({"heat": values[:, 0], "flow": values[:, 1], "mode": modes}).write_parquet(
        reference
    )
    return registry.add(
        store, artifact, name="wear", version=f"1.{seed}", features=FEATURES, reference=reference
    ).version


def made(model: ModelVersion, at: timedelta, type_: str = "pump.stop", **inputs: Any) -> Span:
    """A decision span that long after noon; a text is a categorical."""
    numbers = {name: value for name, value in inputs.items() if not isinstance(value, str)}
    texts = {name: value for name, value in inputs.items() if isinstance(value, str)}
    decision = Decision(
        type_, model, action="run", disposition="executed", inputs=numbers, categoricals=texts
    )
    end = NOON + at // timedelta(microseconds=1) * 1000
    return decision_span(decision, start_time_unix_nano=end, end_time_unix_nano=end)


def send(writer: Writer, spans: Iterable[Span], device: str = "pump-1") -> None:
    """One commit; decoding takes spans apart, so of copies."""
    copies = (Span.FromString(one.SerializeToString()) for one in spans)
    writer.write(batch(*copies, device=device))


def build(writer: Writer, steps: int | None = None) -> list[int]:
    """Count all that arrived, or so many commits of it."""
    done = []
    with lake.cursor(writer.con) as con:
        for decisions in cube_job.build(writer, con, writer.settled()):
            done.append(decisions)
            if len(done) == steps:
                break
    return done


def asked(con: duckdb.DuckDBPyConnection, store: Store, model: ModelVersion, type_: str) -> Counted:
    found = registry.find(con, store, model)
    assert found is not None
    cut = reference_bins(con, found)
    return Counted(type_, cut.inputs, cut.bins, cut.bins_id)


def directly(con: duckdb.DuckDBPyConnection, of: Counted, window: Window, width: timedelta) -> Cube:
    """What counting every decision of the window gives."""
    rows = of_decisions(con, of.decision_type, of.inputs, window)
    cube = count(con, rows, of.bins, width)
    return summed([replace(cube, cells=cube.cells.drop("received_at"))])


def same(one: Cube, other: Cube) -> bool:
    """Whether two cubes say the same; sums to the last bits."""
    exact = all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True)
        for name in ("counts", "apart", "lows", "highs")
    )
    near = all(
        np.allclose(getattr(one, name), getattr(other, name), rtol=1e-9, equal_nan=True)
        for name in ("sums", "squares")
    )
    return exact and near and one.cells.equals(other.cells)


def is_covered(con: duckdb.DuckDBPyConnection, of: Counted) -> bool:
    """Whether nothing is left to be counted."""
    left = con.execute("SELECT count(*) FROM decisions WHERE arrival >= ?", [watermark(con, of)])
    return left.fetchall() == [(0,)]
