"""What it means: the store of decisions, their explanation and the pages' values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

__all__ = ["connect"]


def connect(store: str | Path) -> duckdb.DuckDBPyConnection:
    """Open a store read-only, beside a running app: tables unqualified, times in UTC.

    Raises WhenceError where the folder is no store or one of a newer version.
    """
    from observability.store.lake import connect as connect_to_lake

    return connect_to_lake(store)
