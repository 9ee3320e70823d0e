"""The accounts of a store's chains as its events tell them: what the writer knows when it opens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb
import pyarrow as pa
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from observability.store import pieces as chain
from observability.store.account import Account
from observability.store.pieces import Piece
from observability.store.ranges import joined
from observability.store.tombstone import TOMBSTONE, read_tombstone
from observability.store.trust import Keys
from traces.otlp import attributes_of

_PIECES = """
WITH placed AS (
    SELECT device_id, chain_id, seq_from, seq_to, prev, head,
        lag(seq_to) OVER by_seq AS before_to, lag(head) OVER by_seq AS before_head
    FROM chain_events
    WHERE kind IN ('arrived', 'lost') AND head IS NOT NULL
    WINDOW by_seq AS (PARTITION BY device_id, chain_id ORDER BY seq_from, seq_to)
), ends AS (
    SELECT device_id, chain_id, arg_max(seq_to, (seq_from, seq_to)) AS last_to,
        arg_max(head, (seq_from, seq_to)) AS last_head
    FROM placed
    GROUP BY device_id, chain_id
)
SELECT device_id, chain_id, seq_from, coalesce(lead(before_to) OVER by_start, last_to), prev,
    coalesce(lead(before_head) OVER by_start, last_head)
FROM placed JOIN ends USING (device_id, chain_id)
WHERE before_to IS NULL OR before_to + 1 <> seq_from OR before_head <> prev
WINDOW by_start AS (PARTITION BY device_id, chain_id ORDER BY seq_from, seq_to)
ORDER BY device_id, chain_id, seq_from
"""
"""Pieces are the rows that do not go on from the one before; a piece ends where the next one begins."""

_RANGES = """
SELECT device_id, chain_id, kind, seq_from, seq_to
FROM chain_ranges WHERE kind IN ('arrived', 'lost') ORDER BY device_id, chain_id, seq_from
"""

_LAST = """
SELECT device_id, chain_id, arg_max(seq_to, seq_to), arg_max(decided_at, seq_to)
FROM chain_events
WHERE kind = 'arrived' AND decided_at IS NOT NULL
GROUP BY device_id, chain_id
"""

_SIGNED = """
SELECT device_id, chain_id, seq_to + 1
FROM chain_events WHERE kind = 'signed' ORDER BY seq_to
"""
_KEYS = """
SELECT device_id, chain_id, seq_to + 1, key_id, detail
FROM chain_events WHERE kind = 'key' ORDER BY received_at, seq_to
"""
_OWNERS = """
SELECT chain_id, arg_min(device_id, coalesce(first_received_at, received_at)) FROM chain_events
WHERE kind <> 'claimed' GROUP BY chain_id
"""
_STRANGERS = """
SELECT chain_id, seq_from, seq_to, head
FROM chain_events WHERE kind = 'stranger' AND device_id = ? AND key_id = ?
"""


@dataclass(slots=True)
class Books:
    """Accounts by device and chain, keys by device, and which device had a chain or a key first."""

    accounts: dict[tuple[str, str], Account] = field(default_factory=dict)
    keys: dict[str, Keys] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)


def open_books(con: duckdb.DuckDBPyConnection) -> Books:
    """The books as the stored events tell them."""
    books = Books()
    if con.execute("SELECT count(*) FROM chain_events").fetchone() != (0,):
        _enter(books, con)
    return books


def go_on(books: Books, events: pa.Table, spans: pa.Table) -> None:
    """Enter newer rows of `chain_events`; `spans` has device_id, name and rest of the newer spans."""
    with duckdb.connect(config={"threads": 1}) as con:
        con.register("chain_events", events)
        con.register("chain_ranges", events)
        con.register("spans", spans)
        _enter(books, con)


def _enter(books: Books, con: duckdb.DuckDBPyConnection) -> None:
    """Enter what the events of `con` tell. Of a chain they may tell a part: the rest is in the books."""
    lost = False
    for *key, kind, low, high in con.execute(_RANGES).fetchall():
        old = _account(books, key)
        books.accounts[old[0]] = replace(
            old[1], **{kind: joined(getattr(old[1], kind), [(low, high)])}
        )
        lost |= kind == "lost"
    for *key, low, high, prev, head in con.execute(_PIECES).fetchall():
        place, account = _account(books, key)
        placed, _ = chain.put(account.pieces, Piece(low, high, prev, head))
        books.accounts[place] = replace(account, pieces=placed)
    for *key, seq in con.execute(_SIGNED).fetchall():
        place, account = _account(books, key)
        books.accounts[place] = replace(account, pieces=chain.sign(account.pieces, seq))
    for *key, seq, at in con.execute(_LAST).fetchall():
        place, account = _account(books, key)
        if seq > account.last_seq:
            books.accounts[place] = replace(account, last_seq=seq, last_at=at)
    if lost:
        for device_id, tombstone in _tombstones(con):
            place, account = _account(books, (device_id, tombstone.chain_id))
            kept = (*account.tombstones, tombstone)
            books.accounts[place] = replace(account, tombstones=kept)
    for chain_id, device_id in con.execute(_OWNERS).fetchall():
        books.owners.setdefault(chain_id, device_id)
    _read_keys(con, books)


def strangers(
    con: duckdb.DuckDBPyConnection, device_id: str, key_id: str
) -> list[tuple[str, dict[str, Any]]]:
    """The checkpoints of a device that this key signed while nobody knew it: chain, and what they say."""
    found = con.execute(_STRANGERS, [device_id, key_id]).fetchall()
    return [
        (chain_id, {"seq_from": low, "seq_to": high, "head": head})
        for chain_id, low, high, head in found
    ]


def _read_keys(con: duckdb.DuckDBPyConnection, books: Books) -> None:
    for device_id, chain_id, seq, key_id, _ in con.execute(_KEYS).fetchall():
        before = books.keys.get(device_id, Keys())
        if before.current == key_id:
            continue
        retired = {**before.retired, before.current: (chain_id, seq)} if before.current else {}
        books.keys[device_id] = Keys(key_id, retired)
        books.owners.setdefault(key_id, device_id)


def _tombstones(con: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, Any]]:
    rows = con.execute("SELECT device_id, rest FROM spans WHERE name = ?", [TOMBSTONE]).fetchall()
    for device_id, rest in rows:
        found = read_tombstone(attributes_of(Span.FromString(rest).attributes))
        if found is not None and found.digests:
            yield device_id, found


def _account(books: Books, key: Any) -> tuple[tuple[str, str], Account]:
    place = (key[0], key[1])
    return place, books.accounts.get(place, Account(place[1]))
