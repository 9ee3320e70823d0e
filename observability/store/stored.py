"""A stored decision as a value: the decision with what the store knows around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import duckdb

from observability.store import lake
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
class KnownReview:
    """What a person said to the decision; `action` is None where nothing is known. Times UTC."""

    gate: str
    verdict: str
    reviewer: str
    reason: str
    action: str | None
    reviewed_at: datetime
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
    reviews: tuple[KnownReview, ...] = ()
    layout_id: str = ""
    resource_id: str = ""
    clock_uncertainty_us: int | None = None


def stored_decision(con: duckdb.DuckDBPyConnection, decision_id: str) -> StoredDecision | None:
    """The decision of this id; None if not stored.

    Its outcomes come in the order in which they became known, its reviews in that in which they were given.

    Of an id that several devices claim, the decision stored first.
    """
    row = first_row(
        con, "SELECT * FROM decisions WHERE decision_id = ? ORDER BY received_at", [decision_id]
    )
    if row is None:
        return None
    outcomes = con.execute(
        "SELECT label, value, source, observed_at, received_at FROM outcomes"
        " WHERE decision_id = ? AND device_id || '' = ? ORDER BY received_at, observed_at",
        [decision_id, row["device_id"]],
    ).fetchall()
    return replace(
        as_stored(con, row),
        outcomes=tuple(KnownOutcome(*outcome) for outcome in outcomes),
        reviews=_reviews(con, row["device_id"], decision_id),
    )


def as_stored(con: duckdb.DuckDBPyConnection, row: Mapping[str, Any]) -> StoredDecision:
    """A row of `decisions`, without what became known later."""
    names, categorical_names = _layout(con, row["layout_id"])
    named = {**row, "names": names, "categorical_names": categorical_names}
    return StoredDecision(
        device_id=row["device_id"],
        decision_id=row["decision_id"],
        decided_at=row["decided_at"],
        received_at=row["received_at"],
        identity=row["identity"],
        origin=row["origin"],
        decision=stored_decision_value(named),
        outcomes=(),
        layout_id=row["layout_id"],
        resource_id=row["resource_id"],
        clock_uncertainty_us=row["clock_uncertainty_us"],
    )


_layouts: dict[str, tuple[list[str], list[str]]] = {}
"""Names by layout id, which is their digest: the same in every store."""


def _layout(con: duckdb.DuckDBPyConnection, layout_id: str) -> tuple[list[str], list[str]]:
    if layout_id not in _layouts:
        found = con.execute("SELECT layout_id, names, categorical_names FROM layouts").fetchall()
        _layouts.update({row[0]: (row[1], row[2]) for row in found})
    return _layouts.get(layout_id, ([], []))


def _reviews(
    con: duckdb.DuckDBPyConnection, device_id: str, decision_id: str
) -> tuple[KnownReview, ...]:
    if not lake.has_rows(con, "reviews"):
        return ()
    rows = con.execute(
        "SELECT gate, verdict, reviewer, reason, action, reviewed_at, received_at FROM reviews"
        " WHERE decision_id = ? AND device_id || '' = ? ORDER BY reviewed_at, received_at, span_id",
        [decision_id, device_id],
    ).fetchall()
    return tuple(KnownReview(*row) for row in rows)


def first_row(
    con: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[Any] | Mapping[str, Any]
) -> dict[str, Any] | None:
    """The first row of a query by column name."""
    cursor = con.execute(query, parameters)
    row = cursor.fetchone()
    if row is None:
        return None
    return dict(zip([column[0] for column in cursor.description or ()], row, strict=True))
