"""The tables' keys, their Arrow form and the statements that make them; schema.sql is the source.

Owns how a store comes to be and moves forward. No other file runs DDL, but for views.py.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from observability.store.durable import PARTITIONED, fsync, fsync_below
from observability.store.lake import ALIAS, MARK, SCHEMA_VERSION, mark, schema_version
from observability.store.location import Location
from traces.errors import StoreError

KEYS: dict[str, tuple[str, ...]] = {
    "decisions": ("device_id", "decision_id"),
    "outcomes": ("device_id", "trace_id", "span_id"),
    "reviews": ("device_id", "trace_id", "span_id"),
    "spans": ("device_id", "trace_id", "span_id"),
    "layouts": ("layout_id",),
    "resources": ("resource_id",),
    "rejects": ("reject_id",),
    "conflicts": ("device_id", "span_key", "digest"),
    "chain_events": (
        "device_id",
        "chain_id",
        "kind",
        "seq_from",
        "seq_to",
        "digest",
        "received_at",
    ),
    "models": ("name", "version", "digest"),
    "model_references": ("name", "version", "digest", "reference_id"),
    "specs": ("spec_id",),
    "attributions": ("device_id", "decision_id", "spec_id"),
    "alert_rules": ("kind", "decision_type", "seq"),
    "alerts": ("alert_id", "seq"),
    "bins": ("bins_id",),
    "cubes": (
        "bins_id",
        "decision_type",
        "hours",
        "starts_at",
        "model",
        "device_id",
        "received_at",
    ),
    "holds": ("hold_id", "released"),
    "maintenance": ("started_at",),
}
"""What makes a row of each table the same row; the writer stores it once."""

CONTENT = ("decisions", "outcomes", "reviews", "spans")
"""Tables whose rows carry a digest: the same key with another digest is a conflict."""


STAMPED = ("received_at", "arrival")
"""Columns that the writer fills where it stores a row."""


def statements() -> list[str]:
    """What makes the tables and views, in order."""
    text = (Path(__file__).parent / "schema.sql").read_text()
    return [statement for statement in text.split(";\n") if statement.strip()]


def _made(*names: str) -> tuple[str, ...]:
    """The statements that make these tables and views."""
    wanted = [(f"CREATE TABLE {name} ", f"CREATE VIEW {name} ") for name in names]
    found = (statement.lstrip() for statement in statements())
    return tuple(one for one in found if one.startswith(tuple(sum(wanted, ()))))


def _partitioned(name: str) -> str:
    by = "year(received_at), month(received_at), day(received_at)"
    return f"ALTER TABLE {name} SET PARTITIONED BY ({by})"


_SMALLER_FILES = f"CALL {ALIAS}.set_option('parquet_compression', 'zstd')"
"""A third less than the default, for a tenth more time to write."""

_CUBES_APART = "ALTER TABLE cubes SET PARTITIONED BY (hours)"
"""Days are read without the hours."""

MIGRATIONS: dict[int, tuple[str, ...]] = {
    2: (
        "ALTER TABLE decisions ADD COLUMN chain_id VARCHAR",
        "ALTER TABLE decisions ADD COLUMN seq BIGINT",
        "ALTER TABLE decisions ADD COLUMN prev BLOB",
        "ALTER TABLE outcomes ADD COLUMN chain_id VARCHAR",
        "ALTER TABLE outcomes ADD COLUMN seq BIGINT",
        "ALTER TABLE outcomes ADD COLUMN prev BLOB",
        "ALTER TABLE spans ADD COLUMN chain_id VARCHAR",
        "ALTER TABLE spans ADD COLUMN seq BIGINT",
        "ALTER TABLE spans ADD COLUMN prev BLOB",
        *_made(
            "reviews",
            "decisions_final",
            "chain_events",
            "chain_gaps",
            "chain_ranges",
            "chain_status",
        ),
        _partitioned("reviews"),
        _partitioned("chain_events"),
    ),
    3: (
        "ALTER TABLE chain_events ADD COLUMN IF NOT EXISTS first_received_at TIMESTAMPTZ",
        "DROP VIEW chain_gaps",
        "DROP VIEW chain_status",
        *_made("chain_gaps", "chain_status", "holds", "maintenance", "held"),
        _SMALLER_FILES,
    ),
    4: (
        "ALTER TABLE models ADD COLUMN features.element.low DOUBLE",
        "ALTER TABLE models ADD COLUMN features.element.high DOUBLE",
        "ALTER TABLE models ADD COLUMN features.element.actionable BOOLEAN",
        "ALTER TABLE models ADD COLUMN features.element.player VARCHAR",
        "ALTER TABLE decisions ADD COLUMN arrival BIGINT DEFAULT 0",
        *_made("specs", "attributions", "explain_watermarks"),
        *_made("bins", "cubes", "cube_watermarks", "rollups", "alert_rules", "alerts"),
        *_made("alert_status", "proposals", "drift_counts", "cadence"),
        _partitioned("attributions"),
        _CUBES_APART,
    ),
}
"""Statements that take a store from the version before to the version that is the key.

