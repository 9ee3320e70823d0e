from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

import observability
from observability.models import registry
from observability.monitor.cadence import cadence
from observability.store import lake, maintain
from observability.store.lake import schema_version
from observability.store.read import Window
from observability.store.read_health import health
from observability.store.selection import Selection, count_spans
from observability.store.stored import stored_decision
from observability.store.write import Writer
from tests.spans import batch, decision, decision_span, review_span, rows
from traces import ChainPosition
from traces.errors import StoreError, WhenceError

FIRST = Path(__file__).parent / "fixtures" / "v1.zip"
SECOND = Path(__file__).parent / "fixtures" / "v2.zip"
THIRD = Path(__file__).parent / "fixtures" / "v3.zip"


def refused(store: Path) -> str:
    """The one line that reading and writing are refused with."""
    with pytest.raises(WhenceError) as reading:
        lake.connect(store)
    with pytest.raises(WhenceError):
        Writer(store)
    assert "\n" not in str(reading.value)
    return str(reading.value)


def test_a_reader_sees_each_commit_without_reconnecting(store: Path, writer: Writer) -> None:
    with observability.connect(str(store)) as con:
        for count in range(3):
            assert con.sql("SELECT count(*) FROM decisions").fetchall() == [(count,)]
            writer.write(batch(decision_span()))


def test_a_session_reads_in_utc_wherever_it_runs(
    store: Path, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    writer.write(batch(decision_span()))
    with lake.connect(store) as con:
        for session in (con, lake.cursor(con)):
            found = session.sql("SELECT decided_at::VARCHAR FROM decisions").fetchall()
            assert found == [("2026-01-01 12:00:01+00",)]


def test_a_reader_cannot_write(store: Path, writer: Writer) -> None:
    writer.write(batch(decision_span()))
    with lake.connect(store) as con:
        for statement in (
            "INSERT INTO meta VALUES ('a', 'b')",
            "DELETE FROM decisions",
            "UPDATE meta SET value = '9'",
            "DROP TABLE decisions",
            "CREATE TABLE mine (a INTEGER)",
            "CREATE VIEW mine AS SELECT 1",
            "ALTER TABLE decisions ADD COLUMN mine INTEGER",
            "CALL ducklake_expire_snapshots('fleet', older_than => now())",
        ):
            with pytest.raises(duckdb.Error):
                con.execute(statement)
        assert con.sql("SELECT count(*) FROM decisions").fetchall() == [(1,)]


def test_a_reader_leaves_the_catalog_as_it_is(store: Path) -> None:
    before = (store / "catalog.sqlite").read_bytes()
    with lake.connect(store) as con:
        con.sql("SELECT count(*) FROM decisions").fetchall()
    assert (store / "catalog.sqlite").read_bytes() == before


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for place in (tmp_path, tmp_path / "file"):
        assert "is no store; expected a store folder; hint: " in refused(place)
    for place in (tmp_path / "absent", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match=r"^found no folder "):
            lake.connect(place)
    assert not (tmp_path / "absent").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_a_store_whose_making_was_cut_short_is_made_again(tmp_path: Path) -> None:
    store = tmp_path / "fleet"
    (store / "data").mkdir(parents=True)
    (store / "keys").mkdir()
    (store / "store.toml.part").write_text("sche")
    with Writer(store) as writer:
        writer.write(batch(decision_span()))
    assert rows(store, "SELECT count(*) FROM decisions") == [(1,)]


def test_processes_that_make_a_store_at_once_make_one(tmp_path: Path) -> None:
    store = tmp_path / "fleet"
    code = """if True:
        import sys
        from pathlib import Path
        import polars as pl
        from observability.store.append import append
        row = {"name": [sys.argv[2]], "version": ["1"], "digest": ["sha256:0"]}
        append(Path(sys.argv[1]), {"models": pl.DataFrame(row)})"""
    many = [subprocess.Popen([sys.executable, "-c", code, str(store), str(n)]) for n in range(2)]
    assert [process.wait(timeout=60) for process in many] == [0, 0]
    assert rows(store, "SELECT count(*) FROM models") == [(2,)]
    assert rows(store, "SELECT count(*) FROM meta") == [(2,)]


def newer_mark(store: Path) -> None:
    (store / "store.toml").write_text('catalog = "sqlite"\nschema_version = 99\n')


def broken_mark(store: Path) -> None:
    (store / "store.toml").write_bytes(b"\xff = [")


def odd_mark(store: Path) -> None:
    (store / "store.toml").write_text('schema_version = "newest"\n')


def empty_mark(store: Path) -> None:
    (store / "store.toml").write_text("")


def broken_catalog(store: Path) -> None:
    for path in store.glob("catalog.sqlite*"):
        path.unlink()
    (store / "catalog.sqlite").write_bytes(b"no database at all" * 500)


def lost_catalog(store: Path) -> None:
    for path in store.glob("catalog.sqlite*"):
        path.unlink()


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        (
            newer_mark,
            f"of schema version 99; expected at most {lake.SCHEMA_VERSION}; hint: a newer Whence wrote it",
        ),
        (broken_mark, "store.toml, which cannot be read; expected schema_version = <number>"),
        (odd_mark, "store.toml, which cannot be read"),
        (empty_mark, "store.toml, which cannot be read"),
        (broken_catalog, "whose catalog cannot be opened: "),
        (lost_catalog, "whose catalog is lost"),
    ],
)
def test_a_store_that_was_harmed_is_refused_in_one_line(
    store: Path, harm: Callable[[Path], None], found: str
) -> None:
    harm(store)
    assert found in refused(store)


