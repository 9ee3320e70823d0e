from __future__ import annotations

import contextlib
import itertools
import math
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from observability.store import lake
from observability.store.locks import StoreInUse
from observability.store.schema import KEYS
from observability.store.write import Writer
from tests.disk import full_at
from tests.spans import (
    NOON,
    batch,
    counts,
    decision,
    decision_span,
    decoded,
    group,
    outcome_span,
    review_span,
    rows,
    span,
)
from traces import Decision, Gate, Recommendation
from traces.codec import encode_decision
from traces.device import RecordedClock
from traces.errors import StoreError

CONTENT = ("decisions", "outcomes", "spans", "layouts", "resources", "rejects", "conflicts")


def mixed() -> list[Span]:
    """Decisions of two layouts and types, outcomes, other spans and bad ones."""
    decisions = [
        decision_span(
            decision(inputs={"temperature": 71.5, "vibration": math.nan}, categoricals={"v": "a"})
        ),
        decision_span(decision(inputs={"vibration": 2.0}, context={"mode": "auto", "load": 0.5})),
        decision_span(decision("valve.open", recommendation=Recommendation("open", 0.7, 0.5))),
        decision_span(
            decision(
                gates=(Gate("max", "t", "<=", 80.0).judge({"t": 91.5}),), disposition="blocked"
            )
        ),
    ]
    others = [
        span({"http.route": "/"}, events=[Span.Event(name="e")]),
        span({}, trace_id=decisions[0].trace_id),
    ]
    bad = [span({"decision.type": "pump.stop"}), span({}, span_id=b"")]
    return [*decisions, *map(outcome_span, decisions[:2]), *others, *bad]


def fresh(spans: list[Span]) -> dict[str, Any]:
    """What the writer takes of these spans; decoding takes spans apart, so of copies of them."""
    return decoded(group([Span.FromString(each.SerializeToString()) for each in spans])).batch()


def content(store: Path) -> dict[str, list[Any]]:
    """Everything in the store but when it came."""
    everything = "SELECT COLUMNS(lambda c: c NOT IN ('received_at', 'arrival')) FROM {}"
    return {name: sorted(map(repr, rows(store, everything.format(name)))) for name in CONTENT}


def test_what_is_written_can_be_read(store: Path, writer: Writer) -> None:
    receipt = writer.write(fresh(mixed()))
    assert receipt.stored == {
        "resources": 1, "decisions": 4, "outcomes": 2, "spans": 2, "rejects": 2, "layouts": 4
    }  # fmt: skip
    assert (receipt.repeats, receipt.conflicts) == (0, 0)
    assert counts(store) == receipt.stored


def test_twice_is_once(store: Path) -> None:
    spans = mixed()
    with Writer(store) as writer:
        writer.write(fresh(spans))
        before = content(store)
        again = writer.write(fresh(spans))
    with Writer(store) as later:
        afresh = later.write(fresh(spans))
    assert again == afresh
    assert (again.stored, again.repeats, again.conflicts) == ({}, 8, 0)
    assert content(store) == before


def test_other_content_of_another_time_under_a_stored_key_is_a_conflict(writer: Writer) -> None:
    first = decision_span(decision())
    later = Span.FromString(first.SerializeToString())
    later.end_time_unix_nano += 10**15
    writer.write(fresh([first]))
    assert writer.write(fresh([later])).conflicts == 1
    assert writer.write(fresh([later, first])).repeats == 1


