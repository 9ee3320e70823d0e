"""How regularly devices decide: the gaps between decisions of a type, and what their numbers say of a gap.

Times tell that something is late; only numbers tell whether it was made. A gap of `decided_at` in which no
number is missing is one in which the device did not decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import duckdb
import polars as pl

from observability.store.lake import schema_version
from observability.store.read import Window, frame

LOOK_BACK = timedelta(days=14)
"""How long before a window a device's gaps tell its cadence."""
_SINCE_VERSION = 2

_LASTING = """
SELECT decision_type, device_id, count(*) AS decisions_ever, max(decided_at) AS last_decided_at,
    (epoch_us(max(decided_at)) - epoch_us(min(decided_at))) / 1e6 / nullif(count(*) - 1, 0)
        AS mean_interval_s
FROM decisions
WHERE ($end IS NULL OR decided_at < $end) AND ($device IS NULL OR device_id = $device)
GROUP BY ALL
HAVING decisions_ever > 1
ORDER BY decision_type, device_id
"""

_GAPS = """
WITH gaps AS (
    SELECT decision_type, device_id, lag(decided_at) OVER one AS from_at, decided_at AS to_at,
        (epoch_us(to_at) - epoch_us(from_at)) / 1e6 AS gap_s,
        lag(chain_id) OVER one AS chain_id, chain_id AS to_chain, lag(seq) OVER one AS seq, seq AS to_seq
    FROM decisions
    WHERE ($since IS NULL OR decided_at >= $since) AND ($end IS NULL OR decided_at < $end)
        AND ($device IS NULL OR device_id = $device)
    WINDOW one AS (PARTITION BY decision_type, device_id ORDER BY decided_at, seq)
), usual AS (
    SELECT decision_type, device_id, median(gap_s) AS cadence_s
    FROM gaps
    WHERE gap_s > 0
    GROUP BY ALL
), told AS (
    SELECT decision_type, device_id, cadence_s, count(*) AS gaps,
        count(*) FILTER (abs(gap_s / cadence_s - 1) <= $spread) AS regular,
        list({
            'from_at': from_at, 'to_at': to_at, 'gap_s': gap_s, 'seq': seq, 'to_seq': to_seq,
            'chain_id': chain_id, 'numbered': coalesce(chain_id = to_chain AND to_seq > seq, false)
        }) FILTER (gap_s > $longer * cadence_s AND ($start IS NULL OR to_at >= $start)) AS long_gaps
    FROM gaps JOIN usual USING (decision_type, device_id)
    WHERE gap_s > 0
    GROUP BY ALL
)
SELECT decision_type, device_id, cadence_s, gaps, regular,
    gaps >= $fewest AND regular >= $share * gaps AS has_cadence,
    CASE WHEN has_cadence THEN long_gaps END AS long_gaps
FROM told
ORDER BY decision_type, device_id
"""

_BEFORE_CHAINS = _GAPS.replace(
    "FROM decisions",
    "FROM (SELECT *, NULL::VARCHAR AS chain_id, NULL::BIGINT AS seq FROM decisions)",
)

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


@dataclass(frozen=True, slots=True)
class Regularity:
    """When gaps make a cadence, and which of them is too long.

    A gap is regular within `spread` (a share) of the median; `share` of at least `fewest` gaps have to be.
    A gap of more than `longer` medians has room for another decision.
    """

    spread: float
    share: float
    fewest: int
    longer: float


def lasting(
    con: duckdb.DuckDBPyConnection, until: Window, device_id: str | None = None
) -> pl.DataFrame:
    """Each type and device that decided twice before the window's end, by all of its history.

    Columns decision_type, device_id, decisions_ever, last_decided_at, mean_interval_s.
    """
    return frame(con, _LASTING, {"end": until.end, "device": device_id})


def gaps(
    con: duckdb.DuckDBPyConnection, window: Window, rule: Regularity, device_id: str | None = None
) -> pl.DataFrame:
    """The gaps of each type and device, over a window and `LOOK_BACK` before.

    Columns decision_type, device_id, cadence_s (median gap), gaps, regular (so many of them are),
    has_cadence, long_gaps (of those that have one; that end in the window): structs, for `accounted`.
    """
    asked = {
        **window.parameters(),
        "since": window.start and window.start - LOOK_BACK,
        "device": device_id,
        "spread": rule.spread,
        "share": rule.share,
        "fewest": rule.fewest,
        "longer": rule.longer,
    }
    chained = schema_version(con) >= _SINCE_VERSION
    return frame(con, _GAPS if chained else _BEFORE_CHAINS, asked)


def accounted(con: duckdb.DuckDBPyConnection, found: pl.DataFrame) -> pl.DataFrame:
    """The long gaps of `gaps`, one row each, in order of time, with what became of the numbers in them.

    Columns as of `gaps` and from_at, to_at, gap_s, numbered (both ends lie in one chain), and of the numbers
    in between how many have not arrived (`missing`) and how many were declared `lost`.
    """
    long_gaps = (
        found.explode("long_gaps")
        .drop_nulls("long_gaps")
        .unnest("long_gaps")
        .sort("to_at", "decision_type", "device_id")
        .with_row_index("place")
    )
    numbered = long_gaps.filter("numbered")
    if schema_version(con) < _SINCE_VERSION or numbered.is_empty():
        told = pl.DataFrame(schema={"place": pl.UInt32, "missing": pl.Int64, "lost": pl.Int64})
    else:
        told = _numbers(con, numbered)
    joined = long_gaps.join(told, on="place", how="left", maintain_order="left")
    return joined.with_columns(pl.col("missing", "lost").fill_null(0)).drop(
        "place", "chain_id", "seq", "to_seq"
    )


def _numbers(con: duckdb.DuckDBPyConnection, numbered: pl.DataFrame) -> pl.DataFrame:
    asked = {
        "places": numbered["place"].to_list(),
        "devices": numbered["device_id"].to_list(),
        "chains": numbered["chain_id"].to_list(),
        "seqs": numbered["seq"].to_list(),
        "to_seqs": numbered["to_seq"].to_list(),
    }
    return frame(con, _ACCOUNTED, asked).cast({"place": pl.UInt32})
