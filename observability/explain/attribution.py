"""Shapley values of one decision, in the model's link unit, with what makes them reproducible.

Owns the choice of algorithm, the checks that decide whether attributions may be shown, and the spec
that names every choice made.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from observability.explain.explanation import Attributions, Spec
from observability.models.artifact import Model, model_of, read_file
from observability.models.features import Feature, encode_row
from observability.models.onnx_model import OnnxModel
from observability.models.reference import BACKGROUND_SEED, Reference, background
from traces.errors import ModelError

RESIDUAL_TOLERANCE = 1e-6
"""Allowed |base + sum(phi) - output|, as a share of the larger of 1 and |output|."""
REPLAY_TOLERANCE = 1e-6
"""Allowed |score here - score on the device|, as a share of the larger of 1 and |score|."""

INTERVENTIONAL = "interventional tree shap"
PATH_DEPENDENT = "path-dependent tree shap (LightGBM pred_contrib)"
KEPT_ENGINES = 8

Phi = Callable[[np.ndarray], tuple[np.ndarray, float]]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the device recorded of one decision's model; score and threshold in the score's unit."""

    inputs: Mapping[str, float]
    categoricals: Mapping[str, str]
    score: float | None
    threshold: float | None


@dataclass(frozen=True, slots=True)
class Engine:
    """A model ready to explain. `phi` maps a row `(1, n_features)` to values `(n_features,)` and base."""

    model: Model
    features: tuple[Feature, ...]
    spec: Spec
    phi: Phi


@functools.lru_cache(maxsize=KEPT_ENGINES)
def engine(
    artifact: Path,
    digest: str,
    features: tuple[Feature, ...],
    reference_path: Path,
    reference: Reference,
) -> Engine:
    """The engine of a registered model and its reference, kept for the next decision.

    Raises ModelError where a file is missing, or is not the one that was registered.
    """
    model = model_of(read_file(artifact, "the registered artifact"), str(artifact))
    if isinstance(model, OnnxModel):
        raise ModelError("an ONNX model", "a LightGBM one: others are run here, not attributed yet")
    held = read_file(reference_path, "the registered reference")
    stored = "sha256:" + hashlib.sha256(held).hexdigest()
    if (model.digest, stored) != (digest, reference.reference_id):
        damaged = artifact if model.digest != digest else reference_path
        raise ModelError(f"{damaged} with other content", "the file as it was registered")
    rows = background(held, features, str(reference_path))
    return build_engine(model, features, rows, reference)


def build_engine(
    model: Model, features: Sequence[Feature], rows: np.ndarray, reference: Reference
) -> Engine:
    """An engine over background rows of shape `(n, n_features)`.

    Interventional where shap can be exact; LightGBM's own path-dependent values where the model
    splits over categories, which shap's interventional algorithm does not know.
    """
    if model.text.categorical:
        spec = _spec(model, features, PATH_DEPENDENT, None, 0)
        return Engine(model, tuple(features), spec, _path_dependent(model))
    spec = _spec(model, features, INTERVENTIONAL, reference, len(rows))
    return Engine(model, tuple(features), spec, _interventional(model, rows))


def attribute(prepared: Engine, recorded: Recorded) -> Attributions:
    """Attribute one decision's margin to its inputs.

    Raises ModelError where the decision's inputs are not the model's.
    """
    model = prepared.model
    row = encode_row(prepared.features, recorded.inputs, recorded.categoricals)
    phi, base = prepared.phi(row)
    output = float(model.margin(row)[0])
    residual = abs(base + math.fsum(phi) - output)
    replayed = float(model.score(row)[0])
    replay_error = None if recorded.score is None else abs(replayed - recorded.score)
    return Attributions(
        spec=prepared.spec,
        phi=tuple(float(value) for value in phi),
        values=tuple(_value(feature, recorded) for feature in prepared.features),
        units=tuple(feature.unit for feature in prepared.features),
        base=base,
        output=output,
        threshold=on_link(recorded.threshold, model.link),
        residual=residual,
        replayed_score=replayed,
        replay_error=replay_error,
        problems=tuple(_problems(residual, output, replayed, recorded.score)),
    )


