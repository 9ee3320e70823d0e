"""Models as a decision point calls them: any callable, a LightGBM Booster, an ONNX session.

Recognised by what they can do, so that nothing is imported here: NumPy is the one that the model
itself has loaded. The numbers enter the model as they do on the server.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Predict = Callable[[Mapping[str, Any]], Any]


def scorer(
    model: Any, features: Sequence[str] = (), levels: Mapping[str, Sequence[str]] | None = None
) -> Predict:
    """The model as a function of inputs and categoricals by name to a score.

    `features` is the model's order; left empty, it is the model's own list, else the order in which
    inputs are handed in. A categorical feature enters as its index in its `levels`, NaN where it is
    none of them. An ONNX session has one input `(rows, features)`, and one score as its first output.
    """
    if callable(model):
        return model
    if _has(model, "predict", "feature_name"):
        return _of_booster(model, tuple(features or model.feature_name()), _indices(levels))
    if _has(model, "run", "get_inputs", "get_modelmeta"):
        return _of_session(model, tuple(features or _listed(model)), _indices(levels))
    return model


def _of_booster(model: Any, features: tuple[str, ...], indices: _Indices) -> Predict:
    def predict(values: Mapping[str, Any]) -> Any:
        rows = sys.modules["numpy"].array([_row(values, features, indices)], dtype="float64")
        return model.predict(rows, num_threads=1)[0]

    return predict


def _of_session(session: Any, features: tuple[str, ...], indices: _Indices) -> Predict:
    given = session.get_inputs()[0]
    name, kind = given.name, "float64" if given.type == "tensor(double)" else "float32"

    def predict(values: Mapping[str, Any]) -> Any:
        numpy = sys.modules["numpy"]
        rows = numpy.array([_row(values, features or tuple(values), indices)], dtype=kind)
        return numpy.asarray(session.run(None, {name: rows})[0]).reshape(1)[0]

    return predict


_Indices = Mapping[str, Mapping[str, float]]


def _row(values: Mapping[str, Any], features: tuple[str, ...], indices: _Indices) -> list[float]:
    if not indices:
        return [values[name] for name in features]
    return [
        indices[name].get(values[name], math.nan) if name in indices else values[name]
        for name in features
    ]


def _indices(levels: Mapping[str, Sequence[str]] | None) -> _Indices:
    return {
        name: {level: float(place) for place, level in enumerate(known)}
        for name, known in (levels or {}).items()
    }


def _listed(session: Any) -> list[str]:
    """The features that the session's metadata lists."""
    try:
        listed = session.get_modelmeta().custom_metadata_map.get("features", "[]")
        return [str(feature["name"]) for feature in json.loads(listed)]
    except Exception:
        return []


def _has(model: Any, *names: str) -> bool:
    return all(callable(getattr(model, name, None)) for name in names)
