"""What the explaining worker reaches, and what commits beside it notice: LightGBM, 100 trees, 20 features.

First without rest, for the rate; then at its own pace beside commits of 100 decisions, which are timed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import lightgbm
import machine
import numpy as np
import polars as pl
import pyarrow as pa

from observability.explain.explain_job import ExplainJob
from observability.models.registry import RegisteredModel, add
from observability.store import worker
from observability.store.lake import cursor
from observability.store.schema import arrow_table
from observability.store.worker import Worker
from observability.store.write import Writer

FEATURES, BACKGROUND, TREES, COMMIT = 20, 1000, 100, 100
START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = [f"s{number}" for number in range(FEATURES)]


def registered(store: Path, folder: Path) -> tuple[RegisteredModel, lightgbm.Booster]:
    """A model with its reference, in the store."""
    rows = np.random.default_rng(0).normal(size=(5_000, FEATURES))
    labels = rows[:, 0] + rows[:, 1] * rows[:, 2] > 0
    plain = {"objective": "binary", "max_depth": 6, "num_leaves": 64, "num_threads": 1, "seed": 0}
    data = lightgbm.Dataset(rows, labels, feature_name=NAMES)
    booster = lightgbm.train({**plain, "verbosity": -1}, data, TREES)
    booster.save_model(folder / "model.txt")
    reference = folder / "reference.parquet"
    pl.DataFrame(dict(zip(NAMES, rows[:BACKGROUND].T, strict=True))).write_parquet(reference)
    model = add(store, folder / "model.txt", name="m", version="1", reference=reference)
    return model, booster


def batches(
    model: RegisteredModel, booster: lightgbm.Booster, first: int, count: int, each: int
) -> Iterator[dict[str, pa.Table]]:
    """So many decisions, `each` in a commit."""
    layout = {
        "layout_id": "l",
        "decision_type": "pump.stop",
        "names": NAMES,
        "categorical_names": [],
    }
    named = {
        "model_name": "m", "model_version": "1", "model_digest": model.version.digest,
        "decision_type": "pump.stop", "action": "run", "disposition": "executed",
        "layout_id": "l", "categoricals": [], "gates": [], "context": [], "rest": b"",
    }  # fmt: skip
    for start in range(first, first + count, each):
        inputs = np.random.default_rng(start).normal(size=(each, FEATURES))
        scores = np.asarray(booster.predict(inputs, num_threads=1))
        rows: list[dict[str, Any]] = [
            {
                **named,
                "device_id": f"d-{number % 24}",
                "decision_id": f"{number:032x}-{number:016x}",
                "decided_at": START + timedelta(seconds=number),
                "end_unix_nano": number,
                "score": score,
                "inputs": values,
            }
            for number, (values, score) in enumerate(
                zip(inputs.tolist(), scores.tolist(), strict=True), start
            )
        ]
        tables = {"decisions": arrow_table("decisions", rows)}
        yield {"layouts": arrow_table("layouts", [layout]), **tables}


def until_explained(writer: Writer, count: int) -> float:
    """Seconds until so many decisions have attributions."""
    began = time.monotonic()
    working = Worker(writer, ExplainJob)
    with cursor(writer.con) as con:
        while con.execute("SELECT count(*) FROM attributions").fetchall() < [(count,)]:
            time.sleep(0.05)
    seconds = time.monotonic() - began
    working.close()
    return seconds


def commits_ms(writer: Writer, made: Iterator[dict[str, pa.Table]]) -> np.ndarray:
    """How long each commit took, five begun in a second."""
    took = []
    for batch in made:
        began = time.monotonic()
        writer.write(batch)
        took.append((time.monotonic() - began) * 1e3)
        time.sleep(max(0.0, 0.2 - (time.monotonic() - began)))
    return np.array(took)


def main() -> None:
    """Measure and print a table and one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a fifth of the decisions and commits")
    quick = parser.parse_args().quick
    count, commits = (20_000, 20) if quick else (100_000, 100)
    paced, worker._REST = worker._REST, 0
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "fleet"
        Writer(store).close()
        model, booster = registered(store, Path(folder))
        with Writer(store) as writer:
            machine.say("rate")
            for batch in batches(model, booster, 0, count, 5_000):
                writer.write(batch)
            seconds = until_explained(writer, count)
            machine.say("commits alone, then beside a backlog")
            made = commits * COMMIT
            alone = commits_ms(writer, batches(model, booster, count, made, COMMIT))
            for batch in batches(model, booster, count + made, count, 5_000):
                writer.write(batch)
            worker._REST = paced
            working = Worker(writer, ExplainJob)
            beside = commits_ms(writer, batches(model, booster, 2 * count + made, made, COMMIT))
            working.close()
    figures: dict[str, object] = {
        "explained_per_s": round(count / seconds),
        "commit_alone_p50_ms": round(float(np.median(alone)), 1),
        "commit_beside_p50_ms": round(float(np.median(beside)), 1),
        "commit_alone_p95_ms": round(float(np.quantile(alone, 0.95)), 1),
        "commit_beside_p95_ms": round(float(np.quantile(beside, 0.95)), 1),
    }
    about = f"{count} decisions, {TREES} trees, {BACKGROUND} background rows; commits of {COMMIT}"
    machine.report(figures, about, "lightgbm", "duckdb")


if __name__ == "__main__":
    main()
