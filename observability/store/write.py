"""The writer of a store: it owns the commit and what durable means.

A commit inserts, fsyncs the new files and their folders, and only then commits the catalog; when
`write` returns, the rows survive a power cut. No other file writes to a store. Where others write too,
it takes in what they stored before it looks for repeats, and keeps them from its devices meanwhile.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa

from observability.store import address, lake, schema
from observability.store.durable import TableFiles, fsync
from observability.store.ledger import Ledger
from observability.store.location import Location, Store, location_of
from observability.store.locks import BUCKETS, COMMON, Locks, buckets, in_use, locks_of
from observability.store.opening import open_to_write
from observability.store.others import Forgotten, Others
from observability.store.refused import Conflict, conflict_table, with_names
from observability.store.repeats import Repeats, Sifted
from observability.store.tombstone import TOMBSTONE
from observability.store.views import replace_views
from traces.device.clock import Clock, RecordedClock, SystemClock
from traces.errors import StoreError

Batch = Mapping[str, pa.Table]
_STAMP = pa.timestamp("us", "UTC")
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
        self._locks = _claimed(self.store)
        self._alone = contextlib.ExitStack()
        self._is_open = True
        try:
            kind = "recorded" if isinstance(clock, RecordedClock) else "system"
            with self._locks.held({COMMON}):
                self.con = open_to_write(self.store, kind)
            self._keep_alone(lake.clock_kind(self.con))
            self._read()
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
            if not self._is_known:
                self._read()
            batch = self._repeats.unknown(batch)
            with self._transaction(buckets(batch) if self._others else ()):
                sifted = self._insert(batch)
                stored = {name: one.fresh for name, one in sifted.items() if one.fresh.num_rows}
                conflicts = [
                    (name, {"received_at": self.now(), **row})
                    for one in sifted.values()
                    for name, row in one.conflicts
                ]
                if conflicts:
                    sifted |= self._insert({"conflicts": self._as_table(conflicts)})
                entry = self.chains.enter(stored, conflicts)
                if entry is not None and (events := entry.table()) is not None:
                    self._insert_rows("chain_events", events)
            if entry is not None:
                self.chains.take(entry)
            self._repeats.remember(sifted)
            if self._others:
                self._others.committed()
            return Receipt(
                {name: rows.num_rows for name, rows in stored.items()},
                sum(one.repeats for one in sifted.values()),
                len(conflicts),
            )

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

    def settled(self) -> int:
        """The number that every decision stored by now arrived below, and no later one will."""
        with self._guard, self._locks.held(range(BUCKETS)):
            return lake.snapshot_id(self.con)

    @contextlib.contextmanager
    def changing(
        self, *tables: str, held: Iterable[int] = ()
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """A transaction of maintenance on these tables; what it writes is durable before it commits.

        Meanwhile other writers are kept from the buckets `held`.
        """
        with self._guard:
            with self._transaction(held), self._files.synced(tables):
                lake.as_maintenance(self.con)
                yield self.con
            if self._others:
                self._others.committed()

    def publish(self, url: str) -> str:
        """Tell other processes where to hand their writes; returns the token that they must show."""
        return address.publish(self.store.local, url)

    def close(self) -> None:
        """Give up writing."""
        with self._guard:
            if not self._is_open:
                return
            self._is_open = False
            address.withdraw(self.store.local)
            with contextlib.suppress(OSError):  # a full disk: the next process reads the keys again
                if self._is_known:
                    self._repeats.save()
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
                self._is_known = self._others is not None  # who looks for others' commits finds it
                self.con.execute("COMMIT")
                self._is_known = True
            except BaseException:
                with contextlib.suppress(duckdb.Error):
                    self.con.execute("ROLLBACK")
                raise

    def _read(self) -> None:
        """Learn from the store what is in it: on opening, and after a commit that may have been."""
        with lake.reading(self.con):  # of one and the same commit
            self._others = Others(self.con) if self.store.postgres else None
            self._repeats = Repeats(self.con, None if self._others else self.store.local / "index")
            self.chains = Ledger(self.con)
        self._is_known = True

    def _catch_up(self) -> None:
        """Take in what other writers stored before this transaction began."""
        others = self._others
        if others is None or not others.look():
            return
        try:
            spans = others.rows("spans", "device_id, name, rest", f"name = '{TOMBSTONE}'")
            events = others.rows("chain_events", "*")
            keys = {
                name: others.rows(name, ", ".join(schema.KEYS[name]))
                for name in self._repeats.tables()
            }
        except Forgotten:
            self.con.execute("ROLLBACK")  # it is spoilt; nothing was written in it
            self.con.execute("BEGIN")
            others.look()
            self._repeats = Repeats(self.con, None)
            self.chains = Ledger(self.con)
        else:
            for name, rows in keys.items():
                self._repeats.learn(name, rows)
            self.chains.go_on(events, spans)
        others.know()

    def _own_clock(self) -> Clock:
        if lake.clock_kind(self.con) == "system":
            return SystemClock()
        return RecordedClock(_nanoseconds(lake.now(self.con)))

    def _insert(self, batch: Batch) -> dict[str, Sifted]:
        """Insert what is new; what of each table that is, received when it was, and what it is not."""
        sifted = dict[str, Sifted]()
        for name, table in batch.items():
            if not table.num_rows:
                continue
            sifted[name] = one = self._repeats.sift(name, table)
            if one.fresh.num_rows:
                sifted[name] = replace(one, fresh=self._insert_rows(name, one.fresh))
                if name == "layouts":
                    replace_views(self.con, set(one.fresh["layout_id"].to_pylist()))
        return sifted

    def _as_table(self, conflicts: Sequence[Conflict]) -> pa.Table:
        rows = with_names(self.con, [row for _, row in conflicts])
        return conflict_table(zip([name for name, _ in conflicts], rows, strict=True))

    def _insert_rows(self, name: str, incoming: pa.Table) -> pa.Table:
        """Insert the rows, stamped with `now` where they have no received_at, and return them so."""
        if "received_at" not in incoming.column_names:
            stamp = pa.array([self.now()] * incoming.num_rows, _STAMP)
            incoming = incoming.append_column("received_at", stamp)
        if name == "decisions":
            arrival = pa.repeat(pa.scalar(lake.snapshot_id(self.con)), incoming.num_rows)
            incoming = incoming.append_column("arrival", arrival)
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
