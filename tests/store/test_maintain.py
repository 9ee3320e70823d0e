"""Maintenance: fewer and sorted files, rows that expire or are held, and nothing lost whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from observability.store import lake, maintain
from observability.store.maintain_files import small_files
from observability.store.maintain_retention import checked_retention, retention_days
from observability.store.schema import arrow_table
from observability.store.write import Writer
from tests.chains import Chain
from tests.disk import full_at
from tests.spans import NOON, batch, decision_span, outcome_span, review_span, rows, span
from traces.device import RecordedClock
from traces.errors import WrongUse

START = datetime.fromtimestamp(NOON / 1e9, UTC)
DAY_NS = 24 * 3600 * 10**9
NOW = timedelta(0)
RETAINED = ("decisions", "outcomes", "reviews", "spans")
CONTENT = (*RETAINED, "layouts", "resources", "rejects", "meta")


def filled(store: Path, days: int, each: int = 3) -> Path:
    """So many commits on each day, each with a decision that is older than the one before."""
    clock = RecordedClock(NOON)
    with Writer(store, clock) as writer:
        for part in range(days * each):
            clock.set(NOON + part * DAY_NS // each)
            end = NOON - part * 10**9
            made = decision_span(start_time_unix_nano=end, end_time_unix_nano=end)
            inner = span({}, trace_id=made.trace_id)
            writer.write(batch(made, outcome_span(made), review_span(made), inner))
    return store


def run(store: Path, days: int | None = None, grace: timedelta = NOW) -> maintain.Run:
    """A whole run by the store's owner."""
    with Writer(store) as writer:
        with lake.cursor(writer.con) as con:
            done = maintain.begin(con, days)
        for _ in maintain.steps(writer, done, grace):
            pass
        maintain.record(writer, done)
    return done


def content(store: Path) -> dict[str, list[Any]]:
    return {name: rows(store, f"FROM {name} ORDER BY ALL") for name in CONTENT}


def files(store: Path, table: str = "*") -> list[Path]:
    return sorted((store / "data" / "main").glob(f"{table}/**/*.parquet"))


def since(store: Path, table: str, at: datetime) -> list[Any]:
    return rows(store, f"FROM {table} WHERE received_at >= '{at}' ORDER BY ALL")


def hold(store: Path, first: datetime, last: datetime, **fields: Any) -> None:
    """Place or release a hold."""
    row = {"hold_id": "I-0001", "first_at": first, "last_at": last, "released": False, **fields}
    with Writer(store) as writer:
        writer.write({"holds": arrow_table("holds", [row])})


def test_small_files_of_a_day_become_one_that_is_sorted_by_decided_at(tmp_path: Path) -> None:
    store = filled(tmp_path / "fleet", days=2, each=20)
    before = content(store)
    done = run(store)
    assert content(store) == before
    assert done.merged >= 4 * 40
    assert done.bytes_after < done.bytes_before / 4
    assert len(files(store, "decisions")) == 3  # from noon on, 48 hours
    for file in files(store, "decisions"):
        found = duckdb.read_parquet(str(file)).select("decided_at").fetchall()
        assert found == sorted(found)
    with Writer(store) as writer:
        assert small_files(writer.con) == []


def test_a_second_run_finds_nothing_to_do_and_a_third_neither(tmp_path: Path) -> None:
    store = filled(tmp_path / "fleet", days=2)
    run(store)
    for _ in range(2):
        assert not run(store).did_something


def test_what_a_query_may_still_read_stays_on_the_disk(tmp_path: Path) -> None:
    store = filled(tmp_path / "fleet", days=2)
    before = files(store)
    with lake.connect(store) as con, lake.reading(con):
        held = con.sql("FROM decisions ORDER BY ALL").fetchall()
        done = run(store, grace=timedelta(minutes=10))
        assert done.removed == 0
        assert set(before) <= set(files(store))
        assert con.sql("FROM decisions ORDER BY ALL").fetchall() == held
    assert run(store).removed > len(before) // 2
    assert len(files(store, "decisions")) == 3


