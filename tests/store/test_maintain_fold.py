"""Folding chain_events, as a law: whatever came in whatever order, nobody who asks can tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from observability.store import lake
from observability.store.ledger import Ledger
from observability.store.maintain_fold import FOLDS, fold
from observability.store.read_ledger import open_books
from observability.store.schema import statements
from observability.store.write import Writer
from tests.chains import Chain, key
from tests.spans import NOON, batch, decoded, group
from traces.device import RecordedClock

START = datetime.fromtimestamp(NOON / 1e9, UTC)
HOUR = timedelta(hours=1)
VIEWS = ("chain_gaps", "chain_ranges", "chain_status")


@st.composite
def histories(draw: st.DrawFn) -> list[list[Span]]:
    """What a device sends of 24 numbers, in parts in any order: some gone, some forged, keys handed on."""
    chain = Chain()
    for kind in draw(st.lists(st.sampled_from("dddddoccn"), min_size=24, max_size=24)):
        if kind == "d" or not chain.sent:
            chain.decide()
        elif kind == "o":
            chain.observe(chain.sent[0])
        else:
            chain.checkpoint(following=key(len(chain.sent)) if kind == "n" else None)
    gone = draw(st.sets(st.integers(0, 23), max_size=5))
    sent = [one for seq, one in enumerate(chain.sent) if seq not in gone]
    sent += [chain.forged(seq) for seq in draw(st.sets(st.integers(0, 23), max_size=2))]
    sent += [
        chain.tombstone(seq, seq, digests=draw(st.booleans()))
        for seq in gone
        if draw(st.booleans())
    ]
    if draw(st.booleans()):
        sent = draw(st.permutations(sent))
    cuts = sorted(draw(st.sets(st.integers(1, len(sent) - 1), max_size=12)))
    return [sent[low:high] for low, high in zip([0, *cuts], [*cuts, len(sent)], strict=True)]


def tables() -> duckdb.DuckDBPyConnection:
    """The tables and views of a store, in memory."""
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    for statement in statements():
        con.execute(statement)
    return con


def receive(con: duckdb.DuckDBPyConnection, ledger: Ledger, part: list[Span], at: datetime) -> None:
    done = decoded(group([Span.FromString(one.SerializeToString()) for one in part]))
    stored = done.batch(at)
    entry = ledger.enter(stored, [])
    events = entry and entry.table()
    for name, new in (("spans", stored.get("spans")), ("chain_events", events)):
        if new is not None:
            con.execute(f"INSERT INTO {name} BY NAME FROM new")
    if entry is not None:
        ledger.take(entry)


def fold_here(con: duckdb.DuckDBPyConnection, before: datetime) -> int:
    """As the store does it, without its files."""
    con.execute(f"CREATE OR REPLACE TEMP TABLE folds AS {FOLDS}", {"before": before})
    con.execute("DELETE FROM chain_events WHERE rowid IN (SELECT unnest(members) FROM folds)")
    con.execute("INSERT INTO chain_events BY NAME SELECT * EXCLUDE (members) FROM folds")
    return con.execute("SELECT count(*) FROM folds").fetchall()[0][0]


def told(con: duckdb.DuckDBPyConnection) -> list[Any]:
    """All that anybody asks of the events."""
    return [
        *(con.execute(f"FROM {view} ORDER BY ALL").fetchall() for view in VIEWS),
        open_books(con),
    ]


@settings(max_examples=20)
@given(
    parts=histories(),
    folds=st.lists(st.none() | st.integers(0, 12), min_size=25, max_size=25),
    opened=st.lists(st.booleans(), min_size=25, max_size=25),
)
def test_nobody_can_tell_that_events_were_folded(
    parts: list[list[Span]], folds: list[int | None], opened: list[bool]
) -> None:
    with tables() as plain, tables() as folded:
        ledgers = {con: Ledger(con) for con in (plain, folded)}
        for hour, part in enumerate(parts):
            for con in ledgers:
                receive(con, ledgers[con], part, START + hour * HOUR)
            if (before := folds[hour]) is not None:
                fold_here(folded, START + before * HOUR)
                assert told(folded) == told(plain)
            if opened[hour]:
                ledgers = {con: Ledger(con) for con in ledgers}
        fold_here(folded, START + 99 * HOUR)
        assert told(folded) == told(plain)
        assert fold_here(folded, START + 99 * HOUR) == 0


def steady(store: Path, days: int) -> None:
    """A device that sends four decisions and a checkpoint six times a day, and another that stops early."""
    chains = {"pump-07": Chain(), "pump-08": Chain("c-2", key(2))}
    clock = RecordedClock(NOON)
    with Writer(store, clock) as writer:
        for part in range(6 * days):
            clock.set(NOON + part * 4 * 3600 * 10**9)
            for device, chain in chains.items():
                if device == "pump-07" or part < 9:
                    sent = [*chain.run(4), chain.checkpoint()]
                    copies = [Span.FromString(one.SerializeToString()) for one in sent]
                    writer.write(batch(*copies, device=device))


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("long") / "fleet"
    steady(store, 8)
    return store


def test_a_store_keeps_a_few_rows_a_chain_and_yesterday_as_it_came(long: Path) -> None:
    with Writer(long) as writer, lake.cursor(writer.con) as con:
        before = told(con)
        (count,) = con.execute("SELECT count(*) FROM chain_events").fetchall()[0]
        steps = list(fold(writer, con))
        after = con.execute("SELECT count(*) FROM chain_events").fetchall()[0][0]
        assert told(con) == before
        assert sum(step.count for step in steps) == count - after
        assert (len(steps) > 1, steps[-1].left) == (True, 0)
        since = con.execute("SELECT max(received_at) FROM chain_events").fetchall()[0][0]
        midnight = (since - timedelta(days=1)).replace(hour=0)
        old = con.execute(
            "SELECT device_id, kind, count(*) FROM chain_events WHERE received_at < ?"
            " AND kind <> 'key' GROUP BY ALL ORDER BY ALL",
            [midnight],
        ).fetchall()
        kinds = ("arrived", "signed", "verified")
        assert old == [(device, kind, 1) for device in ("pump-07", "pump-08") for kind in kinds]
        assert list(fold(writer, con)) == []


def test_the_writer_goes_on_from_a_folded_store_as_from_any(long: Path) -> None:
    with Writer(long) as writer, lake.cursor(writer.con) as con:
        found = con.execute(
            "SELECT last_seq, arrived, verified, missing FROM chain_status ORDER BY device_id"
        ).fetchall()
        assert found == [(239, 240, 239, 0), (44, 45, 44, 0)]
        forged = Chain()
        forged.run(3)
        writer.write(batch(*forged.sent, device="pump-07"))
        assert con.execute("SELECT forks FROM chain_status ORDER BY device_id").fetchall() == [
            (3,),
            (0,),
        ]
