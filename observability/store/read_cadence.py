"""How regularly devices decide: the gaps between decisions of a type, and what their numbers say of a gap.

Times tell that something is late; only numbers tell whether it was made. A gap of `decided_at` in which no
number is missing is one in which the device did not decide.
"""

from __future__ import annotations

import duckdb
import polars as pl

from observability.store.lake import schema_version
from observability.store.read import Window, frame

_SINCE_VERSION = 2

_RHYTHMS = """
WITH gaps AS (
    SELECT decision_type, device_id, decided_at,
        (epoch_us(decided_at) - epoch_us(lag(decided_at) OVER one)) / 1e6 AS gap_s
    FROM decisions
    WHERE $end IS NULL OR decided_at < $end
    WINDOW one AS (PARTITION BY decision_type, device_id ORDER BY decided_at, decision_id)
), usual AS (
    SELECT decision_type, device_id, median(gap_s) AS cadence_s
    FROM gaps
    WHERE gap_s > 0
    GROUP BY ALL
)
SELECT decision_type, device_id, count(*) AS decisions_ever, max(decided_at) AS last_decided_at,
    cadence_s, avg(gap_s) AS mean_interval_s,
    count(*) FILTER (gap_s > 0) AS gaps,
    count(*) FILTER (gap_s > 0 AND gap_s BETWEEN (1 - $spread) * cadence_s AND (1 + $spread) * cadence_s)
        AS regular
FROM gaps JOIN usual USING (decision_type, device_id)
GROUP BY ALL
ORDER BY decision_type, device_id
"""

_LONG = """
WITH gaps AS (
    SELECT decision_type, device_id, decided_at AS to_at, lag(decided_at) OVER one AS from_at,
        chain_id AS to_chain, lag(chain_id) OVER one AS chain_id, seq AS to_seq, lag(seq) OVER one AS seq
    FROM decisions
    WHERE $end IS NULL OR decided_at < $end
    WINDOW one AS (PARTITION BY decision_type, device_id ORDER BY decided_at, decision_id)
)
SELECT g.decision_type, g.device_id, from_at, to_at,
    (epoch_us(to_at) - epoch_us(from_at)) / 1e6 AS gap_s,
    chain_id IS NOT NULL AND chain_id = to_chain AND to_seq > seq AS numbered,
    chain_id, seq, to_seq
FROM gaps AS g JOIN (
    SELECT unnest($types) AS decision_type, unnest($devices) AS device_id, unnest($limits_s) AS limit_s
) AS asked ON g.decision_type = asked.decision_type AND g.device_id = asked.device_id
WHERE (epoch_us(to_at) - epoch_us(from_at)) / 1e6 > limit_s
    AND ($start IS NULL OR to_at >= $start)
ORDER BY g.decision_type, g.device_id, from_at
"""

_ACCOUNTED = """
SELECT g.place,
    coalesce(sum(least(m.seq_to, g.to_seq - 1) - greatest(m.seq_from, g.seq + 1) + 1)
        FILTER (m.kind = 'missing'), 0)::BIGINT AS missing,
    coalesce(sum(least(m.seq_to, g.to_seq - 1) - greatest(m.seq_from, g.seq + 1) + 1)
        FILTER (m.kind = 'lost'), 0)::BIGINT AS lost
FROM (SELECT unnest($places) AS place, unnest($devices) AS device_id, unnest($chains) AS chain_id,
        unnest($seqs) AS seq, unnest($to_seqs) AS to_seq) AS g
JOIN (
    SELECT device_id, chain_id, 'missing' AS kind, seq_from, seq_to FROM chain_gaps
    UNION ALL SELECT device_id, chain_id, kind, seq_from, seq_to FROM chain_ranges WHERE kind = 'lost'
) AS m ON m.device_id = g.device_id AND m.chain_id = g.chain_id
    AND m.seq_from < g.to_seq AND m.seq_to > g.seq
GROUP BY g.place
"""


def rhythms(con: duckdb.DuckDBPyConnection, until: Window, spread: float) -> pl.DataFrame:
    """Each type and device that decided twice before the window's end, by all of its history.

    Columns decision_type, device_id, decisions_ever, last_decided_at, cadence_s (median gap),
    mean_interval_s, gaps, and how many of these are `regular`: within `spread` of the median.
    """
    return frame(con, _RHYTHMS, {"end": until.end, "spread": spread})


def long_gaps(
    con: duckdb.DuckDBPyConnection, rhythms: pl.DataFrame, window: Window, longer_than: float
) -> pl.DataFrame:
    """The gaps that end in a window and are longer than so many medians.

    Columns decision_type, device_id, from_at, to_at, gap_s, numbered (both ends lie in one chain), and of
    the numbers in between how many have not arrived (`missing`) and how many were declared `lost`.
    """
    asked = {
        "types": rhythms["decision_type"].to_list(),
        "devices": rhythms["device_id"].to_list(),
        "limits_s": (rhythms["cadence_s"] * longer_than).to_list(),
    }
    found = frame(con, _LONG, {**asked, **window.parameters()}).with_row_index("place")
    numbered = found.filter("numbered")
    if schema_version(con) < _SINCE_VERSION or numbered.is_empty():
        told = pl.DataFrame(schema={"place": pl.UInt32, "missing": pl.Int64, "lost": pl.Int64})
    else:
        told = _accounted(con, numbered)
    joined = found.join(told, on="place", how="left", maintain_order="left")
    return joined.with_columns(pl.col("missing", "lost").fill_null(0)).drop(
        "place", "chain_id", "seq", "to_seq"
    )


def _accounted(con: duckdb.DuckDBPyConnection, gaps: pl.DataFrame) -> pl.DataFrame:
    asked = {
        "places": gaps["place"].to_list(),
        "devices": gaps["device_id"].to_list(),
        "chains": gaps["chain_id"].to_list(),
        "seqs": gaps["seq"].to_list(),
        "to_seqs": gaps["to_seq"].to_list(),
    }
    return frame(con, _ACCOUNTED, asked).cast({"place": pl.UInt32})
