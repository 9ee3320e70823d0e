"""The attributions of a seeded fleet's decisions, by its own model, against its own reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from observability.explain.attributed import Engine, engine
from observability.models import registry
from observability.models.features import encode_row
from observability.store import lake
from observability.store.append import append
from observability.store.read import frame
from observability.store.schema import arrow_table
from traces.errors import ModelError

_DECISIONS = """
SELECT device_id, decision_id, decision_type, decided_at, score,
    map_from_entries(list_zip(names, inputs)) AS inputs
FROM decisions JOIN layouts USING (layout_id, decision_type)
WHERE model_digest = $digest
"""


def attribute(store: Path) -> None:
    """Attribute each decision that has all of its model's inputs."""
    with lake.connect(store) as con:
        (model,) = registry.registered(con, store, name="pump-wear")
        decided = frame(con, _DECISIONS, {"digest": model.version.digest}).to_dicts()
    assert model.reference is not None
    assert model.reference_path is not None
    prepared = engine(
        model.artifact_path, model.version.digest, model.features, model.reference_path,
        model.reference,
    )  # fmt: skip
    rows = []
    for one in decided:
        try:
            rows.append((one, encode_row(model.features, one.pop("inputs"), {})[0]))
        except ModelError:
            continue
    append(
        store,
        {
            "specs": arrow_table("specs", [asdict(prepared.spec)]),
            "attributions": arrow_table("attributions", _attributed(prepared, rows)),
        },
    )


def _attributed(
    prepared: Engine, rows: list[tuple[dict[str, Any], np.ndarray]]
) -> list[Mapping[str, Any]]:
    values = np.stack([row for _, row in rows])
    found, scores = prepared.explainer.attribute(values), prepared.explainer.model.score(values)
    written = []
    for place, (one, _) in enumerate(rows):
        error = abs(float(scores[place]) - one.pop("score"))
        written.append(
            {
                **one,
                "spec_id": prepared.spec.spec_id,
                "phi": found.phi[place].tolist(),
                "se": [],
                "base": float(found.base),
                "output": float(found.output[place]),
                "residual": float(found.residual[place]),
                "replay_error": error,
                "weight": 1.0,
                "status": "ok" if error < 1e-6 else "the model here is not what the device ran",
            }
        )
    return written
