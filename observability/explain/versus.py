"""What a decision is compared with: the fleet's reference, its own device, or one other decision.

Owns the background rows of each. An explanation has one of them, and its spec says which.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import numpy as np

from observability.explain.attributed import (
    Engine,
    build_engine,
    engine,
    fleet_background,
    registered_model,
)
from observability.explain.explanation import FLEET
from observability.models.artifact import digest_of
from observability.models.features import encode_columns, encode_row
from observability.models.reference import Reference
from observability.models.registry import RegisteredModel
from observability.store.read_past import Past
from observability.store.stored import StoredDecision, stored_decision
from traces.errors import ModelError, WrongUse

DEVICE = "device"
FEWEST = 100
"""Earlier decisions of a device that are needed to compare one with."""


@dataclass(frozen=True, slots=True)
class Compared:
    """An engine with its background, and rows `(n, n_features)` that were seen of the features."""

    engine: Engine
    background: np.ndarray
    seen: np.ndarray


def compared(
    model: RegisteredModel,
    stored: StoredDecision,
    own: Past,
    other: StoredDecision | None,
    versus: str,
) -> Compared:
    """What explains a decision of a model versus what was asked for; `own` as `own_past` gives it.

    Raises ModelError where there is nothing of that kind to compare with.
    """
    fleet = _fleet(model)
    if versus == FLEET:
        if fleet is None or model.reference is None or model.reference_path is None:
            name = f"{model.version.name} {model.version.version}"
            raise ModelError(
                f"no reference registered for {name}",
                "one to compare with",
                "`whence models add` takes one",
            )
        ready = engine(
            model.artifact_path,
            model.version.digest,
            model.features,
            model.reference_path,
            model.reference,
        )
        return Compared(ready, fleet, fleet)
    name, rows, reference = _of_decision(model, other) if other else _of_device(model, stored, own)
    loaded = registered_model(model.artifact_path, model.version.digest)
    ready = build_engine(loaded, model.features, rows, reference, name)
    return Compared(ready, rows, rows if fleet is None else fleet)


def other_decision(
    con: duckdb.DuckDBPyConnection, stored: StoredDecision, versus: str
) -> StoredDecision | None:
    """The decision that `versus` names; None for the words. Raises WrongUse where it cannot be one."""
    if versus in (FLEET, DEVICE):
        return None
    other = stored_decision(con, versus)
    if other is None:
        raise WrongUse(f"no decision {versus}", "fleet, device or the id of a stored decision")
    here = stored.decision.type, stored.decision.model.name
    if versus == stored.decision_id or (other.decision.type, other.decision.model.name) != here:
        what = "the decision itself" if versus == stored.decision_id else other.decision.type
        found = f"{what} to compare {stored.decision_id} with"
        raise WrongUse(found, f"another decision of {here[0]} by {here[1]}")
    return other


def _fleet(model: RegisteredModel) -> np.ndarray | None:
    if model.reference is None or model.reference_path is None:
        return None
    return fleet_background(model.features, model.reference_path, model.reference.reference_id)


def _of_decision(
    model: RegisteredModel, other: StoredDecision
) -> tuple[str, np.ndarray, Reference]:
    decision = other.decision
    row = encode_row(model.features, decision.inputs, decision.categoricals)
    return f"decision {other.decision_id}", row, _reference(row, other.decided_at, other.decided_at)


def _of_device(
    model: RegisteredModel, stored: StoredDecision, own: Past
) -> tuple[str, np.ndarray, Reference]:
    before = own.take((own.rows["decided_at"] < stored.decided_at).to_numpy())
    count = before.rows.height
    if count < FEWEST:
        raise ModelError(
            f"{count} earlier decisions of {stored.device_id} with these inputs",
            f"{FEWEST} of them to compare with",
        )
    numbers = dict(zip(stored.decision.inputs, before.numbers.T, strict=True))
    texts = dict(zip(stored.decision.categoricals, before.texts.T, strict=True))
    rows = encode_columns(model.features, numbers, texts)
    times = before.rows["decided_at"].to_list()
    return f"{DEVICE} {stored.device_id}", rows, _reference(rows, times[-1], times[0])


def _reference(rows: np.ndarray, first_at: datetime, last_at: datetime) -> Reference:
    """What is known of rows that no file holds; their id is the digest of their bytes."""
    times = first_at.astimezone(UTC), last_at.astimezone(UTC)
    return Reference(digest_of(rows.tobytes()), len(rows), 1, *times)