class LosesTheAnswer:
    """A connection that commits without a word of it."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con

    def execute(self, query: str, *parameters: Any) -> Any:
        incoming = sys._getframe(1).f_locals.get("incoming")  # DuckDB reads it by its name
        done = self._con.execute(query, *parameters)
        del incoming
        if query == "COMMIT":
            raise duckdb.IOException("no answer")
        return done


def test_a_commit_whose_answer_was_lost_is_not_stored_again(store: Path, writer: Writer) -> None:
    spans, con = mixed(), writer.con
    writer.con = cast("duckdb.DuckDBPyConnection", LosesTheAnswer(con))
    with pytest.raises(duckdb.IOException):
        writer.write(fresh(spans))
    writer.con = con
    assert writer.write(fresh(spans)).repeats == 8
    assert counts(store)["decisions"] == 4


def test_twice_in_one_batch_is_once(store: Path, writer: Writer) -> None:
    spans = mixed()
    assert writer.write(fresh(spans + spans)).repeats == 8
    assert counts(store)["decisions"] == 4


@settings(max_examples=2)
@given(chance=st.randoms(use_true_random=False))
def test_neither_order_nor_split_nor_repetition_changes_what_is_stored(
    _made_once: Path, tmp_path_factory: pytest.TempPathFactory, chance: random.Random
) -> None:
    spans = mixed()
    folder = tmp_path_factory.mktemp("order")
    for name in ("one", "two"):
        shutil.copytree(_made_once, folder / name)
    with Writer(folder / "one") as writer:
        writer.write(fresh(spans))
    dealt = spans + chance.sample(spans, 3)
    chance.shuffle(dealt)
    with Writer(folder / "two") as writer:
        for start in range(0, len(dealt), 5):
            writer.write(fresh(dealt[start : start + 5]))
    assert content(folder / "one") == content(folder / "two")
    shutil.rmtree(folder)


def test_other_content_under_a_stored_key_is_a_conflict_once_and_changes_nothing(
    store: Path, writer: Writer
) -> None:
    first = decision_span(decision(inputs={"temperature": 71.5}, categoricals={"valve": "open"}))
    value = decision(inputs={"temperature": 99.0}, categoricals={"valve": "shut"})
    other = decision_span(value, trace_id=first.trace_id, span_id=first.span_id)
    writer.write(fresh([first]))
    for _ in range(2):
        receipt = writer.write(fresh([other]))
        assert (receipt.repeats, receipt.conflicts) == (0, 1)
    assert rows(store, "SELECT inputs FROM decisions") == [([71.5],)]
    ((kind, key, raw),) = rows(store, "SELECT kind, span_key, raw FROM conflicts")
    assert (kind, key) == ("decisions", f"{first.trace_id.hex()}-{first.span_id.hex()}")
    kept = decoded(group([Span.FromString(raw)])).rows["decisions"][0]
    assert (kept["inputs"], kept["categoricals"]) == ([99.0], ["shut"])


def test_conflicts_within_a_batch_keep_the_first(store: Path, writer: Writer) -> None:
    first = outcome_span(decision_span())
    other = outcome_span(decision_span(), "fine", trace_id=first.trace_id, span_id=first.span_id)
    assert writer.write(fresh([first, other])).conflicts == 1
    assert rows(store, "SELECT label FROM outcomes") == [("failed",)]


def test_the_same_ids_of_two_devices_are_two_decisions(store: Path, writer: Writer) -> None:
    one = decision_span()
    two = Span.FromString(one.SerializeToString())
    writer.write(batch(one, device="a"))
    assert writer.write(batch(two, device="b")).stored["decisions"] == 1


def test_any_name_of_a_device_is_only_a_name(store: Path, writer: Writer) -> None:
    names = [
        "d'\"--",
        "a\nb",
        "é☃🙂",
        "%s {} $1 ?",
        "x" * 4000,
        " ",
        "NULL",
        "'; DROP TABLE decisions; --",
    ]
    for _ in range(2):
        value = [decision_span(decision(action=name, context={name: name})) for name in names]
        writer.write(
            decoded(*(group([s], name) for s, name in zip(value, names, strict=True))).batch()
        )
    with lake.connect(store) as con:
        for name in names:
            asked = "SELECT context FROM decisions WHERE device_id = ? AND action = ?"
            assert con.execute(asked, [name, name]).fetchall() == [({name: name},)] * 2


def test_times_are_utc_from_1970_to_2199(store: Path, writer: Writer) -> None:
    instants = [datetime(year, 12, 31, 23, 59, 59, 999_999, UTC) for year in (1970, 2026, 2199)]
    nanos = [int(at.timestamp()) * 10**9 + 999_999_999 for at in instants]
    writer.write(
        batch(*(decision_span(start_time_unix_nano=n, end_time_unix_nano=n) for n in nanos))
    )
    found = rows(store, "SELECT decided_at, end_unix_nano FROM decisions ORDER BY 1")
    assert found == list(zip(instants, nanos, strict=True))


def test_infinite_and_missing_numbers_do_not_confuse_a_filter(store: Path, writer: Writer) -> None:
    for score in (math.inf, -math.inf, math.nan, 0.5, None):
        value = decision(
            recommendation=Recommendation("stop", score, score), inputs={"x": score or 0.0}
        )
        writer.write(batch(decision_span(value)))
    assert rows(store, "SELECT score FROM decisions WHERE score BETWEEN 0 AND 1") == [(0.5,)]
    assert len(rows(store, "FROM decisions WHERE score > 1e308")) == 2  # Infinity, and NaN above it
    assert len(rows(store, "FROM decisions WHERE score IS NULL")) == 1


def test_received_at_is_the_writer_clocks_on_a_store_of_recorded_time(tmp_path: Path) -> None:
    store, clock = tmp_path / "recorded", RecordedClock(NOON)
    with Writer(store, clock) as writer:
        writer.write(batch(decision_span()))
        clock.set(NOON + 36 * 3600 * 10**9)
        writer.write(batch(decision_span()))
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    later = noon + timedelta(hours=36)
    assert rows(store, "SELECT received_at FROM decisions ORDER BY 1") == [(noon,), (later,)]
    with lake.connect(store) as con:
        assert lake.now(con) == later
    with Writer(store) as without_a_clock:
        without_a_clock.write(batch(decision_span()))
    assert rows(store, "SELECT max(received_at) FROM decisions") == [(later,)]


def test_on_a_store_of_real_time_now_is_now(store: Path, writer: Writer) -> None:
    before = datetime.now(UTC)
    writer.write(batch(decision_span()))
    ((received_at,),) = rows(store, "SELECT received_at FROM decisions")
    assert before <= received_at <= datetime.now(UTC)
    with lake.connect(store) as con:
        assert before <= lake.now(con) <= datetime.now(UTC)


def test_a_store_of_real_time_does_not_become_one_of_recorded_time(store: Path) -> None:
    with pytest.raises(StoreError, match="a store of real time; expected one of recorded time"):
        Writer(store, RecordedClock(NOON))
    Writer(store).close()


def test_a_second_writer_is_told_that_the_store_is_in_use(store: Path, writer: Writer) -> None:
    with pytest.raises(StoreInUse, match="--endpoint"):
        Writer(store)


def test_a_writer_removes_the_address_of_one_that_was_killed(store: Path) -> None:
    with Writer(store) as killed:
        killed.publish("http://127.0.0.1:1")
        address = (store / "writer.json").read_text()
    (store / "writer.json").write_text(address)
    with Writer(store):
        assert not (store / "writer.json").exists()


def test_a_commit_that_the_disk_fails_stores_nothing_and_the_next_one_succeeds(
    store: Path, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.write(batch(decision_span()))
    for failing in itertools.count(1):
        sent = [decision_span(), span({})]
        monkeypatch.setattr(os, "fsync", full_at(failing, os.fsync))
        try:
            writer.write(fresh(sent))
            break  # so many syncs it has
        except OSError as error:
            assert error.errno == 28
        finally:
            monkeypatch.undo()
        stored = writer.con.sql(
            "SELECT count(*) FROM decisions UNION ALL SELECT count(*) FROM spans"
        )
        assert stored.fetchall() == [(failing,), (failing - 1,)]
        assert writer.write(fresh(sent)).stored == {"decisions": 1, "spans": 1}
    assert failing > 4
    assert len(rows(store, "SELECT inputs FROM decisions")) == failing + 1


def test_a_catalog_that_is_locked_stores_nothing_and_recovers(store: Path, writer: Writer) -> None:
    sent = decision_span()
    with locked(store / "catalog.sqlite"), pytest.raises(duckdb.Error, match="locked"):
        writer.write(fresh([sent]))
    assert counts(store) == {}
    assert writer.write(fresh([sent])).stored["decisions"] == 1


@contextlib.contextmanager
def locked(catalog: Path) -> Iterator[None]:
    """Another process writes the catalog; SQLite's locks do not hold within one process."""
    code = f"""if True:
        import sqlite3
        con = sqlite3.connect({str(catalog)!r}, isolation_level=None)
        con.execute("BEGIN IMMEDIATE")
        print("locked", flush=True)
        input()"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        yield
        other.communicate(b"\n")


def test_files_are_synced_before_the_catalog_names_them(
    store: Path, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[str] = set()
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        with lake.connect(store) as con:
            assert con.table("decisions").count("*").fetchall() == [(0,)]
        synced.add(path)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    writer.write(batch(decision_span()))
    monkeypatch.undo()
    folders = {
        path
        for file in synced
        if file.endswith(".parquet")
        for path in map(str, Path(file).parents)
    }
    files = {str(path) for path in (store / "data").rglob("*.parquet") if "/meta/" not in str(path)}
    assert files <= synced
    assert {path for path in folders if path.startswith(str(store / "data"))} <= synced


def test_every_table_has_a_key_and_every_key_is_a_column(store: Path, writer: Writer) -> None:
    for name, keys in KEYS.items():
        assert set(keys) <= set(writer.con.table(name).columns)


def test_a_batch_of_thousands_is_one_commit(store: Path, writer: Writer) -> None:
    attributes = encode_decision(decision(inputs={f"x{n}": 1.0 for n in range(20)}))
    snapshot = lake.snapshot_id(writer.con)
    done = decoded(group([span(attributes, "decision pump.stop") for _ in range(3000)])).batch()
    assert writer.write(done).stored["decisions"] == 3000
    assert lake.snapshot_id(writer.con) == snapshot + 1


def test_the_decision_of_a_row_is_the_decision_that_was_made(store: Path, writer: Writer) -> None:
    from observability.store.stored import stored_decision

    made: Decision = decision(inputs={"a": 1.0}, context={"mode": "auto", "load": 0.5, "on": True})
    sent = decision_span(made)
    key = f"{sent.trace_id.hex()}-{sent.span_id.hex()}"
    writer.write(fresh([sent, outcome_span(sent)]))
    with lake.connect(store) as con:
        stored = stored_decision(con, key)
        assert stored_decision(con, "no such") is None
    assert stored is not None
    assert stored.decision == made
    assert (stored.device_id, stored.identity, stored.origin) == ("pump-07", "unverified", "otlp")
    assert [outcome.label for outcome in stored.outcomes] == ["failed"]


def test_the_last_review_makes_a_decision_final(store: Path, writer: Writer) -> None:
    waiting, decided = decision_span(), decision_span()
    first = review_span(decided, "block", end_time_unix_nano=NOON + 60 * 10**9)
    last = review_span(decided, "pass", end_time_unix_nano=NOON + 240 * 10**9)
    again = type(first).FromString(first.SerializeToString())
    writer.write(batch(waiting, last, decided, first))
    assert writer.write(batch(again)).repeats == 1
    found = rows(
        store,
        "SELECT review_verdict, action, final_action FROM decisions_final ORDER BY 1 NULLS FIRST",
    )
    assert found == [(None, "run", "run"), ("pass", "run", "stop")]
