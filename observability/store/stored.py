"""A stored decision as a value: the decision with what the store knows around it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from observability.store.records import stored_decision_value
from traces import Decision


@dataclass(frozen=True, slots=True)
class KnownOutcome:
    """One outcome of the decision; times UTC."""

    label: str
    value: float | None
    source: str
    observed_at: datetime
    received_at: datetime


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """A decision with its place in the store; times UTC."""

    device_id: str
    decision_id: str
    decided_at: datetime
    received_at: datetime
    identity: str
    origin: str
    decision: Decision
    outcomes: tuple[KnownOutcome, ...]


def stored_decision(con: duckdb.DuckDBPyConnection, decision_id: str) -> StoredDecision | None:
    """The decision of this id, with its outcomes in the order in which they became known; None if not stored."""
    row = first_row(
        con,
        "SELECT decisions.*, names, categorical_names FROM decisions LEFT JOIN layouts USING (layout_id) WHERE decision_id = ?",
        [decision_id],
    )
    if row is None:
        return None
    outcomes = con.execute(
        "SELECT label, value, source, observed_at, received_at FROM outcomes"
        " WHERE decision_id = ? AND device_id = ? ORDER BY received_at, observed_at",
        [decision_id, row["device_id"]],
    ).fetchall()
    return StoredDecision(
        device_id=row["device_id"],
        decision_id=row["decision_id"],
        decided_at=row["decided_at"],
        received_at=row["received_at"],
        identity=row["identity"],
        origin=row["origin"],
        decision=stored_decision_value(row),
        outcomes=tuple(KnownOutcome(*outcome) for outcome in outcomes),
    )


def first_row(
    con: duckdb.DuckDBPyConnection, query: str, parameters: list[Any]
) -> dict[str, Any] | None:
    """The first row of a query by column name."""
    cursor = con.execute(query, parameters)
    row = cursor.fetchone()
    if row is None:
        return None
    return dict(zip([column[0] for column in cursor.description or ()], row, strict=True))
