"""The features of a model: names, units and the levels of categoricals, in the model's order.

Owns how recorded inputs become the model's row. No other file turns a level into a number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from traces.errors import ModelError

_KEYS = {"name", "unit", "levels"}
_FORM = "a list of {name, unit, levels}"


@dataclass(frozen=True, slots=True)
class Feature:
    """One input of a model. A feature with `levels` is categorical and enters as the index of its level."""

    name: str
    unit: str = ""
    levels: tuple[str, ...] = ()


def read_features(path: Path) -> tuple[Feature, ...]:
    """Read a feature list from YAML, in the order of the model.

    Raises ModelError where the file is no list of `name`, `unit` and `levels`.
    """
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"no file {path}", "a YAML feature list") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        found = f"{path}, which is not readable YAML ({_one_line(error)})"
        raise ModelError(found, _FORM) from error
    if not isinstance(entries, list) or not entries:
        raise ModelError(f"{path} with no list", _FORM)
    features = tuple(_feature(entry, path) for entry in entries)
    refuse_repeats([feature.name for feature in features], str(path))
    return features


def encode_row(
    features: Sequence[Feature], inputs: Mapping[str, float], categoricals: Mapping[str, str]
) -> np.ndarray:
    """The model's row, shape `(1, n_features)`: numbers as they are, levels as their index.

    A level that the model does not know is NaN, as is a missing number. Raises ModelError where an
    input was not recorded at all.

    >>> encode_row([Feature("t"), Feature("mode", levels=("eco", "max"))], {"t": 2.5}, {"mode": "max"})
    array([[2.5, 1. ]])
    """
    missing = [f.name for f in features if f.name not in (categoricals if f.levels else inputs)]
    if missing:
        raise ModelError(
            f"a decision without the input {', '.join(missing)}",
            "every feature of its model",
            "the device recorded other inputs than this model reads",
        )
    row = [
        level_index(feature, categoricals[feature.name])
        if feature.levels
        else float(inputs[feature.name])
        for feature in features
    ]
    return np.array([row], dtype=np.float64)


def level_index(feature: Feature, level: str | None) -> float:
    """The number by which a level enters the model; NaN for an unknown or missing one."""
    return float(feature.levels.index(level)) if level in feature.levels else math.nan


def refuse_repeats(names: Sequence[str], where: str) -> None:
    """Raise ModelError where a feature is named twice."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ModelError(f"{', '.join(repeated)} more than once in {where}", "each feature once")


def _feature(entry: object, path: Path) -> Feature:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not entry["name"]:
        raise ModelError(f"{entry!r} in {path}", "a feature with a name")
    unknown = set(entry) - _KEYS
    if unknown:
        found = f"{', '.join(sorted(map(str, unknown)))} of feature {entry['name']} in {path}"
        raise ModelError(found, "name, unit and levels")
    levels, unit = entry.get("levels") or [], entry.get("unit") or ""
    if not isinstance(levels, list) or not all(isinstance(level, str) for level in levels):
        raise ModelError(
            f"levels {levels!r} of {entry['name']} in {path}",
            "a list of texts",
            'quote levels that look like numbers or truth values: "1", "no"',
        )
    refuse_repeats(levels, f"the levels of {entry['name']}")
    return Feature(entry["name"], str(unit), tuple(levels))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
