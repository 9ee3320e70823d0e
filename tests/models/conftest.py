"""Real models, small: trained in milliseconds, on features that matter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import polars as pl
import pytest

Train = Callable[..., lightgbm.Booster]


@pytest.fixture(scope="session")
def train() -> Train:
    """Train on rows and labels; parameters override a small binary model's."""

    def trained(
        rows: np.ndarray,
        labels: np.ndarray,
        *,
        rounds: int = 12,
        categorical: list[int] | str = "auto",
        **parameters: Any,
    ) -> lightgbm.Booster:
        chosen = {
            "objective": "binary",
            "num_leaves": 7,
            "num_threads": 1,
            "verbosity": -1,
            "seed": 7,
        }
        names = [f"s{number}" for number in range(rows.shape[1])]
        data = lightgbm.Dataset(
            rows,
            labels,
            feature_name=names,
            categorical_feature=categorical,
            params={"verbosity": -1},
        )
        return lightgbm.train({**chosen, **parameters}, data, rounds)

    return trained


@pytest.fixture(scope="session")
def rows() -> np.ndarray:
    """1,500 rows of four inputs."""
    return np.random.default_rng(7).normal(size=(1500, 4))


@pytest.fixture(scope="session")
def labels(rows: np.ndarray) -> np.ndarray:
    return (rows[:, 0] + rows[:, 1] * rows[:, 2] > 0.2).astype(float)


@pytest.fixture(scope="session")
def artifact(
    train: Train, rows: np.ndarray, labels: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("artifact") / "model.txt"
    train(rows, labels).save_model(path)
    return path


@pytest.fixture(scope="session")
def reference_file(rows: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reference") / "reference.parquet"
    reference_frame(rows).write_parquet(path)
    return path


def reference_frame(rows: np.ndarray) -> pl.DataFrame:
    times = pl.datetime_range(
        pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 1) + pl.duration(minutes=len(rows) - 1),
        "1m", time_zone="UTC", eager=True,
    )  # fmt: skip
    devices = [f"pump-{number % 3}" for number in range(len(rows))]
    features = {f"s{number}": rows[:, number] for number in range(rows.shape[1])}
    return pl.DataFrame({"device_id": devices, "decided_at": times, **features})
