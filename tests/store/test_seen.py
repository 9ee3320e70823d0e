"""The index of stored keys: none that is stored is ever said to be new, whatever happened."""

import itertools
import secrets

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.store import lake, seen
from observability.store.schema import KEYS
from observability.store.seen import Seen
from observability.store.write import Writer

KEY = KEYS["layouts"]


def layouts(count, prefix):
    ids = [f"{prefix}-{n}" for n in range(count)]
    return pa.table(
        {
            "layout_id": ids,
            "decision_type": ["pump.stop"] * count,
            "names": pa.array([["a"]] * count),
            "categorical_names": pa.array([[]] * count, pa.list_(pa.string())),
        }
    )


@pytest.fixture
def store(tmp_path):
    Writer(tmp_path / "fleet").close()
    return tmp_path / "fleet"


@pytest.fixture
def con(store):
    with lake.connect(store) as con:
        yield con


def commit(store, count):
    rows = layouts(count, secrets.token_hex(4))
    with Writer(store) as writer:
        writer.write({"layouts": rows})
    return rows


def holds(index, rows):
    return index.may_hold(index.hashes(rows)).all()


@given(st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=40), max_size=12))
def test_what_was_added_is_held_in_runs_that_double(given_keys):
    with duckdb.connect() as con:
        con.execute("CREATE SCHEMA fleet; CREATE TABLE nothing (key BIGINT, snapshot_id BIGINT)")
        con.execute("CREATE MACRO fleet.current_snapshot() AS TABLE SELECT 0")
        index = Seen(con, "nothing", ("key",))
        for keys in given_keys:
            index.add(np.array(keys, np.uint64))
        for keys in given_keys:
            assert index.may_hold(np.array(keys, np.uint64)).all()
        everything = {key for keys in given_keys for key in keys}
        absent = np.array([key for key in range(50) if key not in everything], np.uint64)
        assert not index.may_hold(absent).any()
        sizes = [len(run) for run in index._runs]
        assert all(2 * short <= long for long, short in itertools.pairwise(sizes))


def test_what_others_commit_is_held_after_catching_up(store, con):
    before = commit(store, 3)
    index = Seen(con, "layouts", KEY)
    later = commit(store, 4)
    assert holds(index, before)
    assert not holds(index, later)
    assert index.catch_up() == 4
    assert holds(index, later)


def test_the_file_spares_reading_again_and_holds_the_same(store, con, tmp_path):
    rows = commit(store, 5)
    Seen(con, "layouts", KEY, tmp_path / "index").save()
    again = Seen(con, "layouts", KEY, tmp_path / "index")
    assert again.catch_up() == 0
    assert holds(again, rows)
    later = commit(store, 2)
    assert holds(Seen(con, "layouts", KEY, tmp_path / "index"), later)


@pytest.mark.parametrize("harm", ["torn", "of a later commit", "of rows long deleted"])
def test_a_file_that_does_not_fit_is_not_believed(store, con, tmp_path, harm):
    folder = tmp_path / "index"
    rows = commit(store, 5)
    index = Seen(con, "layouts", KEY, folder)
    if harm == "of rows long deleted":
        index.add(np.arange(50, dtype=np.uint64))
    index.save()
    (file,) = folder.glob("*.npy")
    if harm == "torn":
        file.write_bytes(file.read_bytes()[:100])
    if harm == "of a later commit":
        np.save(file, np.arange(3, dtype=np.uint64))
        file.rename(folder / file.name.replace(f"-{lake.snapshot_id(con)}.", "-999999."))
    again = Seen(con, "layouts", KEY, folder)
    assert holds(again, rows)
    assert not again.may_hold(np.arange(50, dtype=np.uint64)).any()


def test_many_keys_read_on_opening_are_kept_at_once(store, con, tmp_path, monkeypatch):
    monkeypatch.setattr(seen, "_WORTH_A_FILE", 5)
    commit(store, 5)
    Seen(con, "layouts", KEY, tmp_path / "index")
    assert len(list((tmp_path / "index").glob("layouts-*.npy"))) == 1
