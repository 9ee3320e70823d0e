"""Keeps the sum of what the devices decided: so what pages say of all time costs no scan of it.

Part of maintenance, which is alone: who removes decisions removes the sum with them, in one transaction,
and here it is made anew.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from observability.store.lake import reading
from observability.store.maintain_files import Step
from observability.store.read import frame
from observability.store.read_rollups import rollup, watermark
from observability.store.write import Writer

ENOUGH = 20_000
"""Decisions that are worth a commit beside others; fewer are counted on reading, and summed once an hour."""

_WAITING = "SELECT count(*) FROM decisions WHERE arrival >= ? AND arrival < ?"


def roll_up(writer: Writer, con: duckdb.DuckDBPyConnection, at_least: int = 1) -> Iterator[Step]:
    """Add the decisions that arrived since to `rollups`, where there are so many. `con` reads beside.

    Raises duckdb.Error and OSError, with nothing changed.
    """
    before = writer.settled()
    with reading(con):
        mark = watermark(frame(con, "SELECT arrival FROM rollups"))
        waiting = con.execute(_WAITING, [mark, before]).fetchall()[0][0]
        if waiting < at_least:
            return
        rolled = rollup(con, before=before).to_arrow()
    with writer.changing("rollups") as writing:
        writing.execute("DELETE FROM rollups")
        writing.execute(
            "INSERT INTO rollups BY NAME SELECT *, ? AS arrival, ? AS received_at FROM rolled",
            [before, writer.now()],
        )
    del rolled
    yield Step("rolled up", "decisions", waiting)
