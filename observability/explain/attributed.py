"""The attributions of one decision: its score replayed, its parts checked, every choice in the spec.

Owns the checks that decide whether attributions may be shown, and the spec that makes them reproducible.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from observability.explain.attribution import Explainer, explainer
from observability.explain.explanation import Attributions, Spec
from observability.models.artifact import model_of, read_file
from observability.models.features import Feature, encode_row
from observability.models.link import on_link
from observability.models.model import Model
from observability.models.reference import BACKGROUND_SEED, Reference, background
from traces.errors import ModelError

RESIDUAL_TOLERANCE = 1e-6
"""Allowed |base + sum(phi) - output|, as a share of the larger of 1 and |output|."""
REPLAY_TOLERANCE = 1e-6
"""Allowed |score here - score on the device|, as a share of the larger of 1 and |score|."""

LIKELIEST = "margin of the likeliest class"
KEPT_ENGINES = 8


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the device recorded of one decision's model; score and threshold in the score's unit."""

    inputs: Mapping[str, float]
    categoricals: Mapping[str, str]
    score: float | None
    threshold: float | None


@dataclass(frozen=True, slots=True)
class Engine:
    """A registered model ready to explain its decisions."""

    explainer: Explainer
    features: tuple[Feature, ...]
    spec: Spec


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
    """An engine over background rows of shape `(n, n_features)`."""
    chosen = explainer(model, rows)
    return Engine(chosen, tuple(features), _spec(chosen, features, reference, len(rows)))


def attribute_decision(prepared: Engine, recorded: Recorded) -> Attributions:
    """Attribute one decision's margin to its inputs; of several classes, that of the likeliest.

    Raises ModelError where the decision's inputs are not the model's.
    """
    model = prepared.explainer.model
    row = encode_row(prepared.features, recorded.inputs, recorded.categoricals)
    found, scores = prepared.explainer.attribute(row), np.ravel(model.score(row))
    likeliest = int(np.argmax(scores))
    replayed, output = float(scores[likeliest]), float(np.ravel(found.output)[likeliest])
    residual = float(np.ravel(found.residual)[likeliest])
    return Attributions(
        spec=prepared.spec,
        phi=_parts(found.phi, likeliest),
        values=tuple(_value(feature, recorded) for feature in prepared.features),
        units=tuple(feature.unit for feature in prepared.features),
        base=float(np.ravel(found.base)[likeliest]),
        output=output,
        threshold=on_link(recorded.threshold, model.link),
        residual=residual,
        replayed_score=replayed,
        replay_error=None if recorded.score is None else abs(replayed - recorded.score),
        problems=tuple(problems(residual, output, replayed, recorded.score)),
        standard_error=_parts(found.standard_error, likeliest),
    )


def _parts(values: np.ndarray, output: int) -> tuple[float, ...]:
    """One row's values of one output, by feature."""
    return tuple(values.reshape(values.shape[1], -1)[:, output].tolist())


def problems(
    residual: float, output: float, replayed: float, device_score: float | None
) -> list[str]:
    """Why attributions may not be shown, a line each that goes into numbers after its colon."""
    found = []
    allowed = RESIDUAL_TOLERANCE * max(1.0, abs(output))
    if not residual <= allowed:
        found.append(
            f"the parts do not add up to the output: {residual:.3g} is left, {allowed:.3g} is allowed"
        )
    if device_score is not None:
        error = abs(replayed - device_score)
        if not error <= REPLAY_TOLERANCE * max(1.0, abs(device_score)):
            found.append(
                "the model here is not what the device ran: "
                f"it scores {replayed:.6g}, the device recorded {device_score:.6g}"
            )
    return found


def _value(feature: Feature, recorded: Recorded) -> float | str:
    if feature.levels:
        return recorded.categoricals[feature.name]
    return float(recorded.inputs[feature.name])


def _spec(chosen: Explainer, features: Sequence[Feature], reference: Reference, rows: int) -> Spec:
    model = chosen.model
    libraries = ("numba", "numpy", *model.runtime)
    spec = Spec(
        spec_id="",
        model_digest=model.digest,
        artifact=model.artifact,
        output="margin" if model.output_count == 1 else LIKELIEST,
        link=model.link,
        algorithm=chosen.algorithm,
        library=", ".join(f"{name} {importlib.metadata.version(name)}" for name in libraries),
        features=tuple(feature.name for feature in features),
        reference_id=reference.reference_id,
        background_rows=rows,
        background_seed=BACKGROUND_SEED,
        background_from=reference.first_at,
        background_to=reference.last_at,
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
