"""Folds `chain_events`: what arrived in many commits and goes on from each other becomes one row.

The views on chains and the writer's books say the same before and after. Rows are folded once they are a
day old; how a fold says when its rows came is in schema.sql.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import duckdb

from observability.store.lake import now
from observability.store.maintain_files import Step, replace
from observability.store.write import Writer

_AGE = timedelta(days=1)

FOLDS = """
WITH last_decided AS (
    SELECT device_id, chain_id, max(seq_to) AS last_seq
    FROM chain_events
    WHERE kind = 'arrived' AND decided_at IS NOT NULL
    GROUP BY ALL
), placed AS (
    SELECT e.*, e.rowid AS member,
        CASE kind WHEN 'arrived' THEN coalesce(seq_to > last_seq, true) END AS undecided
    FROM chain_events AS e LEFT JOIN last_decided USING (device_id, chain_id)
    WHERE received_at < $before AND (kind = 'verified' OR (kind = 'arrived' AND head IS NOT NULL))
), following AS (
    SELECT *, lag(seq_to) OVER by_seq + 1 = seq_from
        AND (kind = 'verified' OR lag(head) OVER by_seq = prev) AS goes_on
    FROM placed
    WINDOW by_seq AS (PARTITION BY device_id, chain_id, kind, undecided ORDER BY seq_from, seq_to)
), numbered AS (
    SELECT *, count(*) FILTER (goes_on IS DISTINCT FROM true) OVER by_seq AS stretch
    FROM following
    WINDOW by_seq AS (PARTITION BY device_id, chain_id, kind, undecided ORDER BY seq_from, seq_to)
), heads AS (
    SELECT device_id, chain_id, seq_from, seq_to, lag(seq_to) OVER by_seq + 1 = seq_from
        AND lag(head) OVER by_seq = prev AS goes_on
    FROM chain_events
    WHERE kind IN ('arrived', 'lost') AND head IS NOT NULL
    WINDOW by_seq AS (PARTITION BY device_id, chain_id ORDER BY seq_from, seq_to)
), pieces AS (
    SELECT device_id, chain_id, seq_from, seq_to, count(*) FILTER (goes_on IS DISTINCT FROM true) OVER (
        PARTITION BY device_id, chain_id ORDER BY seq_from, seq_to) AS piece
    FROM heads
), signed AS (
    SELECT e.*, e.rowid AS member, NULL AS undecided, piece AS stretch
    FROM chain_events AS e JOIN pieces AS p ON e.device_id = p.device_id AND e.chain_id = p.chain_id
        AND e.seq_to + 1 BETWEEN p.seq_from AND p.seq_to
    WHERE kind = 'signed' AND received_at < $before AND (e.device_id, e.chain_id) NOT IN (
        SELECT (device_id, chain_id) FROM chain_events WHERE kind = 'stranger')
)
SELECT device_id, chain_id, kind, min(seq_from) AS seq_from, max(seq_to) AS seq_to,
    arg_min(prev, seq_from) AS prev, arg_max(head, seq_to) AS head, key_id,
    arg_max(decided_at, seq_to) AS decided_at,
    min(coalesce(first_received_at, received_at)) AS first_received_at,
    max(received_at) AS received_at, list(member) AS members
FROM (FROM numbered UNION ALL BY NAME FROM signed)
GROUP BY device_id, chain_id, kind, undecided, stretch, key_id
HAVING count(*) > 1
"""
"""Stretches of rows to be folded. Two rules besides that they go on from each other:

The last row with decided_at tells the number of the chain's newest decision: those after it stay apart.
A signed row tells what its piece of the chain is vouched for up to; those of one key and piece are folded,
but not where a stranger's checkpoint may be among them, which is known by its number.
"""


def fold(writer: Writer, con: duckdb.DuckDBPyConnection) -> Iterator[Step]:
    """Fold the events received before yesterday's midnight, a day of them in each step.

    `con` reads beside the writer. Raises duckdb.Error and OSError, with the step that failed undone.
    """
    before = (now(con) - _AGE).replace(hour=0, minute=0, second=0, microsecond=0)
    days = con.execute(
        f"SELECT CAST(received_at AS DATE) + INTERVAL 1 DAY AS after, count(*) FROM chain_events"
        f" WHERE rowid IN (SELECT unnest(members) FROM ({FOLDS})) GROUP BY after ORDER BY after",
        {"before": before},
    ).fetchall()
    for place, (after, _) in enumerate(days, start=1):
        folded = _fold_before(writer, after)
        yield Step("folded", "chain_events", folded, sum(count for _, count in days[place:]))


def _fold_before(writer: Writer, before: datetime) -> int:
    """Fold what was received before then, UTC; returns how many rows went."""
    with writer.changing("chain_events") as con:
        con.execute(f"CREATE OR REPLACE TEMP TABLE folds AS {FOLDS}", {"before": before})
        files = con.execute(
            "SELECT DISTINCT filename FROM chain_events"
            " WHERE rowid IN (SELECT unnest(members) FROM folds)"
        ).fetchall()
        files = [file for (file,) in files]
        con.execute(
            "CREATE TEMP TABLE stays AS SELECT * EXCLUDE (members) FROM folds"
            " UNION ALL BY NAME FROM chain_events WHERE list_contains(?, filename)"
            " AND rowid NOT IN (SELECT unnest(members) FROM folds)",
            [files],
        )
        replace(con, "chain_events", files)
        went = con.execute("SELECT CAST(sum(len(members) - 1) AS BIGINT) FROM folds").fetchall()
        return went[0][0] or 0
