"""`whence models`: register model versions and show what is registered."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import observability
from observability.models import registry
from observability.models.features import Feature, read_features
from observability.models.registry import RegisteredModel
from observability.store.location import Location
from traces.errors import WrongUse


def run(arguments: argparse.Namespace) -> int:
    """Add, list or show. Raises ModelError for a file that is no model, WrongUse for an unknown name."""
    if arguments.action == "add":
        models: Sequence[RegisteredModel] = [_add(arguments)]
    elif arguments.action == "show":
        models = _show(arguments)
    else:
        models = _registered(arguments.store)
    if arguments.json:
        values = [_plain(model) for model in models]
        answer: Any = values[0] if arguments.action == "add" else values
        sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
    elif arguments.action == "list":
        sys.stdout.write(_table(models))
    else:
        sys.stdout.write("\n".join(map(_facts, models)))
    return 0


def _add(arguments: argparse.Namespace) -> RegisteredModel:
    features = read_features(Path(arguments.features)) if arguments.features else ()
    return registry.add(
        arguments.store,
        Path(arguments.file),
        name=arguments.name,
        version=arguments.version,
        features=features,
        reference=Path(arguments.reference) if arguments.reference else None,
        threshold=arguments.threshold,
    )


def _show(arguments: argparse.Namespace) -> Sequence[RegisteredModel]:
    models = _registered(arguments.store, name=arguments.name, version=arguments.version)
    if not models:
        every = _registered(arguments.store)
        known = ", ".join(f"{m.version.name} {m.version.version}" for m in every) or "none yet"
        asked = f"{arguments.name} {arguments.version or ''}".strip()
        raise WrongUse(f"no model {asked}", "a registered model", f"registered: {known}")
    return models


def _registered(store: Location, **asked: str | None) -> Sequence[RegisteredModel]:
    with observability.connect(store) as con:
        return registry.registered(con, store, **asked)


def _table(models: Sequence[RegisteredModel]) -> str:
    if not models:
        return "no model is registered; `whence models add FILE` registers one\n"
    head = ("NAME", "VERSION", "DIGEST", "FEATURES", "THRESHOLD", "REFERENCE", "REGISTERED")
    rows = [head, *(_row(model) for model in models)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    return "".join(line.rstrip() + "\n" for line in lines)


def _row(model: RegisteredModel) -> tuple[str, ...]:
    return (
        model.version.name,
        model.version.version,
        model.version.digest[:19],
        str(len(model.features)),
        "-" if model.threshold is None else f"{model.threshold:g}",
        f"{model.reference.row_count:,} rows" if model.reference else "none",
        f"{model.registered_at:%Y-%m-%dT%H:%M:%SZ}",
    )


def _facts(model: RegisteredModel) -> str:
    facts = {
        "model": f"{model.version.name} {model.version.version}",
        "digest": model.version.digest,
        "artifact": f"{model.artifact}, {model.artifact_path}",
        "link": model.link,
        "threshold": "none" if model.threshold is None else f"{model.threshold:g}",
        "reference": _reference(model),
        "registered": f"{model.registered_at:%Y-%m-%dT%H:%M:%SZ}",
        "features": f"{len(model.features):,}, in the model's order",
    }
    lines = [f"{name:<11} {value}" for name, value in facts.items()]
    lines += [f"  {_feature(feature)}" for feature in model.features]
    return "\n".join(lines) + "\n"


def _reference(model: RegisteredModel) -> str:
    held = model.reference
    if held is None:
        return "none: decisions of this model cannot be attributed; add one with --reference"
    devices = f" of {held.device_count:,} devices" if held.device_count else ""
    window = ""
    if held.first_at and held.last_at:
        window = f", {held.first_at:%Y-%m-%d} to {held.last_at:%Y-%m-%d}"
    return f"{held.row_count:,} rows{devices}{window}, {held.reference_id}"


def _feature(feature: Feature) -> str:
    ends = ["open" if end is None else f"{end:g}" for end in (feature.low, feature.high)]
    notes = [f"one of {', '.join(feature.levels)}"] if feature.levels else []
    notes += [f"{ends[0]} to {ends[1]}"] if ends != ["open", "open"] else []
    notes += [] if feature.actionable else ["not for people to change"]
    notes += [f"part of {feature.player}"] if feature.player else []
    unit = f" [{feature.unit}]" if feature.unit else ""
    return f"{feature.name}{unit}{': ' if notes else ''}{'; '.join(notes)}"


def _plain(model: RegisteredModel) -> dict[str, Any]:
    held = model.reference
    return {
        "name": model.version.name,
        "version": model.version.version,
        "digest": model.version.digest,
        "artifact": model.artifact,
        "path": str(model.artifact_path),
        "link": model.link,
        "threshold": model.threshold,
        "features": [asdict(feature) for feature in model.features],
        "registered_at": f"{model.registered_at:%Y-%m-%dT%H:%M:%S.%fZ}",
        "reference": None
        if held is None
        else {
            "reference_id": held.reference_id,
            "rows": held.row_count,
            "devices": held.device_count,
            "from": f"{held.first_at:%Y-%m-%dT%H:%M:%S.%fZ}" if held.first_at else None,
            "to": f"{held.last_at:%Y-%m-%dT%H:%M:%S.%fZ}" if held.last_at else None,
        },
    }