def on_link(score: float | None, link: str) -> float | None:
    """A score in the link's unit; None where it has no finite place there.

    >>> on_link(0.5, "logit"), on_link(30.0, "identity"), on_link(1.0, "logit")
    (0.0, 30.0, None)
    """
    if score is None or not math.isfinite(score):
        return None
    if link == "identity":
        return score
    return math.log(score / (1.0 - score)) if 0.0 < score < 1.0 else None


def warm() -> None:
    """Import what the first explanation needs: seconds that a server spends before its first page."""
    import lightgbm  # noqa: F401
    import shap  # noqa: F401


def _interventional(model: Model, rows: np.ndarray) -> Phi:
    import shap
    from shap.maskers import Independent

    # Given an array, TreeExplainer would silently keep 100 of its rows.
    masker: Any = Independent(model.as_read(rows), max_samples=len(rows))
    explainer: Any = shap.TreeExplainer(
        model.booster, masker, feature_perturbation="interventional", model_output="raw"
    )
    scale = model.text.scale
    base = float(np.ravel(explainer.expected_value)[0]) * scale

    def phi(row: np.ndarray) -> tuple[np.ndarray, float]:
        values = explainer.shap_values(model.as_read(row), check_additivity=False)
        return np.asarray(values, dtype=np.float64).reshape(-1) * scale, base

    return phi


def _path_dependent(model: Model) -> Phi:
    def phi(row: np.ndarray) -> tuple[np.ndarray, float]:
        values = model.booster.predict(row, pred_contrib=True, num_threads=1)[0] * model.text.scale
        return values[:-1], float(values[-1])

    return phi


def _problems(
    residual: float, output: float, replayed: float, device_score: float | None
) -> list[str]:
    problems = []
    allowed = RESIDUAL_TOLERANCE * max(1.0, abs(output))
    if not residual <= allowed:
        problems.append(
            f"the parts do not add up to the output: {residual:.3g} is left, {allowed:.3g} is allowed"
        )
    if device_score is not None:
        error = abs(replayed - device_score)
        if not error <= REPLAY_TOLERANCE * max(1.0, abs(device_score)):
            problems.append(
                "the model here is not what the device ran: "
                f"it scores {replayed:.6g}, the device recorded {device_score:.6g}"
            )
    return problems


def _value(feature: Feature, recorded: Recorded) -> float | str:
    if feature.levels:
        return recorded.categoricals[feature.name]
    return float(recorded.inputs[feature.name])


def _spec(
    model: Model,
    features: Sequence[Feature],
    algorithm: str,
    reference: Reference | None,
    rows: int,
) -> Spec:
    spec = Spec(
        spec_id="",
        model_digest=model.digest,
        artifact=model.artifact,
        output="margin",
        link=model.link,
        algorithm=algorithm,
        library=", ".join(
            f"{name} {importlib.metadata.version(name)}" for name in ("shap", "lightgbm")
        ),
        features=tuple(feature.name for feature in features),
        reference_id=reference.reference_id if reference else "",
        background_rows=rows,
        background_seed=BACKGROUND_SEED,
        background_from=reference.first_at if reference else None,
        background_to=reference.last_at if reference else None,
    )
    values = {f.name: getattr(spec, f.name) for f in fields(spec) if f.name != "spec_id"}
    return Spec(**{**values, "spec_id": spec_id(values)})


def spec_id(values: Mapping[str, Any]) -> str:
    """`sha256:<64 hex>` of the canonical JSON of a spec's other fields: sorted keys, no spaces, UTC times."""
    text = json.dumps(
        values,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        default=datetime.isoformat,
    )
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
