"""Keeps counts: bins once, then what is new, together with the watermark that says so.

One transaction adds a delta and moves the watermark: after a kill both are there, or neither. Rows of a
day of receipt that is over are summed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

import duckdb
import pyarrow as pa

from observability.store.count import count
from observability.store.cube import Cube, as_lists, from_lists, in_buckets, summed
from observability.store.locks import COUNTS
from observability.store.read import Window
from observability.store.read_cubes import (
    DAY_HOURS,
    HOUR_HOURS,
    Counted,
    FrozenBins,
    watermark,
)
from observability.store.read_drift import of_decisions
from observability.store.schema import arrow_table
from observability.store.write import Writer

STEP_DECISIONS = 100_000
"""What is counted in one transaction, but for more that arrived in one commit."""

_ARRIVED = """
SELECT arrival, sum(count(*)) OVER (ORDER BY arrival) AS decisions
FROM decisions
WHERE decision_type = ? AND arrival >= ? AND arrival < ?
GROUP BY arrival
ORDER BY arrival
"""
_OF = "bins_id = $bins AND decision_type = $type"
_TO_SUM = f"""
SELECT hours, received_at
FROM cubes
WHERE {_OF} AND received_at < $before
GROUP BY hours, received_at
HAVING count(*) > count(DISTINCT (starts_at, model, device_id))
ORDER BY ALL
"""
_ROWS = f"FROM cubes WHERE {_OF} AND hours = $hours AND received_at = $day"


def freeze(writer: Writer, cut: FrozenBins) -> None:
    """Keep bins as they were cut, where they are not kept yet. Raises duckdb.Error and OSError."""
    inputs = [
        {"name": of.name, "levels": of.levels, "edges": b.edges, "low": b.low, "high": b.high}
        for of, b in zip(cut.inputs, cut.bins, strict=True)
    ]
    row = {"bins_id": cut.bins_id, "reference_id": cut.reference_id, "inputs": inputs}
    writer.write({"bins": arrow_table("bins", [row])})


def advance(
    writer: Writer, con: duckdb.DuckDBPyConnection, of: Counted, before: int
) -> Iterator[int]:
    """Count what arrived since the watermark and below `before` (`Writer.settled`), commit by commit.

    Yields how many decisions. Ends where another process counts the same. `con` reads beside the
    writer. Raises duckdb.Error and OSError, with the step that failed undone.
    """
    mark = watermark(con, of)
    while mark < before:
        until, decisions = _step(con, of, range(mark, before))
        hourly = _delta(con, of, range(mark, until)) if decisions else None
        with writer.changing("cubes", "cube_watermarks", held={COUNTS}) as writing:
            if watermark(writing, of) != mark:
                return
            _move(writing, of, until, writer.now())
            if hourly is not None:
                _insert(writing, of, hourly, HOUR_HOURS)
                _insert(writing, of, in_buckets(hourly, timedelta(days=1)), DAY_HOURS)
        mark = until
        yield decisions


def fold(
    writer: Writer, con: duckdb.DuckDBPyConnection, of: Counted, before: datetime
) -> Iterator[int]:
    """Sum the rows of each day of receipt before this midnight, UTC; yields how many went, a commit each.

    `con` reads beside the writer. Raises duckdb.Error and OSError, with the step that failed undone.
    """
    given = {"bins": of.bins_id, "type": of.decision_type}
    for hours, day in con.execute(_TO_SUM, {**given, "before": before}).fetchall():
        asked = {**given, "hours": hours, "day": day}
        with writer.changing("cubes", held={COUNTS}) as writing:
            rows = writing.execute(f'SELECT * RENAME (starts_at AS "at") {_ROWS}', asked)
            found = rows.to_arrow_table().drop_columns(["bins_id", "decision_type", "hours"])
            whole = summed([from_lists(found, of.sizes)])
            writing.execute(f"DELETE {_ROWS}", asked)
            _insert(writing, of, whole, hours)
        yield found.num_rows - whole.cells.height


def _step(con: duckdb.DuckDBPyConnection, of: Counted, arrivals: range) -> tuple[int, int]:
    """Up to which arrival the next step counts, and how many decisions that are."""
    asked = [of.decision_type, arrivals.start, arrivals.stop]
    found = con.execute(_ARRIVED, asked).fetchall()
    for (_, decisions), (following, more) in pairwise(found):
        if more > STEP_DECISIONS:
            return following, int(decisions)
    return arrivals.stop, int(found[-1][1]) if found else 0


def _delta(con: duckdb.DuckDBPyConnection, of: Counted, arrivals: range) -> Cube:
    rows = of_decisions(con, of.decision_type, of.inputs, Window(), arrivals)
    return count(con, rows, of.bins, timedelta(hours=HOUR_HOURS))


def _move(con: duckdb.DuckDBPyConnection, of: Counted, arrival: int, at: datetime) -> None:
    given = {"bins": of.bins_id, "type": of.decision_type}
    con.execute(f"DELETE FROM cube_watermarks WHERE {_OF}", given)
    con.execute(
        "INSERT INTO cube_watermarks VALUES ($bins, $type, $arrival, $at)",
        {**given, "arrival": arrival, "at": at},
    )


def _insert(con: duckdb.DuckDBPyConnection, of: Counted, cube: Cube, hours: int) -> None:
    cells = cube.cells.rename({"at": "starts_at"}).to_arrow()
    rows = pa.table(
        {**dict(zip(cells.column_names, cells.columns, strict=True)), **as_lists(cube, of.sizes)}
    )
    con.execute(
        "INSERT INTO cubes BY NAME"
        " SELECT $bins AS bins_id, $type AS decision_type, $hours AS hours, * FROM rows",
        {"bins": of.bins_id, "type": of.decision_type, "hours": hours},
    )
    del rows
