"""What every reader of the store needs first: how current it is, and which window is asked for.

The queries of the pages lie in read_*.py: constant SQL with parameters, values and frames out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb
import polars as pl

from observability.store.lake import clock_kind, schema_version

_SINCE_VERSION = 4
_KNOWN = "SELECT max(last_received_at) AS known_at FROM rollups"
_FRESHNESS = """
SELECT max(received_at) AS newest_at
FROM (
    SELECT received_at FROM decisions
    UNION ALL SELECT received_at FROM outcomes
    UNION ALL SELECT received_at FROM rejects
)
WHERE $known_at IS NULL OR received_at >= $known_at
"""


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open stretch of `decided_at`, from `start` up to `end`, UTC; None is open."""

    start: datetime | None = None
    end: datetime | None = None

    def parameters(self) -> dict[str, datetime | None]:
        """The named parameters that the queries expect."""
        return {"start": self.start, "end": self.end}


@dataclass(frozen=True, slots=True)
class Freshness:
    """How current a store is; times UTC. None where nothing was received yet."""

    newest_received_at: datetime | None
    recorded: bool

    def now(self, wall: datetime) -> datetime:
        """The instant that counts as now: recorded stores live at their newest receipt."""
        if self.recorded and self.newest_received_at is not None:
            return self.newest_received_at
        return wall

    def behind_s(self, wall: datetime) -> float | None:
        """Seconds since something was last received; None where nothing was."""
        if self.newest_received_at is None:
            return None
        return max(0.0, (self.now(wall) - self.newest_received_at).total_seconds())


def freshness(con: duckdb.DuckDBPyConnection) -> Freshness:
    """How current the store is."""
    known = one(con, _KNOWN)["known_at"] if schema_version(con) >= _SINCE_VERSION else None
    newest = one(con, _FRESHNESS, {"known_at": known})["newest_at"]
    return Freshness(newest, clock_kind(con) == "recorded")


def frame(
    con: duckdb.DuckDBPyConnection, query: str, parameters: Mapping[str, Any] | None = None
) -> pl.DataFrame:
    """The rows of a constant query with named parameters."""
    return con.execute(query, dict(parameters or {})).pl()


def one(
    con: duckdb.DuckDBPyConnection, query: str, parameters: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The only row of a constant query, by column; empty where it gives none."""
    cursor = con.execute(query, dict(parameters or {}))
    names = [column[0] for column in cursor.description or ()]
    row = cursor.fetchone()
    return {} if row is None else {n: _utc(v) for n, v in zip(names, row, strict=True)}


def _utc(value: Any) -> Any:
    """DuckDB gives pytz zones, which compare but do not print as this process's UTC."""
    return value.astimezone(UTC) if isinstance(value, datetime) else value
