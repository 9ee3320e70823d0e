"""The one writer of a store: it owns the lock, the commit and what durable means.

A commit inserts, fsyncs the new files and their folders, and only then commits the catalog; when
`write` returns, the rows survive a power cut. No other file writes to a store.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from observability.store import lake, schema
from observability.store.durable import TableFiles, fsync, fsync_below
from observability.store.ledger import Ledger
from observability.store.refused import Conflict, conflict_table, with_names
from observability.store.seen import Seen
from observability.store.views import replace_views
from traces.device.clock import Clock, RecordedClock, SystemClock
from traces.errors import StoreError, first_line

Batch = Mapping[str, pa.Table]
_STAMP = pa.timestamp("us", "UTC")
_RECURRING = {"layouts", "resources"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class StoreInUse(StoreError):
    """Another process owns writing to this store."""


@dataclass(slots=True)
class Receipt:
    """What a commit did, in rows per table."""

    stored: dict[str, int] = field(default_factory=dict)
    repeats: int = 0
    conflicts: int = 0


class Writer:
    """Owns writing to a store until closed. Raises StoreInUse where another process does.

    Opening creates the store where the folder is missing or empty and migrates an older one. `clock`
    gives received_at, and a recorded one makes a new store one of recorded time; without a clock it
    is the system's, or on a store of recorded time the newest row's.
    """

    def __init__(self, store: Path, clock: Clock | None = None) -> None:
        self.store = store
        self._guard = threading.Lock()
        self._files = TableFiles(store / "data")
        self._known: dict[str, set[str]] = {name: set() for name in _RECURRING}
        self._seen: dict[str, Seen] = {}
        if not lake.is_store(store):
            lake.create_folder(store)
        self._lock = _take_lock(store)
        try:
            (store / "writer.json").unlink(missing_ok=True)
            fsync(store)
            fsync(store.resolve().parent)
            self.con = self._open("recorded" if isinstance(clock, RecordedClock) else "system")
            self.chains = Ledger(self.con)
            self.clock = clock or self._own_clock()
        except BaseException:
            self._lock.close()
            raise

    def now(self) -> datetime:
        """The instant that rows which come now are received at, UTC."""
        return _EPOCH + timedelta(microseconds=self.clock.wall_ns() // 1000)

    def write(self, batch: Batch) -> Receipt:
        """Commit the rows that are new and return when they are durable; `now` where one has no received_at.

        Rows whose key is stored already count as repeats, or become rows of `conflicts` where their
        digest differs. Raises duckdb.Error or OSError, with nothing stored, where disk or catalog fails.
        """
        with self._guard:
            receipt = Receipt()
            hashes: dict[str, np.ndarray] = {}
            with self._transaction():
                unknown = {name: self._unknown(name, table) for name, table in batch.items()}
                entry = self.chains.enter(*self._insert(unknown, receipt, hashes))
                if entry is not None and (events := entry.table()) is not None:
                    self._insert_rows("chain_events", events)
            if entry is not None:
                self.chains.take(entry)
            for name, new in hashes.items():
                self._seen[name].add(new)
            for name in _RECURRING & batch.keys():
                self._known[name].update(batch[name][schema.KEYS[name][0]].to_pylist())
            return receipt

    def keep_time(self, kind: str) -> None:
        """Keep `system` or `recorded` time from now on. Raises StoreError for recorded after real time."""
        with self._guard:
            held = self.con.execute("SELECT count(*) FROM decisions").fetchall()[0][0]
            if kind not in ("system", "recorded"):
                raise StoreError(f"clock {kind!r}", "system or recorded")
            if kind == "recorded" and held and lake.clock_kind(self.con) == "system":
                raise StoreError(
                    f"{held} decisions of real time", "an empty store for recorded time"
                )
            folders = self._files.folders("meta", ())
            with self._transaction():
                self.con.execute("UPDATE meta SET value = ? WHERE key = 'clock'", [kind])
                self._files.sync(folders)
            self.clock = self._own_clock()

    @contextlib.contextmanager
    def changing(self, *tables: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """A transaction of maintenance on these tables; what it writes is durable before it commits."""
        with self._guard, self._transaction(), self._files.synced(tables):
            yield self.con

    def publish(self, url: str) -> str:
        """Tell other processes where to hand their writes; returns the token that they must show."""
        token = secrets.token_urlsafe(32)
        temporary = self.store / "writer.json.part"
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps({"url": url, "pid": os.getpid(), "token": token}))
        temporary.replace(self.store / "writer.json")
        return token

    def close(self) -> None:
        """Give up writing."""
        with self._guard:
            (self.store / "writer.json").unlink(missing_ok=True)
            self.con.close()
            self._lock.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Commit at the end, or nothing of it."""
        self.con.execute("BEGIN")
        try:
            yield
            self.con.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(duckdb.Error):
                self.con.execute("ROLLBACK")
            raise

    def _open(self, clock: str) -> duckdb.DuckDBPyConnection:
        con = lake.attach(self.store, read_only=False)
        con.execute("SET threads = 1")  # a commit is many small queries: handing them on costs more
        try:
            self._prepare(con, clock)
        except duckdb.Error as error:
            con.close()
            raise StoreError(
                f"{self.store}, which cannot be written: {first_line(error)}", "a whole store"
            ) from error
        except StoreError:
            con.close()
            raise
        return con

    def _prepare(self, con: duckdb.DuckDBPyConnection, clock: str) -> None:
        row = con.execute(
            "SELECT count(*) FROM duckdb_tables() WHERE database_name = ? AND table_name = 'meta'",
            [lake.ALIAS],
        ).fetchone()
        if row == (0,):
            schema.create_tables(con, clock)
            fsync_below(self.store / "data")
        schema.migrate(con, self.store)
        if clock == "recorded" and lake.clock_kind(con) != "recorded":
            raise StoreError(
                f"{self.store}, a store of real time",
                "one of recorded time",
                "replay into a new --store, or send to this one with --endpoint",
            )

    def _own_clock(self) -> Clock:
        if lake.clock_kind(self.con) == "system":
            return SystemClock()
        return RecordedClock(_nanoseconds(lake.now(self.con)))

    def _insert(
        self, batch: Batch, receipt: Receipt, hashes: dict[str, np.ndarray]
    ) -> tuple[Batch, list[Conflict]]:
        """Insert what is new and return it, and what conflicts with what is stored."""
        conflicts, stored = list[Conflict](), dict[str, pa.Table]()
        for name, table in batch.items():
            if not table.num_rows:
                continue
            if name in schema.CONTENT and self._certainly_new(name, table, hashes):
                fresh = table
            else:
                fresh = self._fresh(name, table, receipt, conflicts)
            if fresh.num_rows:
                stored[name] = self._insert_rows(name, fresh)
                receipt.stored[name] = fresh.num_rows
                if name == "layouts":
                    replace_views(self.con, set(fresh["decision_type"].to_pylist()))
        if conflicts:
            receipt.conflicts = len(conflicts)
            conflicts = [(name, {"received_at": self.now(), **row}) for name, row in conflicts]
            named = [(name, with_names(self.con, row)) for name, row in conflicts]
            self._insert({"conflicts": conflict_table(named)}, Receipt(), {})
        return stored, conflicts

    def _unknown(self, name: str, table: pa.Table) -> pa.Table:
        """Without the rows that nearly every batch repeats and that are known to be stored."""
        if name not in _RECURRING:
            return table
        keys = table[schema.KEYS[name][0]].to_pylist()
        new = [index for index, key in enumerate(keys) if key not in self._known[name]]
        return table.take(pa.array(new, pa.int64()))

    def _certainly_new(self, name: str, incoming: pa.Table, hashes: dict[str, np.ndarray]) -> bool:
        """Whether no key of `incoming` is stored or there twice; leaves their hashes in `hashes`."""
        if name not in self._seen:
            self._seen[name] = Seen(self.con, name, schema.KEYS[name])
        perhaps, hashes[name] = self._seen[name].may_hold(incoming)
        return not perhaps

    def _fresh(
        self,
        name: str,
        incoming: pa.Table,
        receipt: Receipt,
        conflicts: list[Conflict],
    ) -> pa.Table:
        """The rows of `incoming` whose key is neither stored nor earlier in the batch."""
        keys = schema.KEYS[name]
        content = name in schema.CONTENT
        digests = incoming["digest"].to_pylist() if content else [None] * incoming.num_rows
        columns = ", ".join((*keys, "digest") if content else keys)
        rows = self.con.execute(
            f"SELECT {columns} FROM {name} SEMI JOIN incoming USING ({', '.join(keys)})"
        ).fetchall()
        seen = {row[: len(keys)]: row[-1] if content else None for row in rows}
        kept = []
        for index, key in enumerate(zip(*(incoming[k].to_pylist() for k in keys), strict=True)):
            if key not in seen:
                seen[key] = digests[index]
                kept.append(index)
            elif seen[key] == digests[index]:
                receipt.repeats += content
            else:
                conflicts.append((name, incoming.slice(index, 1).to_pylist()[0]))
        if len(kept) == incoming.num_rows:
            return incoming
        return incoming.take(pa.array(kept, pa.int64()))

    def _insert_rows(self, name: str, incoming: pa.Table) -> pa.Table:
        """Insert the rows, stamped with `now` where they have no received_at, and return them so."""
        if "received_at" not in incoming.column_names:
            stamp = pa.array([self.now()] * incoming.num_rows, _STAMP)
            incoming = incoming.append_column("received_at", stamp)
        folders = self._files.folders(name, incoming["received_at"].unique().to_pylist())
        self.con.execute(f"INSERT INTO {name} BY NAME FROM incoming")
        self._files.sync(folders)
        return incoming


def _take_lock(store: Path) -> Any:
    try:
        lock = (store / "writer.lock").open("a")
    except OSError as error:
        raise StoreError(
            f"{store}, which cannot be written: {error.strerror}", "a folder of yours"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise StoreInUse(
            f"{store} in use by another process that writes",
            "to be the only writer",
            "it is being served: send to it with --endpoint, or stop it",
        ) from error
    return lock


def _nanoseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000
