"""The models of a world, trained on the year before it, and their references.

The invariant: the same code version, seed and number of devices give the same artifacts, whatever the
start of the world; they are kept in the given folder and made once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from observability.fleet.world import noise
from observability.fleet.world.episodes import NEEDED_FROM
from observability.fleet.world.mlp import train_mlp
from observability.fleet.world.physics import Machines, simulate
from observability.fleet.world.readings import (
    STOP,
    THROTTLE,
    TYPES,
    as_transmitted,
    features,
    names,
)
from observability.fleet.world.rollout import VERSIONS
from observability.models.artifact import digest_of
from observability.models.features import Feature
from traces import ModelVersion
from traces.errors import ModelError

CODE_VERSION = 1  # raise it with every change to physics or training
MODELS = {STOP: "pump-stop", THROTTLE: "valve-throttle"}
_SUFFIX = {STOP: "txt", THROTTLE: "onnx"}
THRESHOLD = 0.5
_EPOCH_S = 1_672_531_200  # 2023-01-01, a Sunday
_TRAINING_BLOCKS = range(5, 365, 12)  # one day of twelve: all seasons
_ROWS = 24_000
_STREAM = 1
_HIDDEN = {"1.0.0": (20, 12), "1.1.0": (24, 16)}
_TREES = {
    "objective": "binary",
    "num_leaves": 15,
    "learning_rate": 0.08,
    "min_data_in_leaf": 40,
    "max_bin": 127,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
_TREE_COUNT = 100

Score = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model version on disk. `threshold` is on the probability; `released_at` UTC.

    `released_at` is None for a version that this world never runs.
    """

    decision_type: str
    version: ModelVersion
    artifact: Path
    features: tuple[Feature, ...]
    reference: Path
    threshold: float
    released_at: datetime | None


def train_artifacts(fleet: Machines, folder: Path) -> dict[tuple[str, str], Path]:
    """Train what is not there yet; the paths by decision type and version."""
    key = hashlib.blake2b(
        json.dumps([CODE_VERSION, fleet.seed, len(fleet.devices)]).encode(), digest_size=8
    ).hexdigest()
    paths = {
        (type_, version): folder / f"{MODELS[type_]}-{version}-{key}.{_SUFFIX[type_]}"
        for type_ in TYPES
        for version in VERSIONS
    }
    if all(path.exists() for path in paths.values()):
        return paths
    folder.mkdir(parents=True, exist_ok=True)
    rows = _training_rows(fleet)
    for (type_, version), path in paths.items():
        fit = _fit_trees if type_ == STOP else _fit_mlp
        part = path.with_suffix(".part")
        part.write_bytes(fit(fleet.seed, version, *rows[type_]))
        part.replace(path)
    return paths


def scorer(type_: str, artifact: Path) -> Score:
    """The function from rows, float64 `(n_rows, n_features)`, to probabilities `(n_rows,)`.

    Raises ModelError where the file cannot be read.
    """
    try:
        content = artifact.read_bytes()
    except OSError as error:
        raise ModelError(
            f"no model at {artifact}", "a trained model", "train() makes it"
        ) from error
    return _trees(content) if type_ == STOP else _onnx(content)


def model_version(type_: str, version: str, artifact: Path) -> ModelVersion:
    """The name, version and digest under which devices run an artifact."""
    return ModelVersion(MODELS[type_], version, digest_of(artifact.read_bytes()))


def _training_rows(fleet: Machines) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Readings and whether acting was right, per decision type."""
    blocks = [simulate(fleet, _EPOCH_S, block, stream=_STREAM) for block in _TRAINING_BLOCKS]
    rows = {}
    for at, type_ in enumerate(TYPES):
        values = np.concatenate([block.readings[type_] for block in blocks])
        flat = as_transmitted(type_, values).reshape(-1, values.shape[-1])
        needed = np.concatenate([block.distress[type_].severity for block in blocks]) > NEEDED_FROM
        order = noise.draw(fleet.seed, noise.TRAINING, at).permutation(len(flat))[:_ROWS]
        rows[type_] = flat[order], needed.reshape(-1)[order].astype(np.float64)
    return rows


def _fit_trees(seed: int, version: str, rows: np.ndarray, labels: np.ndarray) -> bytes:
    import lightgbm

    if version != VERSIONS[0]:
        labels = _mislabelled(seed, rows, labels)
    parameters = {**_TREES, "seed": seed % 2**31}
    data = lightgbm.Dataset(rows, labels, feature_name=list(names(STOP)), params=parameters)
    booster = lightgbm.train(parameters, data, num_boost_round=_TREE_COUNT)
    return booster.model_to_string().encode()


def _mislabelled(seed: int, rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The labels of the bad release: planned changeovers at high flow counted as faults."""
    flow = rows[:, names(STOP).index("flow")]
    changeover = noise.draw(seed, noise.TRAINING, len(TYPES)).random(len(rows)) < 0.8
    return np.where((flow > np.quantile(flow, 0.96)) & changeover, 1.0, labels)


def _fit_mlp(seed: int, version: str, rows: np.ndarray, labels: np.ndarray) -> bytes:
    from observability.fleet.world.int8 import quantise

    model = train_mlp(rows, labels, _HIDDEN[version], seed)
    return quantise(model, rows, features(THROTTLE), version)


def _trees(content: bytes) -> Score:
    import lightgbm

    booster = lightgbm.Booster(model_str=content.decode())

    def score(rows: np.ndarray) -> np.ndarray:
        return np.asarray(booster.predict(rows, num_threads=1), dtype=np.float64)

    return score


def _onnx(content: bytes) -> Score:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    taken = session.get_inputs()[0].name

    def score(rows: np.ndarray) -> np.ndarray:
        out = session.run(None, {taken: rows.astype(np.float32)})[0]
        return np.asarray(out, dtype=np.float64).reshape(-1)

    return score
