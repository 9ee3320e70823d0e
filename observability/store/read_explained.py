"""What of a store is explained: which attributions may be shown together, and how they are found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import duckdb

from observability.store.read import Window, frame
from observability.store.read_drift import Input

# Specs and models are read whole and joined here: they are tiny.
_EXPLAINED = """
SELECT decision_type, spec_id, count(*) AS attributions, max(decided_at) AS last_at
FROM attributions GROUP BY ALL ORDER BY last_at DESC, attributions DESC, decision_type, spec_id
"""
_SPECS = """
SELECT spec_id, model_digest, output, link, algorithm, features AS names, reference_id,
    background_rows, background_from, background_to
FROM specs
"""
_MODELS = "SELECT name, version, digest, features, threshold FROM models ORDER BY received_at"


@dataclass(frozen=True, slots=True)
class Explained:
    """What attributions may be shown together: those of one decision type, model and spec.

    `models` are the registered versions with that digest; `inputs` follow phi; `threshold` is in the
    unit of the score. The reference's `background_rows` are of `background_from` to `background_to`,
    UTC. `last_at` is when the newest explained decision was made.
    """

    decision_type: str
    models: tuple[str, ...]
    model_digest: str
    spec_id: str
    output: str
    link: str
    algorithm: str
    inputs: tuple[Input, ...]
    threshold: float | None
    reference_id: str
    background_rows: int
    background_from: datetime | None
    background_to: datetime | None
    attributions: int
    last_at: datetime


def explained(con: duckdb.DuckDBPyConnection) -> tuple[Explained, ...]:
    """What of a store is explained, the newest decisions first."""
    groups = frame(con, _EXPLAINED).to_dicts()
    if not groups:
        return ()
    specs = {row["spec_id"]: row for row in frame(con, _SPECS).to_dicts()}
    models = frame(con, _MODELS).to_dicts()
    return tuple(
        _explained(row, specs[row["spec_id"]], models) for row in groups if row["spec_id"] in specs
    )


def columns(of: Explained) -> tuple[tuple[int, str | None], ...]:
    """What is compared of the inputs: the index of each number, and of a categorical each level."""
    return tuple(
        (number, level)
        for number, found in enumerate(of.inputs)
        for level in (found.levels or (None,))
    )


def of_spec(window: Window) -> str:
    """What makes a row of `attributions` one of them."""
    return _within("decision_type = $type AND spec_id = $spec", window)


def of_model(window: Window) -> str:
    """What makes a row of `decisions` one of the model's, explained or not."""
    return _within("decision_type = $type AND model_digest = $digest", window)


def asked(of: Explained, window: Window, *names: Literal["spec", "digest"]) -> dict[str, Any]:
    """The parameters of these conditions: `spec` of the first, `digest` of the second."""
    every = {"type": of.decision_type, "since": window.start, "until": window.end}
    ids = {"spec": of.spec_id, "digest": of.model_digest}
    given = {name: value for name, value in every.items() if value is not None}
    return given | {name: ids[name] for name in names}


def _explained(
    group: Mapping[str, Any], spec: Mapping[str, Any], models: list[dict[str, Any]]
) -> Explained:
    registered = [model for model in models if model["digest"] == spec["model_digest"]]
    known = {f["name"]: f for model in registered for f in model["features"]}
    inputs = tuple(
        Input(name, known[name]["unit"] or "", tuple(known[name]["levels"] or ()))
        if name in known
        else Input(name)
        for name in spec["names"]
    )
    kept = {key: value for key, value in spec.items() if key not in ("names", "spec_id")}
    for name in ("background_from", "background_to"):
        kept[name] = kept[name] and kept[name].astimezone(UTC)
    return Explained(
        **{**group, "last_at": group["last_at"].astimezone(UTC)},
        **kept,
        models=tuple(f"{model['name']} {model['version']}" for model in registered),
        inputs=inputs,
        threshold=registered[-1]["threshold"] if registered else None,
    )


def _within(rows: str, window: Window) -> str:
    """Only the bounds that there are: they leave out files whose decisions lie elsewhere."""
    start = " AND decided_at >= $since" if window.start else ""
    end = " AND decided_at < $until" if window.end else ""
    return f"{rows}{start}{end}"
