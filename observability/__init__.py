"""What it means: the store of decisions, their explanation and the pages' values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

    from observability.store.location import Store

__all__ = ["connect"]


def connect(store: Store, files: str | Path | None = None) -> duckdb.DuckDBPyConnection:
    """Open a store read-only, beside a running app: tables unqualified, times in UTC.

    `store` is a folder, or `ducklake:postgres:...` with `files`, a folder or an S3 URL, as for the commands.
    Raises WhenceError where there is no store or one of a newer version.
    """
    from observability.store.lake import connect as connect_to_lake

    return connect_to_lake(store, files)
