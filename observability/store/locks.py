"""Who may write to a store, and to what of it, at the same time as others.

A folder has one writing process, which holds `writer.lock`. To a PostgreSQL catalog any number write: a
commit holds the advisory locks of its devices' buckets from before the repeat check until it is durable.
"""

from __future__ import annotations

import contextlib
import fcntl
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from observability.store.location import Location
from observability.store.postgres import connected
from traces.errors import StoreError, first_line

BUCKETS = 64
COMMON = BUCKETS
"""The lock of what belongs to no device: layouts, views, models, the store's own making."""
COUNTS = BUCKETS + 1
"""The lock of the cubes: what was counted up to where."""
_COMMITS, _LEASES = 0x77686E63, 0x77686E6C
"""PostgreSQL's advisory locks have two numbers: these tell ours, by kind, from another application's."""


class StoreInUse(StoreError):
    """Another process owns writing to this store."""


class Locks(Protocol):
    """What a writer holds of its store."""

    def held(self, numbers: Iterable[int]) -> contextlib.AbstractContextManager[None]:
        """Keep other writers from these buckets until the block ends. Raises StoreError."""
        ...

    def confirm(self) -> None:
        """Raise StoreError where what `held` took is lost, as with its connection."""
        ...

    def lease(self, name: str) -> contextlib.AbstractContextManager[bool]:
        """Be the only one in the fleet of writers that does what is named; False where another does."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


def in_use(store: object) -> StoreInUse:
    """The error that says so."""
    return StoreInUse(
        f"{store} in use by another process that writes",
        "to be the only writer",
        "it is being served: send to it with --endpoint, or stop it",
    )


def locks_of(store: Location) -> Locks:
    """The locks of a store. Raises StoreInUse where it has one writing process, which is another."""
    return PostgresLocks(store.postgres) if store.postgres else FolderLock(store.local)


def buckets(batch: Mapping[str, pa.Table]) -> set[int]:
    """The numbers of all that a commit of these rows has to hold."""
    found = set[int]()
    for table in batch.values():
        if not table.num_rows:
            continue
        if "device_id" in table.column_names:
            devices = table["device_id"].unique().to_pylist()
            found |= {zlib.crc32((device or "").encode()) % BUCKETS for device in devices}
        else:
            found.add(COMMON)
    return found


class FolderLock:
    """The whole store, until closed: whoever has it needs no other lock."""

    def __init__(self, folder: Path) -> None:
        try:
            self._file = (folder / "writer.lock").open("a")
        except OSError as error:
            raise StoreError(
                f"{folder}, which cannot be written: {error.strerror}", "a folder of yours"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise in_use(folder) from error

    def held(self, numbers: Iterable[int]) -> contextlib.AbstractContextManager[None]:  # noqa: ARG002
        """Nothing to wait for."""
        return contextlib.nullcontext()

    def confirm(self) -> None:
        """A file's lock is not lost."""

    def lease(self, name: str) -> contextlib.AbstractContextManager[bool]:  # noqa: ARG002
        """The one writing process does everything."""
        return contextlib.nullcontext(True)

    def close(self) -> None:
        """Let another process write."""
        self._file.close()


class PostgresLocks:
    """Advisory locks in the catalog's own server, gone with the connection that took them.

    One thread at a time; a lease has a connection of its own.
    """

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._con: Any = None

    @contextlib.contextmanager
    def held(self, numbers: Iterable[int]) -> Iterator[None]:
        """In ascending order, so that no two writers wait for each other."""
        with contextlib.ExitStack() as stack:
            with self._told():
                if self._con is None or self._con.closed:
                    self._con = connected(self._conninfo)
                stack.enter_context(self._con.transaction())
                self._con.execute(
                    "SELECT pg_advisory_xact_lock(%s, number) FROM unnest(%s::int[]) AS number",
                    [_COMMITS, sorted(numbers)],
                )
            yield
            with self._told():
                stack.pop_all().close()

    def confirm(self) -> None:
        """One round trip to the server that has them."""
        with self._told():
            self._con.execute("SELECT 1")

    @contextlib.contextmanager
    def lease(self, name: str) -> Iterator[bool]:
        """Given up with the block, or by the server where the connection is lost."""
        with connected(self._conninfo) as con:
            number = zlib.crc32(name.encode()) & 0x7FFFFFFF
            row = con.execute("SELECT pg_try_advisory_lock(%s, %s)", [_LEASES, number]).fetchone()
            yield row[0]

    def close(self) -> None:
        """End the connection."""
        if self._con is not None:
            self._con.close()
            self._con = None

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Raise StoreError for what psycopg raises, and connect anew the next time."""
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            self.close()
            raise StoreError(
                f"no lock on the catalog: {first_line(error)}", "PostgreSQL"
            ) from error