def test_what_is_older_than_the_retention_leaves_the_disk(tmp_path: Path) -> None:
    store = filled(tmp_path / "fleet", days=10)
    done = run(store, days=4)
    for table in RETAINED:
        assert len(since(store, table, START)) == 13
        days = {file.parent.name for file in files(store, table)}
        assert len(days) == len(files(store, table)) == 5
    assert done.expired == 4 * 17
    assert rows(store, "SELECT count(*) FROM layouts") == [(1,)]


def test_a_retention_holds_until_another_is_stated(tmp_path: Path) -> None:
    store = filled(tmp_path / "fleet", days=1)
    assert run(store).retention_days == 184
    assert run(store, days=400).retention_days == 400
    assert run(store).retention_days == 400
    with lake.connect(store) as con:
        assert retention_days(con) == 400


@pytest.mark.parametrize(
    ("days", "found"),
    [(183, "at least 184; hint: .*--override"), (0, "at least 1"), (-5, "at least 1")],
)
def test_a_short_retention_has_to_be_meant(days: int, found: str) -> None:
    with pytest.raises(WrongUse, match=found):
        checked_retention(days, override=False)
    assert checked_retention(30, override=True) == 30
    with pytest.raises(WrongUse, match="at least 1"):
        checked_retention(0, override=True)


def test_what_is_under_hold_stays_with_all_that_is_about_it(tmp_path: Path) -> None:
    store = filled(tmp_path / "fleet", days=10)
    asked = "SELECT decision_id FROM decisions ORDER BY decided_at DESC LIMIT 2"
    held = sorted(key for (key,) in rows(store, asked))
    hold(store, START - timedelta(seconds=1), START, reason="under review")
    run(store, days=4)
    old = "SELECT {} FROM {} WHERE received_at < TIMESTAMPTZ '2026-01-03' ORDER BY ALL"
    for table in ("decisions", "outcomes", "reviews"):
        assert rows(store, old.format("decision_id", table)) == [(key,) for key in held]
    assert rows(store, old.format("trace_id", "spans")) == [(key[:32],) for key in held]
    assert rows(store, "SELECT decision_id FROM held ORDER BY 1") == [(key,) for key in held]
    assert run(store, days=4).expired == 0
    hold(store, START, START, released=True)
    assert run(store, days=4).expired == 8


def test_a_hold_of_one_device_does_not_hold_another(tmp_path: Path) -> None:
    store = filled(tmp_path / "fleet", days=3)
    hold(store, START - timedelta(days=1), START, device_id="pump-08")
    assert run(store, days=1).expired > 0
    assert rows(store, "FROM held") == []


def test_attributions_leave_with_their_decisions_whenever_they_were_computed(
    tmp_path: Path,
) -> None:
    store = filled(tmp_path / "fleet", days=10, each=1)
    hold(store, START - timedelta(seconds=1), START, reason="under review")
    asked = "SELECT device_id, decision_id, decided_at FROM decisions"
    names = ("device_id", "decision_id", "decided_at")
    made = [dict(zip(names, row, strict=True)) | {"spec_id": "s"} for row in rows(store, asked)]
    with Writer(store) as writer:
        for some in (made[:6], made[6:]):
            writer.write({"attributions": arrow_table("attributions", some)})
    assert len(rows(store, "FROM attributions")) == 10
    assert run(store, days=4).expired > 0
    kept = rows(store, "SELECT device_id, decision_id FROM attributions ORDER BY ALL")
    assert kept == rows(store, "SELECT device_id, decision_id FROM decisions ORDER BY ALL")
    assert len(kept) == 5 + 2
    assert len(files(store, "attributions")) == 1


def test_rejects_expire_though_their_files_hold_many_days(tmp_path: Path) -> None:
    store, clock = tmp_path / "fleet", RecordedClock(NOON)
    with Writer(store, clock) as writer:
        for day in range(6):
            clock.set(NOON + day * DAY_NS)
            row = {"reject_id": str(day), "device_id": "", "reason": "bad", "raw": b""}
            writer.write({"rejects": arrow_table("rejects", [row])} | batch(decision_span()))
    run(store)
    assert len(files(store, "rejects")) == 1
    run(store, days=2)
    assert rows(store, "SELECT reject_id FROM rejects ORDER BY 1") == [("3",), ("4",), ("5",)]
    assert len(files(store, "rejects")) == 1


