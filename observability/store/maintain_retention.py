"""How long rows are kept: from received_at on, for whole days, and longer while they are under hold.

What accounts for a chain outlives its spans: chain_events, and the tombstones that say what was dropped.
Attributions leave with their decisions, whenever they were computed, and cubes with those that they count:
what only a hold keeps is no longer counted. The sum over all time leaves with any decision, to be made anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import duckdb

from observability.store.lake import has_table, now
from observability.store.maintain_files import STEP_FILES, Step, replace
from observability.store.tombstone import TOMBSTONE
from observability.store.write import Writer
from traces.conventions import CHECKPOINT_SPAN
from traces.errors import WrongUse

RETENTION_DAYS = 184
"""What is kept unless another is stated: half a year and a day for good measure."""

_OF_HELD = "(device_id, decision_id) IN (SELECT (device_id, decision_id) FROM pinned)"
_STAYS = {
    "decisions": _OF_HELD,
    "outcomes": _OF_HELD,
    "reviews": _OF_HELD,
    "spans": f"""name = '{TOMBSTONE}'
        OR trace_id IN (SELECT split_part(decision_id, '-', 1) FROM pinned)
        OR (name = '{CHECKPOINT_SPAN}' AND chain_id IN (SELECT chain_id FROM pinned))""",
    "rejects": "false",
    "conflicts": "(device_id, span_key) IN (SELECT (device_id, decision_id) FROM pinned)",
    "cubes": "false",
    "attributions": """(device_id, decision_id) IN (
        SELECT (device_id, decision_id) FROM decisions WHERE decided_at < $before)""",
}
"""The tables whose rows expire, in this order, and which of them stay all the same."""
_AGE_BY = {"attributions": "decided_at"}
"""What a table's rows expire by, if not received_at: no decision was received before it was made."""
HOLDS = """
SELECT min(first_at) AS first_at, max(last_at) AS last_at FROM holds
WHERE hold_id NOT IN (SELECT hold_id FROM holds WHERE released)
"""
"""Between which decisions are held; NULL: nothing is."""
_STEP_ROWS = 50_000


def checked_retention(days: int | None, *, override: bool) -> int | None:
    """The days as they were asked for. Raises WrongUse for few of them without `override`."""
    if days is None or days >= RETENTION_DAYS or (override and days >= 1):
        return days
    if days < 1:
        raise WrongUse(f"--retention-days {days}", "at least 1")
    raise WrongUse(
        f"--retention-days {days}",
        f"at least {RETENTION_DAYS}",
        "a shorter time removes records for good: add --override where that is meant",
    )


def retention_days(con: duckdb.DuckDBPyConnection) -> int:
    """The retention that was stated last; without, 184 days."""
    if not has_table(con, "maintenance"):
        return RETENTION_DAYS
    row = con.execute("SELECT arg_max(retention_days, started_at) FROM maintenance").fetchone()
    return row[0] if row and row[0] else RETENTION_DAYS


def expire(writer: Writer, con: duckdb.DuckDBPyConnection, days: int) -> Iterator[Step]:
    """Delete what was received more than so many whole days ago and is not under hold, some files a step.

    `con` reads beside the writer. Raises duckdb.Error and OSError, with the step that failed undone.
    """
    before = _midnight(now(con)) - timedelta(days=days)
    _pin(con)
    for table, stays in _STAYS.items():
        at = _AGE_BY.get(table, "received_at")
        files = con.execute(
            f"SELECT filename, count(*) FROM {table}"
            f" WHERE {at} < $before AND NOT coalesce({stays}, false) GROUP BY filename ORDER BY 1",
            {"before": before},
        ).fetchall()
        left = sum(count for _, count in files)
        for some in _in_steps(files):
            count = sum(count for _, count in some)
            left -= count
            _expire_files(writer, table, [file for file, _ in some], before)
            yield Step("expired", table, count, left)


def _expire_files(writer: Writer, table: str, files: list[str], before: datetime) -> None:
    at = _AGE_BY.get(table, "received_at")
    with writer.changing(table, "rollups") as con:
        _pin(con)
        if table == "decisions":
            con.execute("DELETE FROM rollups")
        con.execute(
            f"CREATE TEMP TABLE stays AS FROM {table} WHERE list_contains($files, filename)"
            f" AND ({at} >= $before OR coalesce({_STAYS[table]}, false))",
            {"files": files, "before": before},
        )
        replace(con, table, files)


def _pin(con: duckdb.DuckDBPyConnection) -> None:
    """Make the temporary table `pinned` of the decisions that are under hold now."""
    first, last = con.execute(HOLDS).fetchall()[0]
    con.execute(
        "CREATE OR REPLACE TEMP TABLE pinned AS"
        " SELECT device_id, decision_id, coalesce(chain_id, '') AS chain_id FROM held"
        " WHERE decided_at >= ? AND decided_at <= ?",
        [first, last],
    )


def _in_steps(files: list[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    some: list[tuple[str, int]] = []
    for file in files:
        some.append(file)
        if len(some) == STEP_FILES or sum(count for _, count in some) >= _STEP_ROWS:
            yield some
            some = []
    if some:
        yield some


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)
