"""Makes the files of a transaction durable before its commit names them.

DuckLake closes Parquet files without fsync. A torn file that the catalog names would break every query
on its table, so what an insert wrote, and every folder above it, is synced first. An object in S3 is
whole and durable once its PUT succeeded.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from observability.store.location import Location
from traces.errors import StoreError

PARTITIONED = ("decisions", "outcomes", "reviews", "spans", "chain_events", "attributions")
"""Tables whose files lie in a folder for each day of received_at."""


class TableFiles:
    """The Parquet files below a store's data folder, and which of them are known to be durable."""

    def __init__(self, store: Location) -> None:
        self._in_s3, self._data = store.in_s3, Path(store.data)
        self._synced: dict[Path, set[str]] = {}
        self._named: set[Path] = set()

    def folders(self, table: str, received: Iterable[datetime]) -> set[Path]:
        """Where rows received at these instants (UTC) will lie. To be asked before they are inserted."""
        if self._in_s3:
            return set()
        top = self._data / "main" / table
        days = {top / f"year={at.year}/month={at.month}/day={at.day}" for at in received}
        folders = days if table in PARTITIONED else {top}
        for folder in folders:
            self._synced.setdefault(folder, _files(folder))
        return folders

    def sync(self, folders: Iterable[Path]) -> None:
        """Sync what was written to them since. Raises OSError, and StoreError where nothing was."""
        for folder in folders:
            now = _files(folder)
            new = now - self._synced[folder]
            if not new:
                raise StoreError(
                    f"no new file in {folder}", "the rows just inserted", "a bug: report it"
                )
            for file in new:
                fsync(folder / file)
            fsync(folder)
            if folder not in self._named:  # the folders above name only folders, and keep them
                for path in _above(folder, self._data):
                    fsync(path)
                self._named.add(folder)
            self._synced[folder] = now

    @contextlib.contextmanager
    def synced(self, tables: Iterable[str]) -> Iterator[None]:
        """Sync at the end what the block writes to these tables, in whatever folders. Raises OSError."""
        if self._in_s3:
            yield
            return
        tops = [self._data / "main" / table for table in tables]
        before = _files_below(tops)
        yield
        new = _files_below(tops) - before
        for file in new:
            fsync(file)
        for folder in {above for file in new for above in _above(file, self._data)}:
            fsync(folder)
        for file in new:
            if file.parent in self._synced:
                self._synced[file.parent].add(file.name)


def fsync_below(top: Path) -> None:
    """Make all files and folders below a folder, and itself, durable."""
    for folder, _, files in os.walk(top):
        for file in files:
            fsync(Path(folder) / file)
        fsync(Path(folder))


def fsync(path: Path) -> None:
    """Make a file's content, or a folder's names, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _files(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except FileNotFoundError:
        return set()


def _files_below(tops: Iterable[Path]) -> set[Path]:
    return {Path(at) / file for top in tops for at, _, files in os.walk(top) for file in files}


def _above(path: Path, top: Path) -> Iterator[Path]:
    while path != top:
        path = path.parent
        yield path