def test_a_catalog_that_a_newer_whence_migrated_is_refused_to_write(store: Path) -> None:
    with Writer(store) as newer:
        newer.con.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    with pytest.raises(
        StoreError, match=f"of schema version 99; expected at most {lake.SCHEMA_VERSION}"
    ):
        Writer(store)


def test_lost_data_files_are_told_in_one_line(store: Path) -> None:
    shutil.rmtree(store / "data")
    with pytest.raises(
        StoreError, match=r"^found .*which cannot be written: .*expected a whole store$"
    ):
        Writer(store)


@pytest.mark.parametrize("name", ["it's; ü☃", "fl*et[1]", "a?b#c%20", 'x"y\n', "{a,b}"])
def test_any_name_of_a_folder_is_only_a_name(_made_once: Path, tmp_path: Path, name: str) -> None:
    store = shutil.copytree(_made_once, tmp_path / name)
    with Writer(store) as writer:
        writer.write(batch(decision_span()))
    assert rows(store, "SELECT inputs FROM decisions") == [([71.5],)]


def test_a_store_can_be_moved(store: Path, writer: Writer, tmp_path: Path) -> None:
    writer.write(batch(decision_span()))
    writer.close()
    moved = store.rename(tmp_path / "elsewhere")
    with Writer(moved) as again:
        again.write(batch(decision_span()))
    assert rows(moved, "SELECT inputs FROM decisions") == [([71.5],)] * 2


def test_a_store_of_version_1_opens_and_takes_more(tmp_path: Path) -> None:
    store = tmp_path / "fleet"
    shutil.unpack_archive(FIRST, store)
    before = rows(store, "SELECT temperature, valve, action FROM d_pump_stop")
    assert before == [(71.5, "open", "run")]
    with Writer(store) as writer:
        assert schema_version(writer.con) == lake.SCHEMA_VERSION
        writer.write(
            batch(
                decision_span(
                    decision(inputs={"temperature": 99.0}, categoricals={"valve": "shut"})
                )
            )
        )
    assert rows(store, "SELECT temperature FROM d_pump_stop ORDER BY 1") == [(71.5,), (99.0,)]
    assert rows(store, "SELECT label FROM outcomes") == [("failed",)]
    assert len(rows(store, "FROM gates")) == 1


def test_a_store_of_version_1_gets_the_columns_of_the_chain(tmp_path: Path) -> None:
    store = tmp_path / "fleet"
    shutil.unpack_archive(FIRST, store)
    with Writer(store) as writer:
        writer.write(batch(decision_span(decision(chain=ChainPosition("c", 3, "ab" * 32)))))
    found = rows(store, "SELECT chain_id, seq, prev FROM decisions ORDER BY seq NULLS FIRST")
    assert found == [(None, None, None), ("c", 3, b"\xab" * 32)]


