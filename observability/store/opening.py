"""A store is opened to write: made where there is none, brought forward where it is older."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

import duckdb

from observability.store import lake, schema
from observability.store.durable import fsync, fsync_below
from observability.store.location import Location
from observability.store.postgres import refuse_unsafe
from traces.errors import StoreError, first_line

MEMORY_MB = 512
"""What DuckDB may take; a merge of large files goes to the disk beyond it."""
_MANY_WRITERS = (
    "SET ducklake_max_retry_count = 30",  # a commit that others overtook is tried again
    "SET ducklake_retry_wait_ms = 20",
    "SET ducklake_retry_backoff = 1.2",
)
_FILES_IN_S3 = (
    "SET http_timeout = 10",  # an upload is tried six times: a commit that hangs ends within a minute,
    "SET http_retries = 0",  # before PostgreSQL takes its locks away
)


def open_to_write(
    store: Location, clock: Literal["system", "recorded"]
) -> duckdb.DuckDBPyConnection:
    """A connection that can write; nobody else may open the store meanwhile.

    `clock` is that of a new store. Raises StoreError, as for a recorded clock on a store of real time.
    """
    if store.postgres:
        refuse_unsafe(store.postgres)
    con = lake.attach(store, read_only=False)
    try:
        con.execute("SET threads = 1")  # a commit is many small queries: handing them on costs more
        lake.limit_memory(con, MEMORY_MB)
        con.execute("SET temp_directory = ?", [str(_spill(store))])
        for setting in _MANY_WRITERS if store.postgres else ():
            con.execute(setting)
        for setting in _FILES_IN_S3 if store.in_s3 else ():
            con.execute(setting)
        _prepare(con, store, clock)
    except duckdb.Error as error:
        con.close()
        raise StoreError(
            f"{store}, which cannot be written: {first_line(error)}", "a whole store"
        ) from error
    except StoreError:
        con.close()
        raise
    return con


def _spill(store: Location) -> Path:
    """Where what exceeds the memory goes, without what a killed process left there."""
    folder = store.local / "spill"
    if not store.postgres:  # there, others of this machine may use it
        shutil.rmtree(folder, ignore_errors=True)
    return folder


def _prepare(con: duckdb.DuckDBPyConnection, store: Location, clock: str) -> None:
    if not lake.has_table(con, "meta"):
        schema.create_tables(con, clock)
        if not store.in_s3:
            fsync_below(Path(store.data))
            fsync(Path(store.files))
            fsync(Path(store.files).parent)
    schema.migrate(con, store)
    if clock == "recorded" and lake.clock_kind(con) != "recorded":
        raise StoreError(
            f"{store}, a store of real time",
            "one of recorded time",
            "replay into a new --store, or send to this one with --endpoint",
        )
