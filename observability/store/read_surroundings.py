"""What lies around one decision: its neighbours on the device, what is usual, where it came from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import duckdb

from observability.store.read import frame, one
from observability.store.stored import StoredDecision
from traces import Decision

USUAL_DECISIONS = 2000
"""The usual range is taken over this many decisions of the type, the last before this one."""
_USUAL_DAYS = (3, 60, 4000)
_NEAR_DAYS = (1, 30, 4000)
"""How far in decided_at to look, in days: the first stretch that suffices is taken. Files and row
groups outside of it are not read, so that a large store answers as a small one does."""

_NEIGHBOURS = """
SELECT
    max((decided_at, decision_id)) FILTER ((decided_at, decision_id) < ($at, $id)) AS previous,
    min((decided_at, decision_id)) FILTER ((decided_at, decision_id) > ($at, $id)) AS next
FROM decisions
WHERE device_id = $device AND decided_at >= $since AND decided_at <= $until
"""

_USUAL = """
WITH recent AS (
    SELECT inputs
    FROM decisions
    WHERE decided_at > $since AND decided_at <= $at AND received_at <= $received_at
        AND decision_type = $type AND layout_id = $layout
    ORDER BY decided_at DESC
    LIMIT $last
), single AS (
    SELECT generate_subscripts(inputs, 1) AS place, unnest(inputs) AS value FROM recent
)
SELECT place,
    quantile_cont(value, 0.05) AS low,
    quantile_cont(value, 0.95) AS high,
    count(*) AS n
FROM single
WHERE value IS NOT NULL AND isfinite(value)
GROUP BY place
"""

_RESOURCE = "SELECT attributes FROM resources WHERE resource_id = $resource LIMIT 1"

Place = Literal["below", "usual", "above", "not recorded", "unknown"]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another decision of the same device; times UTC."""

    decision_id: str
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class Usual:
    """5th and 95th percentile of one input over `n` decisions of the fleet, in the input's unit."""

    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What lies around one decision. `resource` holds the attributes of the sending program."""

    previous: Neighbour | None
    next: Neighbour | None
    usual: Mapping[str, Usual]
    resource: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class InputRow:
    """One input beside what is usual; `pushed` is its attribution in link units, None if unknown."""

    name: str
    value: float | str
    unit: str
    usual: Usual | None
    place: Place
    pushed: float | None


def surroundings(con: duckdb.DuckDBPyConnection, stored: StoredDecision) -> Surroundings:
    """What lies around a stored decision."""
    near = _near(con, stored)
    resource = one(con, _RESOURCE, {"resource": stored.resource_id})
    return Surroundings(
        previous=_neighbour(near["previous"]),
        next=_neighbour(near["next"]),
        usual=_usual(con, stored),
        resource=resource.get("attributes") or {},
    )


def input_rows(
    decision: Decision,
    usual: Mapping[str, Usual],
    units: Mapping[str, str],
    pushed: Mapping[str, float],
) -> tuple[InputRow, ...]:
    """The inputs, the strongest attribution first, else in the model's order; mappings by input."""
    rows = [
        InputRow(
            name,
            value,
            units.get(name, ""),
            usual.get(name),
            _place(value, usual.get(name)),
            pushed.get(name),
        )
        for name, value in (*decision.inputs.items(), *decision.categoricals.items())
    ]
    return tuple(sorted(rows, key=lambda row: -abs(row.pushed or 0.0)))


def _near(con: duckdb.DuckDBPyConnection, stored: StoredDecision) -> dict[str, Any]:
    """The decisions of the device just before and just after this one."""
    asked = {"device": stored.device_id, "id": stored.decision_id, "at": stored.decided_at}
    found: dict[str, Any] = {}
    for days in _NEAR_DAYS:
        apart = timedelta(days=days)
        between = {"since": stored.decided_at - apart, "until": stored.decided_at + apart}
        found = one(con, _NEIGHBOURS, {**asked, **between})
        if None not in found.values():
            break
    return found


def _usual(con: duckdb.DuckDBPyConnection, stored: StoredDecision) -> dict[str, Usual]:
    """Percentiles over the last decisions before this one, as known when this one arrived."""
    names = list(stored.decision.inputs)
    asked = {
        "type": stored.decision.type,
        "layout": stored.layout_id,
        "at": stored.decided_at,
        "received_at": stored.received_at,
        "last": USUAL_DECISIONS,
    }
    usual: dict[str, Usual] = {}
    for days in _USUAL_DAYS:
        rows = frame(con, _USUAL, {**asked, "since": stored.decided_at - timedelta(days=days)})
        usual = {
            names[row["place"] - 1]: Usual(row["low"], row["high"], row["n"])
            for row in rows.iter_rows(named=True)
        }
        if max((one_input.n for one_input in usual.values()), default=0) >= USUAL_DECISIONS:
            break
    return usual


def _neighbour(found: tuple[datetime, str] | None) -> Neighbour | None:
    return None if found is None else Neighbour(found[1], found[0].astimezone(UTC))


def _place(value: float | str, usual: Usual | None) -> Place:
    if isinstance(value, str):
        return "unknown"
    if not math.isfinite(value):
        return "not recorded"
    if usual is None:
        return "unknown"
    if value < usual.low:
        return "below"
    return "above" if value > usual.high else "usual"