def test_tombstones_outlive_the_spans_of_their_chain(tmp_path: Path) -> None:
    store, clock, chain = tmp_path / "fleet", RecordedClock(NOON), Chain()
    chain.run(6)
    with Writer(store, clock) as writer:
        writer.write(batch(*chain.sent[:2], chain.tombstone(2, 3), *chain.sent[4:]))
        clock.set(NOON + 9 * DAY_NS)
        writer.write(batch(decision_span()))
        books = writer.chains
        assert books.last_before("pump-07", "c-1", 9) is not None
    status = rows(store, "FROM chain_status")
    run(store, days=2)
    assert rows(store, "SELECT name FROM spans") == [("decision.tombstone",)]
    assert rows(store, "SELECT count(*) FROM decisions") == [(1,)]
    assert rows(store, "FROM chain_status") == status


def test_merged_files_are_synced_before_the_catalog_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(tmp_path / "fleet", days=1)
    before, synced = set(files(store)), set[str]()
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        if path.endswith(".parquet"):
            with lake.connect(store) as con:
                named = con.sql("SELECT DISTINCT filename FROM decisions").fetchall()
            assert (path,) not in named
        synced.add(path)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    run(store, grace=timedelta(minutes=10))
    monkeypatch.undo()
    made = set(files(store)) - before
    assert made
    assert {str(file) for file in made} <= synced
    assert {str(file.parent) for file in made} <= synced


@pytest.mark.parametrize("failing", [1, 2, 5, 9])
def test_a_full_disk_stops_a_run_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    store = filled(tmp_path / "fleet", days=2)
    before = content(store)
    with Writer(store) as writer, lake.cursor(writer.con) as con:
        monkeypatch.setattr(os, "fsync", full_at(failing, os.fsync))
        with pytest.raises(OSError, match="No space"):
            for _ in maintain.steps(writer, maintain.begin(con), NOW):
                pass
        monkeypatch.undo()
    assert content(store) == before
    run(store)
    assert content(store) == before


MAINTAIN = """if True:
    import sys
    from datetime import timedelta
    from pathlib import Path
    from observability.store import lake, maintain
    from observability.store.write import Writer
    with Writer(Path(sys.argv[1])) as writer:
        with lake.cursor(writer.con) as con:
            run = maintain.begin(con, int(sys.argv[2]))
        print("begun", flush=True)
        for step in maintain.steps(writer, run, timedelta(0)):
            print(step, flush=True)
        maintain.record(writer, run)"""


def maintaining(store: Path, days: int) -> subprocess.Popen[str]:
    """Another process that maintains the store; it has just begun."""
    command = [sys.executable, "-c", MAINTAIN, str(store), str(days)]
    other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "begun\n"
    return other


def test_a_kill_at_any_instant_loses_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    store = filled(tmp_path / "fleet", days=6)
    midnight = (START + timedelta(days=6) - timedelta(hours=8)).replace(hour=0) - timedelta(days=3)
    kept = {name: since(store, name, midnight) for name in RETAINED}
    for part in range(6):
        with maintaining(store, days=3) as other:
            time.sleep(0.03 + 0.09 * part)
            other.send_signal(signal.SIGKILL)
        for name, wanted in kept.items():
            assert since(store, name, midnight) == wanted
    run(store, days=3)
    for name, wanted in kept.items():
        assert rows(store, f"FROM {name} ORDER BY ALL") == wanted
    named = rows(store, "SELECT data_file FROM ducklake_list_files('fleet', 'decisions')")
    assert [(str(file),) for file in files(store, "decisions")] == sorted(named)


def test_readers_in_another_process_go_on_meanwhile(tmp_path: Path) -> None:
    store = filled(tmp_path / "fleet", days=4, each=8)
    asked = "SELECT count(*), sum(len(inputs)), min(decided_at) FROM decisions"
    with lake.connect(store) as con:
        before = con.sql(asked).fetchall()
        with maintaining(store, days=184) as other:
            reads = 0
            while other.poll() is None:
                assert con.sql(asked).fetchall() == before
                reads += 1
        assert (other.returncode, reads > 3) == (0, True)
        assert con.sql(asked).fetchall() == before
