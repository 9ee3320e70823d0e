"""What lies around one decision: its neighbours on the device, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from observability.store.read import one
from observability.store.stored import StoredDecision

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

_RESOURCE = "SELECT attributes FROM resources WHERE resource_id = $resource LIMIT 1"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another decision of the same device; times UTC."""

    decision_id: str
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What lies around one decision. `resource` holds the attributes of the sending program."""

    previous: Neighbour | None
    next: Neighbour | None
    resource: Mapping[str, str]


def surroundings(con: duckdb.DuckDBPyConnection, stored: StoredDecision) -> Surroundings:
    """What lies around a stored decision."""
    near = _near(con, stored)
    resource = one(con, _RESOURCE, {"resource": stored.resource_id})
    return Surroundings(
        previous=_neighbour(near["previous"]),
        next=_neighbour(near["next"]),
        resource=resource.get("attributes") or {},
    )


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


def _neighbour(found: tuple[datetime, str] | None) -> Neighbour | None:
    return None if found is None else Neighbour(found[1], found[0].astimezone(UTC))
