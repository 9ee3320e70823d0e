"""Where a fleet's records lie, how long they stay, and what maintenance did last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import duckdb
import polars as pl

from observability.store.lake import ALIAS, clock_kind, schema_version
from observability.store.location import Store, location_of
from observability.store.maintain_files import small_files
from observability.store.maintain_retention import HOLDS, retention_days
from observability.store.read import frame, one
from observability.store.read_rollups import rollup

_FILES = f"""
SELECT table_name AS name, file_count + delete_file_count AS files,
    file_size_bytes + delete_file_size_bytes AS bytes
FROM ducklake_table_info('{ALIAS}')
ORDER BY bytes DESC, name
"""

_SNAPSHOTS = f"""
SELECT count(*) AS snapshots, min(snapshot_time) AS oldest_snapshot_at,
    max(snapshot_time) AS newest_snapshot_at
FROM ducklake_snapshots('{ALIAS}')
"""
_HELD = """
SELECT count(*) AS held FROM held WHERE decided_at >= $first_at AND decided_at <= $last_at
"""
_MAINTAINED = """
SELECT started_at, seconds, expired, folded, merged, removed
FROM maintenance
ORDER BY started_at DESC
LIMIT 1
"""
_SINCE_VERSION = 3


@dataclass(frozen=True, slots=True)
class Maintained:
    """What the newest run of maintenance did: rows expired and folded, files merged and removed."""

    started_at: datetime
    seconds: float
    expired: int
    folded: int
    merged: int
    removed: int


@dataclass(frozen=True, slots=True)
class Storage:
    """How a store lies on disk, how long it keeps what, and who looks after it.

    `files`: name of the table, files, bytes. `small` files wait to be merged; `held` decisions outlive
    the retention, which goes by received_at.
    """

    files: pl.DataFrame
    small: int
    decisions: int
    oldest_received_at: datetime | None
    held: int
    retention_days: int
    maintained: Maintained | None
    catalog_bytes: int | None
    snapshots: int
    oldest_snapshot_at: datetime | None
    newest_snapshot_at: datetime | None
    schema_version: int
    clock: Literal["system", "recorded"]

    @property
    def bytes(self) -> int:
        """Of all tables and the catalog."""
        return sum(self.files["bytes"]) + (self.catalog_bytes or 0)

    @property
    def bytes_per_decision(self) -> float | None:
        """Bytes of everything for each decision."""
        return self.bytes / self.decisions if self.decisions else None


def storage(con: duckdb.DuckDBPyConnection, store: Store) -> Storage:
    """How the store that `con` reads lies in its folder, as of the newest commit."""
    catalog = location_of(store).local / "catalog.sqlite"
    version = schema_version(con)
    keeps = version >= _SINCE_VERSION
    runs = frame(con, _MAINTAINED).to_dicts() if keeps else []
    rolled = rollup(con)
    return Storage(
        files=frame(con, _FILES),
        small=sum(len(small.files) for small in small_files(con)) if keeps else 0,
        decisions=sum(rolled["decisions"]),
        oldest_received_at=min(rolled["first_received_at"].to_list(), default=None),
        held=one(con, _HELD, one(con, HOLDS))["held"] if keeps else 0,
        retention_days=retention_days(con),
        maintained=Maintained(**runs[0]) if runs else None,
        catalog_bytes=catalog.stat().st_size if catalog.exists() else None,
        **one(con, _SNAPSHOTS),
        schema_version=version,
        clock=clock_kind(con),
    )
