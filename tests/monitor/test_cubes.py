"""Counts that are kept say what counting every decision says, whatever came when and was counted when."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observability.models import registry
from observability.monitor.baseline import from_reference
from observability.monitor.cube_job import CubeJob
from observability.monitor.drift import drift
from observability.store import lake, maintain
from observability.store.cube import ABOVE, BELOW, NOT_FINITE
from observability.store.read import Window
from observability.store.read_cubes import counted, progress, watermark
from observability.store.worker import Worker
from observability.store.write import Writer
from tests.disk import full_at
from tests.monitor.counting import (
    DAY,
    START,
    asked,
    build,
    directly,
    is_covered,
    made,
    registered,
    same,
    send,
)
from tests.spans import MODEL, NOON, rows
from traces import ModelVersion
from traces.device import RecordedClock

HOUR = timedelta(hours=1)
ODD_ROWS = ((20.0, "auto"), (20.0, "eco"), (1e6, "auto"), (math.nan, "boost"))
ODD = (0.0, -0.0, 20.0, math.nan, math.inf, -math.inf, 1e6, -1e6, 1e200)

inputs = st.fixed_dictionaries(
    {"heat": st.sampled_from(ODD) | st.floats(0, 40)},
    optional={"flow": st.floats(0, 40), "mode": st.sampled_from(["auto", "eco", "boost", ""])},
)
decisions = st.tuples(
    st.sampled_from(["pump-1", "pump-2"]),
    st.sampled_from(["pump.stop", "pump.stop", "valve.open"]),
    st.booleans(),
    st.timedeltas(timedelta(days=-3), timedelta(days=1)),
    inputs,
)
commits = st.lists(
    st.tuples(st.lists(decisions, min_size=1, max_size=6), st.booleans()), max_size=3
)
instants = st.none() | st.timedeltas(timedelta(days=-3), timedelta(days=1)).map(START.__add__)


@dataclass
class Counting:
    store: Path
    writer: Writer
    con: duckdb.DuckDBPyConnection
    model: ModelVersion


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counting]:
    """A store to which each example adds: the law holds at any time."""
    folder = tmp_path_factory.mktemp("counting")
    store = folder / "fleet"
    model = registered(store, folder)
    with Writer(store) as writer, lake.cursor(writer.con) as con:
        send(writer, [made(model, HOUR, kind, heat=20.0) for kind in ("pump.stop", "valve.open")])
        yield Counting(store, writer, con, model)


@settings(max_examples=4)
@given(commits, instants, instants, st.sampled_from([HOUR, 5 * HOUR, DAY, 7 * DAY, DAY / 96]))
def test_kept_counts_and_the_rest_are_what_counting_all_gives(
    filled: Counting, new: Any, start: Any, end: Any, width: timedelta
) -> None:
    for group, is_counted in new:
        for device in ("pump-1", "pump-2"):
            spans = [
                made(filled.model if known else MODEL, at, kind, **given)
                for own, kind, known, at, given in group
                if own == device
            ]
            if spans:
                send(filled.writer, spans, device)
        if is_counted:
            build(filled.writer)
    window = Window(start, end)
    for kind in ("pump.stop", "valve.open"):
        of = asked(filled.con, filled.store, filled.model, kind)
        with lake.reading(filled.con) as con:
            kept, whole = counted(con, of, window, width), directly(con, of, window, width)
        assert same(kept, whole)


def test_a_script_reads_the_kept_counts_by_hour_from_a_view(filled: Counting) -> None:
    odd = [made(filled.model, HOUR, heat=heat, mode=mode) for heat, mode in ODD_ROWS]
    send(filled.writer, odd, "pump-9")
    build(filled.writer)
    view = filled.con.sql(
        """SELECT "input", counted, level, sum(n)::INTEGER FROM drift_counts
        WHERE device_id = 'pump-9' GROUP BY ALL ORDER BY ALL"""
    ).fetchall()
    assert view == [
        ("heat", "above range", None, 1),
        ("heat", "bin", None, 3),
        ("heat", "not finite", None, 1),
        ("mode", "bin", "auto", 2),
        ("mode", "bin", "eco", 1),
        ("mode", "bin", None, 1),
    ]
    placed = filled.con.sql(
        """SELECT bool_and((low IS NULL OR 20 > low) AND (high IS NULL OR 20 <= high))
        FROM drift_counts WHERE device_id = 'pump-9' AND counted = 'bin' AND "input" = 'heat'
            AND n = 2"""
    ).fetchall()
    assert placed == [(True,)]


def test_each_decision_is_counted_once_however_often_it_is_counted(filled: Counting) -> None:
    build(filled.writer)
    before = rows(filled.store, "SELECT sum(decisions) FROM cubes GROUP BY hours")
    assert sum(build(filled.writer)) == 0
    late = made(filled.model, timedelta(days=-7), heat=21.0)
    send(filled.writer, [late], "pump-9")
    send(filled.writer, [late], "pump-9")
    assert sum(build(filled.writer)) == 1
    assert rows(filled.store, "SELECT sum(decisions) FROM cubes GROUP BY hours") == [
        (total + 1,) for (total,) in before
    ]


def test_maintenance_moves_decisions_and_they_are_not_counted_again(filled: Counting) -> None:
    build(filled.writer)
    of = asked(filled.con, filled.store, filled.model, "pump.stop")
    before = counted(filled.con, of, Window(), DAY)
    for _ in maintain.steps(filled.writer, maintain.begin(filled.con), timedelta(0)):
        pass
    assert sum(build(filled.writer)) == 0
    assert is_covered(filled.con, of)
    assert same(counted(filled.con, of, Window(), DAY), before)


@pytest.mark.parametrize("failing", [1, 4])
def test_counts_and_watermark_are_stored_together_or_not_at_all(
    filled: Counting, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    build(filled.writer)
    of = asked(filled.con, filled.store, filled.model, "pump.stop")
    send(filled.writer, [made(filled.model, HOUR, heat=1.0)])
    before = rows(filled.store, "SELECT sum(decisions) FROM cubes"), watermark(filled.con, of)
    monkeypatch.setattr(os, "fsync", full_at(failing, os.fsync))
    with pytest.raises(OSError, match="No space"):
        build(filled.writer)
    monkeypatch.undo()
    after = rows(filled.store, "SELECT sum(decisions) FROM cubes"), watermark(filled.con, of)
    assert after == before
    assert sum(build(filled.writer)) == 1
    assert same(counted(filled.con, of, Window(), DAY), directly(filled.con, of, Window(), DAY))


def test_what_is_odd_is_counted_apart(filled: Counting) -> None:
    values = (math.nan, math.inf, -500.0, 500.0, 500.0, 20.0)
    spans = [made(filled.model, HOUR, heat=value, mode="boost") for value in values]
    send(filled.writer, [*spans, made(filled.model, HOUR, mode="eco")], "pump-7")
    build(filled.writer)
    of = asked(filled.con, filled.store, filled.model, "pump.stop")
    cube = counted(filled.con, of, Window(), DAY)
    (at,) = np.flatnonzero(cube.cells["device_id"] == "pump-7")
    assert cube.apart[at, 0].tolist() == [1, 2, 2]
    assert (BELOW, ABOVE, NOT_FINITE) == (0, 1, 2)
    counts = cube.counts[at].sum(axis=1)
    assert cube.cells["decisions"][int(at)] - counts[0] - cube.apart[at, 0, NOT_FINITE] == 1
    assert cube.counts[at, 0, [0, 9]].tolist() == [1, 2]
    assert (cube.lows[at, 0], cube.highs[at, 0], cube.sums[at, 0]) == (-500, 500, 520)
    assert (counts[1], math.isnan(cube.lows[at, 1])) == (0, True)
    assert cube.counts[at, 2, :3].tolist() == [0, 1, 6]


def test_a_reference_registered_late_is_counted_from_history_in_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, clock = tmp_path / "fleet", RecordedClock(NOON)
    with Writer(store, clock) as writer:
        model = ModelVersion("wear", "1.1", MODEL.digest)
        for day in range(3):
            clock.set(NOON + day * 24 * 3600 * 10**9)
            send(writer, [made(model, day * DAY + n * HOUR, heat=float(n)) for n in range(9)])
        assert build(writer) == []
    model = registered(store, tmp_path)
    monkeypatch.setattr("observability.store.write_cubes.STEP_DECISIONS", 10)
    with Writer(store) as writer, lake.cursor(writer.con) as con:
        send(writer, [made(model, 2 * DAY, heat=3.0)])
        assert build(writer, steps=2) == [9, 9]
        assert progress(con).select("counted", "waiting").rows() == [(18, 10)]
        of = asked(con, store, model, "pump.stop")
        assert same(counted(con, of, Window(), DAY), directly(con, of, Window(), DAY))
    with Writer(store) as writer, lake.cursor(writer.con) as con:  # stopped in between: it goes on
        assert build(writer) == [10]
        assert is_covered(con, of)
        usual = from_reference(con, registry.registered(con, store)[0])
        found = drift(con, usual, "pump.stop", Window(START, START + 3 * DAY))
        assert found.decided[0].sum() == 28
        assert (found.devices, len(found.starts)) == (("pump-1",), 3)
        run = maintain.begin(con, 1)
        for _ in maintain.steps(writer, run, timedelta(0)):
            pass
        kept = rows(store, "SELECT sum(decisions) FROM cubes WHERE hours = 24")
        assert kept == rows(store, "SELECT count(*) FROM decisions") != [(28,)]


def test_rows_of_a_day_that_is_over_become_one(tmp_path: Path) -> None:
    store, clock = tmp_path / "fleet", RecordedClock(NOON)
    Writer(store, clock).close()
    model = registered(store, tmp_path)
    with Writer(store, clock) as writer, lake.cursor(writer.con) as con:
        for minute in range(2):
            send(writer, [made(model, timedelta(minutes=minute), heat=float(minute))])
            build(writer)
        of = asked(con, store, model, "pump.stop")
        assert rows(store, "SELECT count(*) FROM cubes") == [(4,)]
        clock.set(NOON + 24 * 3600 * 10**9)
        send(writer, [made(model, DAY, heat=9.0)])
        assert build(writer) == [1, 1, 1]
        assert rows(store, "SELECT count(*) FROM cubes") == [(4,)]
        for width in (HOUR, DAY):
            assert same(counted(con, of, Window(), width), directly(con, of, Window(), width))


def test_the_worker_counts_beside_a_writer(filled: Counting) -> None:
    send(filled.writer, [made(filled.model, HOUR, heat=1.0)])
    of = asked(filled.con, filled.store, filled.model, "pump.stop")
    assert not is_covered(filled.con, of)
    worker = Worker(filled.writer, CubeJob)
    try:
        deadline = time.monotonic() + 30
        while not is_covered(filled.con, of) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        worker.close()
    assert is_covered(filled.con, of)
