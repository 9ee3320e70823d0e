"""The features of a model in its order: names, units, levels, what each can be and who can change it.

Owns how recorded inputs become the model's row. No other file turns a level into a number.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from traces.errors import ModelError

_KEYS = ("name", "unit", "levels", "low", "high", "actionable", "player")
_FORM = f"a list of {{{', '.join(_KEYS)}}}"


@dataclass(frozen=True, slots=True)
class Feature:
    """One input of a model. A feature with `levels` is categorical and enters as the index of its level.

    It can be from `low` to `high`, in its own unit; None is open. `actionable`: people can change it.
    Features of the same `player` share one part of an attribution; empty: a part of its own.
    Raises ModelError where low does not lie below high.
    """

    name: str
    unit: str = ""
    levels: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    actionable: bool = True
    player: str = ""

    def __post_init__(self) -> None:
        given = [end for end in (self.low, self.high) if end is not None]
        if self.levels and given:
            found = f"low or high of {self.name}, which has levels"
            raise ModelError(found, "levels, or a range")
        if not all(map(math.isfinite, given)) or (len(given) == 2 and given[0] >= given[1]):
            found = f"low {self.low} and high {self.high} of {self.name}"
            raise ModelError(found, "finite numbers, low below high", "leave out what is open")


def read_features(path: Path) -> tuple[Feature, ...]:
    """Read a feature list from YAML, in the order of the model.

    Raises ModelError where the file is no list of features.
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
    check_names(features, str(path))
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
    _refuse_missing(features, inputs, categoricals)
    row = [
        level_index(feature, categoricals[feature.name])
        if feature.levels
        else float(inputs[feature.name])
        for feature in features
    ]
    return np.array([row], dtype=np.float64)


def encode_columns(
    features: Sequence[Feature],
    inputs: Mapping[str, np.ndarray],
    categoricals: Mapping[str, np.ndarray],
) -> np.ndarray:
    """Many of the model's rows `(n, n_features)`, from columns `(n,)` by name; else as `encode_row`."""
    _refuse_missing(features, inputs, categoricals)
    columns = [
        np.array([level_index(feature, level) for level in categoricals[feature.name]])
        if feature.levels
        else inputs[feature.name]
        for feature in features
    ]
    return np.ascontiguousarray(np.column_stack(columns), dtype=np.float64)


def level_index(feature: Feature, level: str | None) -> float:
    """The number by which a level enters the model; NaN for an unknown or missing one."""
    return float(feature.levels.index(level)) if level in feature.levels else math.nan


def check_names(features: Sequence[Feature], where: str) -> None:
    """Raise ModelError where a feature is named twice, or a player as a feature is."""
    names = [feature.name for feature in features]
    refuse_repeats(names, where)
    same = sorted({feature.player for feature in features} & set(names))
    if same:
        raise ModelError(f"player {', '.join(same)} in {where}", "names that no feature has")


def refuse_repeats(names: Sequence[str], where: str) -> None:
    """Raise ModelError where a feature is named twice."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ModelError(f"{', '.join(repeated)} more than once in {where}", "each feature once")


def _refuse_missing(
    features: Sequence[Feature], inputs: Container[str], categoricals: Container[str]
) -> None:
    missing = [f.name for f in features if f.name not in (categoricals if f.levels else inputs)]
    if missing:
        raise ModelError(
            f"a decision without the input {', '.join(missing)}",
            "every feature of its model",
            "the device recorded other inputs than this model reads",
        )


def _feature(entry: object, path: Path) -> Feature:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not entry["name"]:
        raise ModelError(f"{entry!r} in {path}", "a feature with a name")
    unknown = sorted(str(key) for key in entry if key not in _KEYS)
    if unknown:
        found = f"{', '.join(unknown)} of feature {entry['name']} in {path}"
        raise ModelError(found, f"{', '.join(_KEYS[:-1])} or {_KEYS[-1]}")
    levels = entry.get("levels") or []
    if not isinstance(levels, list) or not all(isinstance(level, str) for level in levels):
        raise ModelError(
            f"levels {levels!r} of {entry['name']} in {path}",
            "a list of texts",
            'quote levels that look like numbers or truth values: "1", "no"',
        )
    refuse_repeats(levels, f"the levels of {entry['name']}")
    actionable = entry.get("actionable", True)
    if not isinstance(actionable, bool):
        found = f"actionable {actionable!r} of {entry['name']} in {path}"
        raise ModelError(found, "true or false")
    return Feature(
        entry["name"],
        str(entry.get("unit") or ""),
        tuple(levels),
        low=_end(entry, "low", path),
        high=_end(entry, "high", path),
        actionable=actionable,
        player=str(entry.get("player") or ""),
    )


def _end(entry: Mapping[str, object], key: str, path: Path) -> float | None:
    value = entry.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ModelError(f"{key} {value!r} of {entry['name']} in {path}", "a number")
    return float(value)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
