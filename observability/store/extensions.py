"""DuckDB with the extensions that a store needs, from installed packages: nothing is fetched or copied."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

import duckdb

from observability.store.location import Location
from traces.errors import StoreError

_NO_DOWNLOADS: dict[str, Any] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


def with_extensions(store: Location) -> duckdb.DuckDBPyConnection:
    """A connection of its own that can attach the store. Raises StoreError where a package is missing."""
    names = ("postgres_scanner" if store.postgres else "sqlite_scanner", "ducklake")
    names += ("httpfs",) * store.in_s3
    _verify(names)
    con = duckdb.connect(config={**_NO_DOWNLOADS, "allow_unsigned_extensions": "true"})
    for name in names:
        con.load_extension(str(_file(name)))
    return con


@functools.cache
def _verify(names: tuple[str, ...]) -> None:
    """Let DuckDB check the extensions' signatures: 0.4 s, so once in a process, not per connection."""
    with duckdb.connect(config=_NO_DOWNLOADS) as con:
        for name in names:
            con.load_extension(str(_file(name)))


def _file(name: str) -> Path:
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is None or spec.origin is None:
        raise StoreError(
            f"no package duckdb-extension-{name.replace('_', '-')}",
            "it installed",
            "pip install 'whence[server]'",
        )
    folder = Path(spec.origin).parent / "extensions" / f"v{duckdb.__version__}"
    return folder / f"{name}.duckdb_extension"
