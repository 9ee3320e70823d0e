"""Training rows -> a LightGBM model and its reference, as files.

The invariant: the same spec and the same rows give the same bytes, and so the same digest.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from observability.fleet.spec import Model
from observability.models.artifact import digest_of
from observability.models.reference import encode
from traces import ModelVersion
from traces.errors import SpecError


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained model on disk: what a device would be flashed with, and its reference."""

    version: ModelVersion
    artifact: Path
    reference: Path


def train(model: Model, rows: pl.DataFrame, folder: Path) -> Trained:
    """Train on the labelled rows; write `model.txt` and, of all rows, `reference.parquet` to `folder`.

    Raises SpecError where the rows hold one label only or LightGBM refuses a parameter.
    """
    labelled = rows.filter(pl.col("label").is_not_null())
    if labelled["label"].n_unique() < 2:
        raise SpecError(f"{len(labelled)} training rows of one label", "rows of both")
    text = _fit(
        model, encode(labelled, model.features), labelled["label"].cast(pl.Float64).to_numpy()
    )
    artifact, reference = folder / "model.txt", folder / "reference.parquet"
    artifact.write_text(text, encoding="utf-8")
    names = ["device_id", "decided_at", *(feature.name for feature in model.features)]
    rows.select(names).write_parquet(reference)
    return Trained(
        ModelVersion(model.name, model.version, digest_of(text.encode())), artifact, reference
    )


def _fit(model: Model, inputs: np.ndarray, labels: np.ndarray) -> str:
    import lightgbm  # takes a second, and a broken spec must not wait for it

    given = {
        name: int(value) if float(value).is_integer() else value
        for name, value in model.parameters.items()
    }
    fixed = {
        "objective": "binary",
        "seed": model.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    names = [feature.name for feature in model.features]
    # Levels enter as ordinal codes, which a device looks up without LightGBM.
    parameters = {**given, **fixed}
    try:
        data = lightgbm.Dataset(inputs, labels, feature_name=names, params=parameters)
        booster = lightgbm.train(parameters, data, num_boost_round=model.trees)
    except lightgbm.basic.LightGBMError as error:
        found = f"model.parameters that LightGBM refuses: {' '.join(str(error).split())}"
        raise SpecError(found, "values that it takes") from error
    return booster.model_to_string()
