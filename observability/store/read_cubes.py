"""Counts of a window's decisions: the sums that the store keeps, and what they do not cover counted now.

A decision is covered by number, not by time: `decisions.arrival` below the watermark of its bins. So
late arrivals, clocks and the order of commits change nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import duckdb
import polars as pl

from observability.store.count import count
from observability.store.cube import Cube, from_lists, summed
from observability.store.lake import has_table, schema_version
from observability.store.read import Window, frame
from observability.store.read_drift import Bins, Input, decided_types, of_decisions
from traces import ModelVersion

DAY_HOURS, HOUR_HOURS = 24, 1
"""The lengths of the buckets that are kept, in hours."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_END = 1 << 62
_SINCE_VERSION = 4

_BINS = "SELECT inputs FROM bins WHERE bins_id = ?"
_WATERMARKS = (
    "SELECT bins_id, decision_type, arrival FROM cube_watermarks"  # to filter takes longer
)
_CUBES = """
SELECT time_bucket(to_seconds($width_s), starts_at) AS at, device_id, model, decisions,
    counts, sums, squares, lows, highs
FROM cubes
WHERE bins_id = $bins AND decision_type = $type AND hours = $hours::UTINYINT  -- or it reads all files
    AND ($start IS NULL OR starts_at >= $start) AND ($end IS NULL OR starts_at < $end)
"""
_PROGRESS = """
SELECT w.bins_id, w.decision_type, w.received_at AS counted_at,
    count(d.arrival) FILTER (d.arrival < w.arrival) AS counted,
    count(d.arrival) FILTER (d.arrival >= w.arrival) AS waiting
FROM cube_watermarks AS w LEFT JOIN decisions AS d ON d.decision_type = w.decision_type
GROUP BY ALL
ORDER BY ALL
"""
_ANY = "SELECT count(*) FROM decisions WHERE decision_type = ? AND arrival >= ?"


@dataclass(frozen=True, slots=True)
class FrozenBins:
    """The bins of a reference's inputs; `bins_id` is `sha256:<64 hex>` of the reference and its inputs."""

    bins_id: str
    reference_id: str
    inputs: tuple[Input, ...]
    bins: tuple[Bins, ...]


@dataclass(frozen=True, slots=True)
class Counted:
    """What is counted: a decision type in bins. Without a `bins_id` nothing of it is kept."""

    decision_type: str
    inputs: tuple[Input, ...]
    bins: tuple[Bins, ...]
    bins_id: str | None

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many bins each input has."""
        return tuple(of.size for of in self.bins)


def bins_id(reference_id: str, inputs: Sequence[Input]) -> str:
    """What names the bins of a reference."""
    text = json.dumps([reference_id, [(one.name, one.levels) for one in inputs]])
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def frozen(con: duckdb.DuckDBPyConnection, name: str) -> tuple[Bins, ...]:
    """The bins of this id as they were cut at first; none where the store does not keep them yet."""
    if not has_table(con, "bins"):
        return ()
    row = con.execute(_BINS, [name]).fetchone()
    return tuple(Bins(tuple(of["edges"]), of["low"], of["high"]) for of in row[0]) if row else ()


def watermark(con: duckdb.DuckDBPyConnection, asked: Counted) -> int:
    """The `arrival` below which decisions of the type are counted in these bins; 0: none is."""
    if asked.bins_id is None or schema_version(con) < _SINCE_VERSION:
        return 0
    marks = {(id_, type_): arrival for id_, type_, arrival in con.execute(_WATERMARKS).fetchall()}
    return marks.get((asked.bins_id, asked.decision_type), 0)


def deciding(con: duckdb.DuckDBPyConnection) -> list[tuple[str, ModelVersion]]:
    """Which model versions decided what."""
    return [(of.decision_type, model) for of in decided_types(con) for model in of.models]


def progress(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """How far counting has come, one row for a type in bins.

    Columns bins_id, decision_type, counted_at (UTC, of the last step), and of the type's decisions how many
    are `counted` and how many are `waiting`: these are counted when they are read.
    """
    if schema_version(con) < _SINCE_VERSION:
        return pl.DataFrame()
    return frame(con, _PROGRESS)


def arrived_since(con: duckdb.DuckDBPyConnection, arrival: int) -> int:
    """How many decisions have this arrival or a later one."""
    query = "SELECT count(*) FROM decisions WHERE arrival >= ?"
    return con.execute(query, [arrival]).fetchall()[0][0]


def references(con: duckdb.DuckDBPyConnection) -> int:
    """How many references were registered."""
    return con.execute("SELECT count(*) FROM model_references").fetchall()[0][0]


def counted(
    con: duckdb.DuckDBPyConnection, asked: Counted, window: Window, width: timedelta
) -> Cube:
    """The decisions of a window in buckets of `width`, as counting them all would give.

    Sums of values may differ in their last bits. To be read within one commit (`lake.reading`).
    """
    mark = watermark(con, asked)
    if not mark:
        return summed([_now(con, asked, window, width, None)])
    parts = [
        _kept(con, asked, stretch, width, hours)
        if hours
        else _now(con, asked, stretch, width, range(mark))
        for hours, stretch in _stretches(window, _lengths(width))
    ]
    if con.execute(_ANY, [asked.decision_type, mark]).fetchall() != [(0,)]:
        parts.append(_now(con, asked, window, width, range(mark, _NO_END)))
    return summed(parts)


def _now(
    con: duckdb.DuckDBPyConnection,
    asked: Counted,
    window: Window,
    width: timedelta,
    arrivals: range | None,
) -> Cube:
    rows = of_decisions(con, asked.decision_type, asked.inputs, window, arrivals)
    cube = count(con, rows, asked.bins, width)
    return replace(cube, cells=cube.cells.drop("received_at"))


def _kept(
    con: duckdb.DuckDBPyConnection, asked: Counted, window: Window, width: timedelta, hours: int
) -> Cube:
    given = {"bins": asked.bins_id, "type": asked.decision_type, "hours": hours}
    width_s = {"width_s": width.total_seconds()}
    rows = con.execute(_CUBES, {**given, **window.parameters(), **width_s}).to_arrow_table()
    return from_lists(rows, asked.sizes)


def _lengths(width: timedelta) -> tuple[int, ...]:
    """The kept buckets, in hours, that buckets of this width are made of; the longest first."""
    kept = (DAY_HOURS, HOUR_HOURS)
    return tuple(hours for hours in kept if not width % timedelta(hours=hours))


def _stretches(window: Window, lengths: Sequence[int]) -> Iterator[tuple[int, Window]]:
    """A window in the longest kept buckets that lie in it whole, and 0 hours for what lies in none."""
    if not lengths:
        yield 0, window
        return
    step = timedelta(hours=lengths[0])
    first = window.start and -((_EPOCH - window.start) // step) * step + _EPOCH
    until = window.end and (window.end - _EPOCH) // step * step + _EPOCH
    if first and until and first >= until:
        yield from _stretches(window, lengths[1:])
        return
    yield lengths[0], Window(first, until)
    if window.start and first != window.start:
        yield from _stretches(Window(window.start, first), lengths[1:])
    if window.end and until != window.end:
        yield from _stretches(Window(until, window.end), lengths[1:])
