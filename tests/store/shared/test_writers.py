"""Several writers on one lake store what one writer alone would have stored."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from observability.collect.serving import serving
from observability.explain.explain_job import ExplainJob
from observability.store import maintain, worker
from observability.store.append import append
from observability.store.lake import cursor
from observability.store.location import Location, Store, location_of
from observability.store.locks import StoreInUse
from observability.store.worker import Worker
from observability.store.write import Receipt, Writer
from tests.chains import Chain, key
from tests.explain.test_explain_job import EACH, eventually, explained, small_trees
from tests.spans import batch, counts, decision, decision_span, outcome_span, rows
from traces.device import RecordedClock
from traces.errors import StoreError

ACCOUNTS = (
    "FROM chain_gaps SELECT * EXCLUDE since ORDER BY ALL",
    "SELECT * EXCLUDE (missing_since, signed_at, first_received_at, last_received_at)"
    " FROM chain_status ORDER BY ALL",
    "SELECT device_id, chain_id, seq_from, seq_to FROM chain_ranges WHERE kind = 'verified' ORDER BY ALL",
)


def send(writer: Writer, *spans: Span, device: str = "pump-07") -> Receipt:
    """One commit; decoding takes spans apart, so of copies."""
    return writer.write(
        batch(*(Span.FromString(s.SerializeToString()) for s in spans), device=device)
    )


def accounts(store: Store) -> list[Any]:
    return [rows(store, query) for query in ACCOUNTS]


def test_what_one_stored_is_a_repeat_to_the_other(lake: Location) -> None:
    first, second, third = decision_span(), decision_span(), decision_span()
    with Writer(lake) as one, Writer(lake) as other:
        assert send(one, first, second, outcome_span(first)).repeats == 0
        assert send(other, second, third).repeats == 1
        assert send(one, third).repeats == 1
        assert send(other, third, first).repeats == 2
    with Writer(lake) as later:
        assert send(later, first, second, third).repeats == 3
    assert counts(lake) == {"decisions": 3, "outcomes": 1, "layouts": 1, "resources": 1}
    assert rows(lake, "SELECT temperature FROM d_pump_stop") == [(71.5,)] * 3


def test_other_content_under_a_stored_key_is_a_conflict_to_every_writer(lake: Location) -> None:
    ids = {"trace_id": b"t" * 16, "span_id": b"s" * 8}
    with Writer(lake) as one, Writer(lake) as other:
        send(one, decision_span(decision(inputs={"t": 1.0}), **ids))
        receipt = send(other, decision_span(decision(inputs={"t": 2.0}), **ids))
        assert (receipt.conflicts, receipt.stored.get("decisions")) == (1, None)
        assert send(one, decision_span(decision(inputs={"t": 2.0}), **ids)).conflicts == 1
    assert rows(lake, "SELECT inputs FROM decisions") == [([1.0],)]
    assert len(rows(lake, "FROM conflicts")) == 1


def test_chains_are_accounted_for_as_by_one_writer(lake: Location, store: Path) -> None:
    chain, chance = Chain(), random.Random(1)  # noqa: S311
    chain.run(4)
    chain.checkpoint()
    chain.run(2)
    chain.checkpoint(following=key(2))
    chain.run(2)
    chain.checkpoint()
    chain.run(1)
    parts = [[one] for one in chain.sent if one is not chain.sent[3]]
    parts += [[chain.tombstone(5, 6)], [chain.forged(2)], [chain.sent[2]]]
    chance.shuffle(parts)
    with Writer(store) as alone:
        for part in parts:
            send(alone, *part)
    with Writer(lake) as one, Writer(lake) as other:
        for part in parts:
            send(chance.choice((one, other)), *part)
        assert accounts(lake) == accounts(store)
        send(one, chain.sent[3])
        send(other, *chain.sent)
    with Writer(store) as alone:
        send(alone, *chain.sent)
    assert accounts(lake) == accounts(store)


def test_a_writer_whose_last_look_is_forgotten_reads_everything_again(lake: Location) -> None:
    chain = Chain()
    chain.run(6)
    with Writer(lake) as one, Writer(lake) as other:
        send(other, chain.sent[0])
        send(one, *chain.sent[1:3])
        send(one, *chain.sent[3:5])
        one.con.execute("CALL ducklake_merge_adjacent_files('fleet')")
        one.con.execute("CALL ducklake_expire_snapshots('fleet', older_than => now())")
        assert send(other, *chain.sent).repeats == 5
    assert rows(lake, "SELECT arrived, missing FROM chain_status") == [(6, 0)]


def test_a_command_appends_beside_the_writers(lake: Location) -> None:
    known = decision_span()
    with Writer(lake) as one:
        send(one, known)
        receipt = append(lake, batch(Span.FromString(known.SerializeToString()), decision_span()))
        assert (receipt.stored["decisions"], receipt.repeats) == (1, 1)
        assert send(one, known).repeats == 1


def test_one_at_a_time_has_a_lease(lake: Location, store: Path) -> None:
    with Writer(lake) as one, Writer(lake) as other:
        with one.lease("maintenance") as mine, other.lease("maintenance") as theirs:
            assert (mine, theirs) == (True, False)
            with other.lease("explanations") as another:
                assert another
        with other.lease("maintenance") as theirs:
            assert theirs
    with Writer(store) as alone, alone.lease("maintenance") as mine:
        assert mine


def test_two_workers_explain_each_decision_once(
    lake: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ExplainJob, "every_s", 0.02)
    monkeypatch.setattr(worker, "_REST", 0)
    known = small_trees(tmp_path)
    with Writer(lake) as one, Writer(lake) as other:
        known.register(lake)
        workers = [Worker(each, ExplainJob) for each in (one, other)]
        for part, writer in enumerate((one, other)):
            send(writer, *known.spans(10, start=10 * part))
        eventually(lambda: explained(lake) == 20)
        for each in workers:
            each.close()
    assert rows(lake, EACH) == [(20, 20)]


def test_recorded_time_has_one_writer_to_whom_others_hand_their_rows(lake: Location) -> None:
    start_ns = 1_700_000_000 * 10**9
    with serving(lake, RecordedClock(start_ns)):
        with pytest.raises(StoreInUse, match="--endpoint"):
            Writer(lake)
        append(lake, batch(decision_span()))
    at = datetime.fromtimestamp(start_ns / 1e9, UTC)
    assert rows(lake, "SELECT received_at FROM decisions") == [(at,)]
    with Writer(lake) as later:
        assert later.now() == at


def test_the_files_may_lie_in_a_folder_that_all_machines_share(
    database: str, tmp_path: Path, state: Path
) -> None:
    lake = location_of(database, tmp_path / "files")
    with Writer(lake) as one, Writer(lake) as other:
        first = decision_span()
        send(one, first)
        assert send(other, first, decision_span()).repeats == 1
    assert len(list((tmp_path / "files" / "data").rglob("decisions/**/*.parquet"))) == 2
    assert counts(lake)["decisions"] == 2


def test_one_writer_maintains_beside_others_who_take_nothing_for_new(lake: Location) -> None:
    chain = Chain()
    chain.run(6)
    with Writer(lake) as one, Writer(lake) as other:
        for each in chain.sent[:5]:
            send(one, each)
        assert send(other, chain.sent[0]).repeats == 1
        before = accounts(lake)
        with maintain.alone(one), cursor(one.con) as con:
            with pytest.raises(StoreError, match="another process"), maintain.alone(other):
                pass
            done = maintain.begin(con)
            for _ in maintain.steps(one, done, timedelta(0)):
                pass
        maintain.record(one, done)
        assert done.merged >= 5
        assert accounts(lake) == before
        assert send(other, *chain.sent[:5]).repeats == 5
        assert send(other, chain.sent[5]).stored["decisions"] == 1
        assert send(one, *chain.sent).repeats == 6
    assert rows(lake, "SELECT arrived, missing, forks FROM chain_status") == [(6, 0, 0)]
    assert counts(lake)["decisions"] == 6
