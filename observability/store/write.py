"""The writer of a store: it owns the commit and what durable means.

A commit inserts, fsyncs the new files and their folders, and only then commits the catalog; when
`write` returns, the rows survive a power cut. No other file writes to a store. Where others write too,
it takes in what they stored before it looks for repeats, and keeps them from its devices meanwhile.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from observability.store import address, lake, schema
from observability.store.durable import TableFiles, fsync
from observability.store.ledger import Ledger
from observability.store.location import Location, Store, location_of
from observability.store.locks import COMMON, Locks, buckets, in_use, locks_of
from observability.store.opening import open_to_write
from observability.store.others import Forgotten, Others
from observability.store.refused import Conflict, conflict_table
from observability.store.seen import Seen
from observability.store.tombstone import TOMBSTONE
from observability.store.views import replace_views
from traces.device.clock import Clock, RecordedClock, SystemClock
from traces.errors import StoreError

Batch = Mapping[str, pa.Table]
_STAMP = pa.timestamp("us", "UTC")
_RECURRING = {"layouts", "resources"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Receipt:
    """What a commit did, in rows per table."""

    stored: dict[str, int] = field(default_factory=dict)
    repeats: int = 0
    conflicts: int = 0


class Writer:
    """Writes to a store until closed. Raises StoreInUse where one process does and that is another.

    Opening creates the store where there is none and migrates an older one. `clock` gives received_at,
    and a recorded one makes a new store one of recorded time; without a clock it is the system's, or on a
    store of recorded time the newest row's.
    """

    def __init__(self, store: Store, clock: Clock | None = None) -> None:
        self.store = location_of(store)
        self._guard = threading.Lock()
        self._files = TableFiles(self.store)
        self._known: dict[str, set[str]] = {name: set() for name in _RECURRING}
        self._seen: dict[str, Seen] = {}
        self._locks = _claimed(self.store)
        self._alone = contextlib.ExitStack()
        try:
            kind = "recorded" if isinstance(clock, RecordedClock) else "system"
            with self._locks.held({COMMON}):
                self.con = open_to_write(self.store, kind)
            self._keep_alone(lake.clock_kind(self.con))
            with lake.reading(self.con):  # of one and the same commit
                self._others = Others(self.con) if self.store.postgres else None
                self.chains = Ledger(self.con)
            self.clock = clock or self._own_clock()
        except BaseException:
            self._alone.close()
            self._locks.close()
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
            unknown = {name: self._unknown(name, table) for name, table in batch.items()}
            with self._transaction(buckets(unknown) if self._others else ()):
                entry = self.chains.enter(*self._insert(unknown, receipt, hashes))
                if entry is not None and (events := entry.table()) is not None:
                    self._insert_rows("chain_events", events)
            if entry is not None:
                self.chains.take(entry)
            for name, new in hashes.items():
                self._seen[name].add(new)
            for name in _RECURRING & batch.keys():
                self._known[name].update(batch[name][schema.KEYS[name][0]].to_pylist())
            if self._others:
                self._others.committed()
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
            self._keep_alone(kind)
            folders = self._files.folders("meta", ())
            with self._transaction({COMMON}):
                self.con.execute("UPDATE meta SET value = ? WHERE key = 'clock'", [kind])
                self._files.sync(folders)
            self.clock = self._own_clock()

    def lease(self, name: str) -> contextlib.AbstractContextManager[bool]:
        """While it yields True, no other process that writes to the store does what is named."""
        return self._locks.lease(name)

    def publish(self, url: str) -> str:
        """Tell other processes where to hand their writes; returns the token that they must show."""
        return address.publish(self.store.local, url)

    def close(self) -> None:
        """Give up writing."""
        with self._guard:
            address.withdraw(self.store.local)
            self.con.close()
            self._alone.close()
            self._locks.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _keep_alone(self, clock: str) -> None:
        """Recorded time is one writer's clock: no other may write meanwhile. Raises StoreInUse."""
        self._alone.close()
        if clock == "recorded" and not self._alone.enter_context(self.lease("recorded time")):
            raise in_use(self.store)

    @contextlib.contextmanager
    def _transaction(self, held: Iterable[int]) -> Iterator[None]:
        """Commit at the end, or nothing of it; meanwhile others are kept from these buckets."""
        with self._locks.held(held):
            self.con.execute("BEGIN")
            try:
                self._catch_up()
                yield
                self._locks.confirm()
                self.con.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(duckdb.Error):
                    self.con.execute("ROLLBACK")
                raise

    def _catch_up(self) -> None:
        """Take in what other writers stored before this transaction began."""
        others = self._others
        if others is None or not others.look():
            return
        try:
            spans = others.rows("spans", "device_id, name, rest", f"name = '{TOMBSTONE}'")
            events = others.rows("chain_events", "*")
            rows = {name: others.rows(name, ", ".join(schema.KEYS[name])) for name in self._seen}
        except Forgotten:
            self.con.execute("ROLLBACK")  # it is spoilt; nothing was written in it
            self.con.execute("BEGIN")
            others.look()
            self._seen.clear()
            self.chains = Ledger(self.con)
        else:
            for name, keys in rows.items():
                self._seen[name].add(self._seen[name].may_hold(keys)[1])
            self.chains.go_on(events, spans)
        others.know()

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
            named = [(name, self._with_names(row)) for name, row in conflicts]
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

    def _with_names(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row of `decisions` with the names of its inputs; any other as it is."""
        found = self.con.execute(
            "SELECT names, categorical_names FROM layouts WHERE layout_id = ?",
            [row.get("layout_id")],
        ).fetchone()
        return {**row, "names": found[0], "categorical_names": found[1]} if found else row

    def _insert_rows(self, name: str, incoming: pa.Table) -> pa.Table:
        """Insert the rows, stamped with `now` where they have no received_at, and return them so."""
        if "received_at" not in incoming.column_names:
            stamp = pa.array([self.now()] * incoming.num_rows, _STAMP)
            incoming = incoming.append_column("received_at", stamp)
        folders = self._files.folders(name, incoming["received_at"].unique().to_pylist())
        self.con.execute(f"INSERT INTO {name} BY NAME FROM incoming")
        self._files.sync(folders)
        return incoming


def _claimed(store: Location) -> Locks:
    """The locks of a store, and its folders where there are none yet. Raises StoreError."""
    if store.postgres:
        lake.create_local(store)
        return locks_of(store)
    if not lake.is_store(store):
        lake.create_folder(store)
    locks = locks_of(store)
    address.forget(store.local)
    fsync(store.local)
    fsync(store.local.absolute().parent)
    return locks


def _nanoseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000