def test_a_store_of_version_1_is_read_without_reviews_and_then_takes_them(tmp_path: Path) -> None:
    store = tmp_path / "fleet"
    shutil.unpack_archive(FIRST, store)
    with lake.connect(store) as con:
        assert lake.now(con).year > 1970
        ((decision_id,),) = con.sql("SELECT decision_id FROM decisions").fetchall()
        found = stored_decision(con, decision_id)
        assert found is not None
        assert found.reviews == ()
        assert count_spans(con, Selection())["decisions"] == 1
        assert cadence(con, Window(), lake.now(con)).missed == ()
    sent = decision_span()
    with Writer(store) as writer:
        writer.write(batch(sent, review_span(sent)))
    assert rows(store, "SELECT reviewer FROM decisions_final ORDER BY 1 NULLS FIRST") == [
        (None,),
        ("op-3",),
    ]


def test_a_store_of_version_2_is_read_as_it_is_and_says_the_same_of_its_chains_afterwards(
    tmp_path: Path,
) -> None:
    store = tmp_path / "fleet"
    shutil.unpack_archive(SECOND, store)
    told = "FROM chain_status"
    with lake.connect(store) as con:
        before = con.sql(told).fetchall()
        storage = health(con, store, Window()).storage
        assert (storage.schema_version, storage.held, storage.maintained) == (2, 0, None)
    Writer(store).close()
    assert rows(store, told) == before
    with Writer(store) as writer:
        writer.write(batch(decision_span()))
        with lake.cursor(writer.con) as con:
            done = maintain.begin(con)
        assert list(maintain.steps(writer, done))
    assert rows(store, told) == before
    assert rows(store, "SELECT count(*) FROM decisions") == [(9,)]


def test_a_store_of_version_3_keeps_its_models_and_takes_what_is_new_of_features(
    tmp_path: Path,
) -> None:
    store = tmp_path / "fleet"
    shutil.unpack_archive(THIRD, store)
    with lake.connect(store) as con:
        (before,) = registry.registered(con, store)
    Writer(store).close()
    with lake.connect(store) as con:
        assert registry.registered(con, store) == (before,)
        assert con.sql(
            "SELECT features[1].unit, features[1].actionable FROM models"
        ).fetchall() == [("degC", None)]


@pytest.mark.parametrize("archive", [FIRST, SECOND, THIRD])
def test_a_migrated_store_has_the_tables_of_a_new_one(
    store: Path, tmp_path: Path, archive: Path
) -> None:
    old = tmp_path / "old"
    shutil.unpack_archive(archive, old)
    Writer(old).close()
    asked = (
        "SELECT table_name, column_name, data_type FROM duckdb_columns() "
        "WHERE NOT internal AND table_name NOT LIKE 'd\\_%' ESCAPE '\\' AND "
        "database_name = 'fleet' ORDER BY table_name, column_name"
    )
    assert rows(old, asked) == rows(store, asked)


def test_an_earlier_version_is_kept_out_before_the_tables_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "fleet"
    shutil.unpack_archive(FIRST, store)
    fsync = os.fsync

    def full(descriptor: int) -> None:
        if "/data/" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(28, "full")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        Writer(store)
    monkeypatch.undo()
    monkeypatch.setattr(lake, "SCHEMA_VERSION", 1)
    with pytest.raises(StoreError, match="of schema version 4; expected at most 1"):
        lake.connect(store)
    monkeypatch.undo()
    Writer(store).close()
    assert rows(store, "SELECT count(chain_id) FROM decisions") == [(0,)]


def test_the_keys_folder_is_for_its_owner_only(store: Path) -> None:
    assert (store / "keys").stat().st_mode & 0o777 == 0o700


def test_threads_read_through_cursors_while_another_writes(store: Path, writer: Writer) -> None:
    errors: list[Exception] = []
    done = threading.Event()

    def read(con: duckdb.DuckDBPyConnection) -> None:
        try:
            while not done.is_set():
                con.sql("SELECT count(*), max(temperature) FROM d_pump_stop").fetchall()
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    writer.write(batch(decision_span()))
    with lake.connect(store) as con:
        threads = [threading.Thread(target=read, args=(lake.cursor(con),)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for number in range(5):
            writer.write(
                batch(decision_span(decision(inputs={"temperature": 1.0, f"x{number}": 1.0})))
            )
        done.set()
        for thread in threads:
            thread.join()
    assert errors == []


def test_the_catalog_is_in_wal_mode_so_that_readers_do_not_stop_the_writer(store: Path) -> None:
    with sqlite3.connect(store / "catalog.sqlite") as con:
        assert con.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    con.close()
