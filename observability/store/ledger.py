"""The accounts of all chains of a store, kept by its writer: what a commit changes in them, and which events.

Accounts change with the commit that stores the spans and its events, or not at all. Nobody else
appends to `chain_events`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa

from observability.store import account as accounts
from observability.store.account import Account, Event, event
from observability.store.numbered import ChainRows, Said, chain_rows, said
from observability.store.ranges import shared
from observability.store.read_ledger import go_on, open_books, strangers
from observability.store.schema import arrow_table
from observability.store.trust import Keys, handed_on, judge, pinned
from traces.checkpoint import Checkpoint

Key = tuple[str, str]
"""A device and a chain."""


@dataclass(slots=True)
class Entry:
    """What one commit changes: events by chain, and the accounts and keys once it is durable."""

    events: dict[Key, list[Event]] = field(default_factory=dict)
    accounts: dict[Key, Account] = field(default_factory=dict)
    keys: dict[str, Keys] = field(default_factory=dict)
    received: dict[Key, datetime] = field(default_factory=dict)

    def table(self) -> pa.Table | None:
        """The rows of `chain_events`; None where there are none."""
        rows = [
            {"device_id": key[0], "chain_id": key[1], **one, "received_at": self.received[key]}
            for key, events in self.events.items()
            for one in events
        ]
        if not rows:
            return None
        stamp = pa.array([row["received_at"] for row in rows], pa.timestamp("us", "UTC"))
        return arrow_table("chain_events", rows).append_column("received_at", stamp)


class Ledger:
    """The accounts of the chains that `con` has stored."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con
        self._books = open_books(con)

    def enter(
        self, stored: Mapping[str, pa.Table], conflicts: Iterable[tuple[str, Mapping[str, Any]]]
    ) -> Entry | None:
        """What a commit of these new rows, and of conflicts with stored ones, changes; None = nothing.

        To be asked inside the transaction; every table has received_at.
        """
        rows = chain_rows(stored)
        spoken = said(stored["spans"]) if "spans" in stored else []
        forked = [row for _, row in conflicts if row.get("chain_id") is not None]
        if not rows and not spoken and not forked:
            return None
        entry = Entry()
        for row in rows:
            self._arrive(entry, row)
        for row in forked:
            key = row["device_id"], row["chain_id"]
            fork = event("fork", (row["seq"], row["seq"]), digest=row["digest"])
            self._note(entry, key, row["received_at"], [fork])
        self._hear(entry, spoken)
        for key, after in entry.accounts.items():
            before = self._books.accounts.get(key, Account(key[1]))
            entry.events[key] += accounts.newly_verified(before, after)
        return entry

    def go_on(self, events: pa.Table, spans: pa.Table) -> None:
        """Other writers have stored these events, and these spans: device_id, name, rest."""
        if events.num_rows:
            go_on(self._books, events, spans)

    def take(self, entry: Entry) -> None:
        """The commit of this entry is durable."""
        self._books.accounts.update(entry.accounts)
        self._books.keys.update(entry.keys)
        for device, chain_id in entry.accounts:
            self._books.owners.setdefault(chain_id, device)
        for device, keys in entry.keys.items():
            self._books.owners.setdefault(keys.current, device)

    def last_before(self, device_id: str, chain_id: str, seq: int) -> datetime | None:
        """When the chain's newest decision was made, UTC, if its number is below this one."""
        found = self._books.accounts.get((device_id, chain_id))
        return found.last_at if found and found.last_seq < seq else None

    def _arrive(self, entry: Entry, rows: ChainRows) -> None:
        key = rows.device_id, rows.chain_id
        before = self._account(entry, key)
        claimed = [] if before.arrived else self._claimed(entry, key[0], key[1])
        after, events = accounts.arrive(before, rows.spans)
        if rows.last_at is not None and rows.last_seq > after.last_seq:
            after = replace(after, last_seq=rows.last_seq, last_at=rows.last_at)
            for one in events:
                if one["kind"] == "arrived" and one["seq_to"] >= rows.last_seq:
                    one["decided_at"] = rows.last_at
        self._note(entry, key, rows.received_at, [*claimed, *events], after)

    def _hear(self, entry: Entry, spoken: Iterable[Said]) -> None:
        """Tombstones first: they close gaps that a checkpoint's signature reaches through."""
        for one in spoken:
            if one.tombstone is not None:
                key = one.device_id, one.tombstone.chain_id
                after, events = accounts.declare(self._account(entry, key), one.tombstone)
                self._note(entry, key, one.received_at, events, after)
        for one in spoken:
            if one.checkpoint is not None:
                self._check(entry, one, one.checkpoint)

    def _check(self, entry: Entry, one: Said, checkpoint: Checkpoint) -> None:
        key, place = (one.device_id, one.chain_id), (one.chain_id, one.seq)
        before = self._account(entry, key)
        if not _stands(before, entry.events[key], one.seq):
            return
        keys = self._keys(entry, one.device_id)
        span = checkpoint.seq_from, checkpoint.seq_to
        signed_before = any(piece.signed is not None for piece in before.pieces)
        found = judge(keys, checkpoint, place, seen=signed_before)
        if found == "good" and (checkpoint.seq_to, checkpoint.head) == (one.seq - 1, one.prev):
            after, events = accounts.sign(before, one.seq, checkpoint)
            if checkpoint.predecessor and not signed_before:
                events.append(event("successor", span, detail=checkpoint.predecessor))
            self._note(entry, key, one.received_at, events, after)
            self._trust(entry, one, checkpoint, keys)
        elif found == "unsigned":
            after, events = accounts.declare_all(before, checkpoint.lost)
            self._note(entry, key, one.received_at, events, after)
        else:
            kind = "stranger" if found == "stranger" else "bad signature"
            detail = checkpoint.fault or ("" if found == "stranger" else "not its own span's head")
            odd = event(kind, span, head=checkpoint.head, key_id=checkpoint.key_id, detail=detail)
            self._note(entry, key, one.received_at, [odd])

    def _trust(self, entry: Entry, one: Said, checkpoint: Checkpoint, keys: Keys) -> None:
        """Pin the first key, and follow where the current one hands on."""
        key, span = (one.device_id, one.chain_id), (checkpoint.seq_from, checkpoint.seq_to)
        events: list[Event] = []
        if not keys.current:
            events += self._claimed(entry, one.device_id, checkpoint.key_id)
            events.append(event("key", span, key_id=checkpoint.key_id, detail="first use"))
        now = pinned(keys, checkpoint)
        new = handed_on(now, checkpoint, (one.chain_id, one.seq))
        if new != keys:
            entry.keys[one.device_id] = new
        if new != now:
            events.append(event("key", span, key_id=new.current, detail="handed on"))
        self._note(entry, key, one.received_at, events)
        if new != now:
            self._reconsider(entry, one, new.current)

    def _reconsider(self, entry: Entry, one: Said, key_id: str) -> None:
        """Verify what the key had signed before it was known to be handed on."""
        waiting = [
            (key[1], odd)
            for key, events in entry.events.items()
            for odd in events
            if key[0] == one.device_id and odd["kind"] == "stranger" and odd["key_id"] == key_id
        ]
        for chain_id, odd in [*waiting, *strangers(self._con, one.device_id, key_id)]:
            key = one.device_id, chain_id
            earlier = Checkpoint(odd["seq_from"], odd["seq_to"], odd["head"], key_id=key_id)
            after, events = accounts.sign(self._account(entry, key), odd["seq_to"] + 1, earlier)
            self._note(entry, key, one.received_at, events, after)

    def _claimed(self, entry: Entry, device_id: str, name: str) -> list[Event]:
        """An event where another device had this chain or this key first."""
        others = [device for device, chain_id in entry.accounts if chain_id == name]
        others += [device for device, keys in entry.keys.items() if keys.current == name]
        owner = self._books.owners.get(name) or next(iter(others), device_id)
        return [] if owner == device_id else [event("claimed", (0, 0), detail=owner)]

    def _account(self, entry: Entry, key: Key) -> Account:
        return entry.accounts.get(key) or self._books.accounts.get(key) or Account(key[1])

    def _keys(self, entry: Entry, device_id: str) -> Keys:
        return entry.keys.get(device_id) or self._books.keys.get(device_id) or Keys()

    def _note(
        self,
        entry: Entry,
        key: Key,
        received_at: datetime,
        events: list[Event],
        after: Account | None = None,
    ) -> None:
        entry.events.setdefault(key, []).extend(events)
        entry.received[key] = max(received_at, entry.received.get(key, received_at))
        entry.accounts[key] = after or self._account(entry, key)


def _stands(account: Account, events: Iterable[Event], seq: int) -> bool:
    """Whether the span of this number is the one that the account's piece holds."""
    forked = any(one["kind"] == "fork" and one["seq_from"] == seq for one in events)
    return not forked and not shared([(seq, seq)], account.lost)
