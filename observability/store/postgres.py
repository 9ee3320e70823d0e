"""A connection to the PostgreSQL of a shared catalog, beside DuckDB's own: for locks and for what it is."""

from __future__ import annotations

from typing import Any

from traces.errors import StoreError, first_line

_SETTINGS = """
SET lock_timeout = '30s';
SET idle_in_transaction_session_timeout = '2min';
SET tcp_keepalives_idle = 10;
SET tcp_keepalives_interval = 5;
SET tcp_keepalives_count = 3
"""
"""So that the server lets go of the locks of a machine that is gone, and of a process that stands still."""


def connected(conninfo: str) -> Any:
    """A psycopg connection, each statement its own transaction. Raises StoreError where nobody answers."""
    import psycopg

    try:
        con = psycopg.connect(conninfo, autocommit=True)
        con.execute(_SETTINGS)
    except psycopg.Error as error:
        raise StoreError(
            f"a catalog that cannot be reached: {first_line(error)}", "PostgreSQL", "see --store"
        ) from error
    return con


def has_catalog(conninfo: str) -> bool:
    """Whether the database is the catalog of a lake. Raises StoreError where nobody answers."""
    with connected(conninfo) as con:
        return con.execute("SELECT to_regclass('ducklake_metadata') IS NOT NULL").fetchone()[0]


def refuse_unsafe(conninfo: str) -> None:
    """Raise StoreError where this session's commits would not wait for the server's disk."""
    with connected(conninfo) as con:
        kept = con.execute("SHOW synchronous_commit").fetchone()[0]
    if kept == "off":
        raise StoreError(
            "synchronous_commit off, which acknowledges what a crash would lose",
            "on",
            "ALTER DATABASE ... SET synchronous_commit = on",
        )
