"""How a connection to a store is opened.

Owns the store folder's form and the catalog's settings. Every connection of the
product comes from here; only write.py asks for one that can write.
"""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import duckdb

from observability.store.extensions import with_extensions
from observability.store.location import Location, Store, location_of
from observability.store.postgres import has_catalog
from observability.store.s3 import s3_here
from traces.errors import StoreError, WrongUse, first_line

SCHEMA_VERSION = 4
ALIAS = "fleet"
MAINTENANCE = "maintenance"
"""The message of a commit that adds no row."""
MARK = "store.toml"
_CATALOG = "catalog.sqlite"
_FOLDERS = ("data", "models", "references", "keys")
_OURS = {*_FOLDERS, MARK, f"{MARK}.part", "writer.lock"}
"""What a store's making, cut short or in another process at the same time, leaves."""


def is_store(store: Store) -> bool:
    """Whether the folder or database is a store of this product. Raises StoreError where nobody answers."""
    where = location_of(store)
    return has_catalog(where.postgres) if where.postgres else (where.local / MARK).is_file()


def connect(store: Store, files: str | Path | None = None) -> duckdb.DuckDBPyConnection:
    """Open a store to read, beside processes that write it; `files` as for `location_of`.

    Tables are unqualified, the session's time zone is UTC, and each query sees the newest commit.
    Raises StoreError where there is no store or one of a newer version.
    """
    return attach(location_of(store, files), read_only=True)


def create_folder(store: Location) -> None:
    """Make an empty store folder; the writer fills its catalog. Raises StoreError on a foreign folder."""
    folder = store.local
    if folder.exists() and not (folder.is_dir() and {p.name for p in folder.iterdir()} <= _OURS):
        raise StoreError(
            f"{store} with other content", "a store or an empty folder", "give another --store"
        )
    create_local(store)
    with _made(folder):
        for name in _FOLDERS:
            (folder / name).mkdir(exist_ok=True)
        mark(folder)


def create_local(store: Location) -> None:
    """Make the folder of what is this machine's, for its owner only where others' files lie elsewhere."""
    with _made(store.local):
        if store.postgres:
            store.local.mkdir(mode=0o700, parents=True, exist_ok=True)
        (store.local / "keys").mkdir(parents=True, exist_ok=True)
        (store.local / "keys").chmod(0o700)


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{folder}, which cannot be made: {error.strerror}", "a writable place", "see --store"
        ) from error


def mark(store: Path) -> None:
    """State this version in the store folder. Raises OSError."""
    part = store / f"{MARK}.part"
    part.write_text(f'catalog = "sqlite"\nschema_version = {SCHEMA_VERSION}\n')
    part.replace(store / MARK)


def attach(store: Location, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB connection with the store attached as the default database."""
    _check(store, read_only=read_only)
    con = with_extensions(store)
    options = [f"DATA_PATH '{_quoted(store.data)}/'", "DATA_INLINING_ROW_LIMIT 0"]
    if store.postgres:
        options += ["READ_ONLY"] * read_only
    else:
        options += ["OVERRIDE_DATA_PATH true", "META_BUSY_TIMEOUT 10000"]
        options.append("READ_ONLY" if read_only else "META_JOURNAL_MODE 'WAL'")
    try:
        if store.in_s3:
            con.execute(s3_here().duckdb_secret())
        con.execute(f"ATTACH 'ducklake:{_quoted(store.catalog)}' AS {ALIAS} ({', '.join(options)})")
        _settle(con)
        if store.postgres and read_only:
            _check_catalog(con, store)
    except duckdb.Error as error:
        con.close()
        raise StoreError(
            f"{store}, whose catalog cannot be opened: {first_line(error)}", "a readable store"
        ) from error
    except StoreError:
        con.close()
        raise
    return con


def folder_of(con: duckdb.DuckDBPyConnection) -> Location:
    """The store folder that a connection reads. Raises WrongUse where it is none, or not a folder."""
    attached = "SELECT path FROM duckdb_databases() WHERE database_name = ?"
    row = con.execute(attached, [ALIAS]).fetchone()
    kind, _, catalog = str(row[0] if row else "nothing").partition(":")
    if kind != "sqlite":
        raise WrongUse(f"a connection to {kind}", "one to a store folder", "name the store instead")
    return location_of(Path(catalog).parent)


def cursor(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """A connection of its own to the same store, for another thread or a query beside a running one."""
    return _settle(con.cursor())


@contextlib.contextmanager
def reading(con: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """Several queries on one and the same commit; also cheaper, as the catalog is read once."""
    con.execute("BEGIN")
    try:
        yield con
    finally:
        con.execute("COMMIT")


def limit_memory(con: duckdb.DuckDBPyConnection, megabytes: int) -> None:
    """Let a connection that lasts, and its cursors, take so much.

    DuckLake keeps the whole catalog as it was at each schema version, and each new layout makes one;
    DuckDB forgets the oldest only where memory is short. By default that is 80% of the machine's.
    """
    con.execute(f"SET memory_limit = '{megabytes}MB'")


def snapshot_id(con: duckdb.DuckDBPyConnection) -> int:
    """The number of the newest commit; it grows with each."""
    row = con.execute(f"FROM {ALIAS}.current_snapshot()").fetchone()
    return row[0] if row else 0


def as_maintenance(con: duckdb.DuckDBPyConnection) -> None:
    """Say of the transaction that it changes where rows lie, and adds none."""
    con.execute(f"CALL {ALIAS}.set_commit_message('whence', '{MAINTENANCE}')")


def clock_kind(con: duckdb.DuckDBPyConnection) -> Literal["system", "recorded"]:
    """Whether the store's times are this machine's or recorded ones."""
    row = con.execute("SELECT value FROM meta WHERE key = 'clock'").fetchone()
    return "recorded" if row and row[0] == "recorded" else "system"


def has_table(con: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Whether the store has the table; one of an earlier version, not yet written again, may lack it."""
    row = con.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = ? AND table_name = ?",
        [ALIAS, name],
    ).fetchone()
    return row != (0,)