What `_made` takes from schema.sql may be newer than the version that it is made for: a later one says so.
"""


@functools.cache
def arrow_schemas() -> Mapping[str, pa.Schema]:
    """The Arrow schema of each table, read off the DDL itself."""
    with duckdb.connect() as con:
        for statement in statements():
            con.execute(statement)
        return {name: con.sql(f"FROM {name} LIMIT 0").to_arrow_table().schema for name in KEYS}


def arrow_table(
    name: str,
    rows: Iterable[Mapping[str, Any]],
    received_at: datetime | Sequence[datetime] | None = None,
) -> pa.Table:
    """Rows as an Arrow table of the named table's form.

    `received_at` (UTC) is that of all rows or of each; without, the table has no such column and the
    writer stamps it.
    """
    rows = list(rows)
    fields = [field for field in arrow_schemas()[name] if field.name not in STAMPED]
    columns = [pa.array([row.get(field.name) for row in rows], field.type) for field in fields]
    table = pa.Table.from_arrays(columns, schema=pa.schema(fields))
    if received_at is None:
        return table
    if isinstance(received_at, datetime):
        received_at = [received_at] * len(rows)
    return table.append_column("received_at", pa.array(received_at, pa.timestamp("us", "UTC")))


def create_tables(con: duckdb.DuckDBPyConnection, clock: str) -> None:
    """Fill an empty catalog, in one transaction."""
    con.execute("BEGIN")
    for statement in statements():
        con.execute(statement)
    con.executemany(
        "INSERT INTO meta VALUES (?, ?)",
        [["schema_version", str(SCHEMA_VERSION)], ["clock", clock]],
    )
    for name in PARTITIONED:
        con.execute(_partitioned(name))
    con.execute(_CUBES_APART)
    con.execute(_SMALLER_FILES)
    con.execute("COMMIT")


def migrate(con: duckdb.DuckDBPyConnection, store: Location) -> None:
    """Bring a store of an earlier version forward. Raises StoreError for a newer one.

    A folder's mark is raised first, so that a reader of an earlier version refuses what it cannot read.
    """
    version = schema_version(con)
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"a store of schema version {version}",
            f"at most {SCHEMA_VERSION}",
            "a newer Whence wrote it: upgrade this one",
        )
    if version < SCHEMA_VERSION and not store.postgres:
        mark(store.local)
        fsync(store.local / MARK)
        fsync(store.local)
    for target in range(version + 1, SCHEMA_VERSION + 1):
        con.execute("BEGIN")
        for statement in MIGRATIONS[target]:
            con.execute(statement)
        con.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", [str(target)])
        if not store.in_s3:
            fsync_below(Path(store.data) / "main" / "meta")
        con.execute("COMMIT")