def has_rows(con: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Whether the store has the table and anything in it: to filter an empty one costs more than to ask.

    DuckLake looks up the statistics of each column again in every query, where there are none yet.
    """
    row = con.execute(
        "SELECT sum(estimated_size) FROM duckdb_tables() WHERE database_name = ? AND table_name = ?",
        [ALIAS, name],
    ).fetchone()
    return bool(row and row[0])


def now(con: duckdb.DuckDBPyConnection) -> datetime:
    """The store's present, UTC: this machine's time, or on recorded time the newest received_at."""
    if clock_kind(con) == "system":
        return datetime.now(UTC)
    tables = ["decisions", "outcomes", "spans", *(["reviews"] if has_table(con, "reviews") else [])]
    received = " UNION ALL ".join(
        f"SELECT max(received_at) AS newest FROM {name}" for name in tables
    )
    row = con.execute(f"SELECT max(newest) FROM ({received})").fetchone()
    return row[0] if row and row[0] else datetime.fromtimestamp(0, UTC)


def schema_version(con: duckdb.DuckDBPyConnection) -> int:
    """The schema version that the catalog states."""
    meta = dict(con.execute("SELECT key, value FROM meta").fetchall())  # to filter takes longer
    return int(meta.get("schema_version", 0))


def _settle(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """What a cursor does not inherit: the default database and the time zone."""
    con.execute(f"USE {ALIAS}")
    con.execute("SET TimeZone = 'UTC'")
    return con


def _check(store: Location, *, read_only: bool) -> None:
    if store.postgres:
        if read_only and not has_catalog(store.postgres):
            raise _no_store(f"{store}, which is no store", "a database with a store")
        return
    folder = store.local
    if not is_store(store):
        found = f"{store}, which is no store" if folder.exists() else f"no folder {store}"
        raise _no_store(found, "a store folder")
    _refuse_newer(_marked_version(folder), store)
    if not (folder / _CATALOG).exists() and (folder / "data" / "main").exists():
        raise StoreError(
            f"{store}, whose catalog is lost",
            f"{_CATALOG} beside the data",
            "put it back from a copy",
        )


def _check_catalog(con: duckdb.DuckDBPyConnection, store: Location) -> None:
    """What a folder's mark says before its catalog is opened."""
    if not has_table(con, "meta"):
        raise _no_store(f"{store}, which is no store yet", "a database with a store")
    _refuse_newer(schema_version(con), store)


def _no_store(found: str, expected: str) -> StoreError:
    return StoreError(found, expected, "`whence serve` or `whence replay` makes one; see --store")


def _refuse_newer(version: int, store: Location) -> None:
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{store} of schema version {version}",
            f"at most {SCHEMA_VERSION}",
            "a newer Whence wrote it: upgrade this one",
        )


def _marked_version(store: Path) -> int:
    try:
        mark = tomllib.loads((store / MARK).read_text())
        return int(mark["schema_version"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StoreError(
            f"{store / MARK}, which cannot be read", "schema_version = <number>"
        ) from error


def _quoted(text: str) -> str:
    return text.replace("'", "''")
