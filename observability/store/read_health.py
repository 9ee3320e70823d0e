"""Whether what the pages show can be trusted: how it arrives, what did not, what came late, where it lies.

All of it goes by `received_at`, also the windows: this is about the way here, not about decisions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import duckdb
import polars as pl

from observability.store.location import Store
from observability.store.read import Window, frame, one
from observability.store.read_chains import Chains, chains, completed
from observability.store.read_decisions import bucket_width
from observability.store.read_progress import Progress, progress
from observability.store.read_storage import Storage, storage

LATE_AT_LEAST = timedelta(hours=1)
"""A decision came late when it took longer than this,"""
LATE_SPREADS = 10
"""and longer than the median by this many times the median's distance to the lower quartile: late ones
do not move these, even where they are many, and devices may send by the hour."""
AHEAD_S = 5.0
"""A device's clock is ahead when it decided this long after the receiver took the decision."""
LISTED = 100
"""Rows that each of the lists holds at most; the counts beside them are of all."""
COMPLETE_PAUSES = 3.0
"""Late decisions are complete when no pause among them is longer than this many usual ones."""
STALE_INTERVALS = 10
"""A store of real time stands still after this many of its mean intervals without a receipt,"""
STALE_AT_LEAST = timedelta(minutes=15)
"""and after this time, whatever its interval."""

_ASKED = "($start IS NULL OR received_at >= $start) AND ($end IS NULL OR received_at < $end)"
_LAG_S = "(epoch_us(received_at) - epoch_us(decided_at)) / 1e6"

_ARRIVED = f"""
SELECT count(*) AS decisions, count(DISTINCT device_id) AS devices,
    count(DISTINCT received_at) AS commits,
    min(received_at) AS first_at, max(received_at) AS last_at,
    quantile_cont({_LAG_S}, 0.5) AS median_lag_s, quantile_cont({_LAG_S}, 0.95) AS high_lag_s,
    quantile_cont({_LAG_S}, 0.25) AS lower_lag_s,
    count(*) FILTER ({_LAG_S} < -$ahead_s) AS ahead,
    count(DISTINCT device_id) FILTER ({_LAG_S} < -$ahead_s) AS ahead_devices
FROM decisions
WHERE {_ASKED}
"""

_OVER_TIME = f"""
SELECT time_bucket(to_seconds($width_s), received_at) AS bucket, count(*) AS decisions,
    quantile_cont({_LAG_S}, 0.5) AS median_s, quantile_cont({_LAG_S}, 0.95) AS high_s
FROM decisions
WHERE {_ASKED}
GROUP BY bucket
ORDER BY bucket
"""

_LATE = f"""
SELECT count(*) AS decisions, count(DISTINCT device_id) AS devices,
    min(decided_at) AS first_at, max(decided_at) AS last_at
FROM decisions
WHERE {_ASKED} AND {_LAG_S} > $late_s
"""

_BLOCKS = f"""
WITH asked AS (
    SELECT device_id, decided_at, received_at, {_LAG_S} AS lag_s
    FROM decisions
    WHERE {_ASKED} AND decided_at >= CAST($first_at AS TIMESTAMPTZ) - INTERVAL 1 DAY
        AND decided_at <= CAST($last_at AS TIMESTAMPTZ) + INTERVAL 1 DAY
), paused AS (
    SELECT *, lag_s > $late_s AS late,
        epoch(decided_at - lag(decided_at) OVER by_time) AS before_s,
        epoch(lead(decided_at) OVER by_time - decided_at) AS after_s,
        count(*) FILTER (lag_s <= $late_s) OVER by_time AS punctual
    FROM asked
    WHERE device_id IN (SELECT device_id FROM asked WHERE lag_s > $late_s)
    WINDOW by_time AS (PARTITION BY device_id ORDER BY decided_at, received_at
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
), usual AS (
    SELECT device_id, quantile_cont(before_s, 0.95) AS pause_s FROM paused GROUP BY device_id
)
SELECT device_id, min(decided_at) AS first_at, max(decided_at) AS last_at,
    max(received_at) AS received_at, count(*) AS decisions, max(lag_s) AS longest_s,
    coalesce(max(greatest(before_s, after_s)) <= any_value(pause_s) * $pauses, false) AS complete
FROM paused JOIN usual USING (device_id)
WHERE late
GROUP BY device_id, punctual
ORDER BY received_at DESC, first_at, device_id
LIMIT $listed
"""

_REJECTS = f"""
SELECT reason, count(*) AS rejected, max(received_at) AS newest_at,
    list_sort(list(DISTINCT device_id) FILTER (device_id <> ''))[:$named] AS device_ids,
    count(DISTINCT device_id) FILTER (device_id <> '') AS devices,
    count(*) FILTER (device_id = '') AS nameless,
    CAST(sum(count(*)) OVER () AS BIGINT) AS rejected_in_all, count(*) OVER () AS reasons
FROM rejects
WHERE {_ASKED}
GROUP BY reason
ORDER BY rejected DESC, reason
LIMIT $listed
"""

_CONFLICTS = f"""
SELECT received_at, device_id, kind, span_key, count(*) OVER () AS conflicts
FROM conflicts
WHERE {_ASKED}
ORDER BY received_at DESC, device_id, span_key
LIMIT $listed
"""

_NAMED = 3


@dataclass(frozen=True, slots=True)
class Arrived:
    """What was received in a window; lags in seconds, None where nothing was.

    A commit may hold many requests. `ahead` decisions were decided after they were received.
    """

    decisions: int
    devices: int
    commits: int
    first_at: datetime | None
    last_at: datetime | None
    median_lag_s: float | None
    lower_lag_s: float | None
    high_lag_s: float | None
    ahead: int
    ahead_devices: int

    @property
    def per_hour(self) -> float | None:
        """Decisions an hour between the first and the last receipt."""
        lasted = self._lasted_s
        return self.decisions / (lasted / 3600) if lasted else None

    def stands_still(self, behind_s: float | None) -> bool:
        """Whether nothing came for so many seconds that the screen shows the past, not the present."""
        if behind_s is None or self.commits < 2:
            return False
        usual_s = self._lasted_s / (self.commits - 1)
        return behind_s > max(STALE_AT_LEAST.total_seconds(), STALE_INTERVALS * usual_s)

    @property
    def _lasted_s(self) -> float:
        if self.first_at is None or self.last_at is None:
            return 0.0
        return (self.last_at - self.first_at).total_seconds()


@dataclass(frozen=True, slots=True)
class Late:
    """The decisions that took longer than `over_s` seconds to arrive.

    `blocks`, the newest LISTED stretches of late decisions of one device: device_id, first_at,
    last_at (decided), received_at (the last of them), decisions, longest_s, complete.
    """

    over_s: float
    decisions: int
    devices: int
    blocks: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Health:
    """How a fleet's decisions arrive over a window of `received_at`, and where they lie.

    `over_time`: bucket (its start), decisions, median_s, high_s (95th percentile of the lag);
    `rejects`: reason, rejected, newest_at, device_ids (the first few), devices, nameless (spans
    of no known device);
    `conflicts`: received_at, device_id, kind, span_key.
    """

    arrived: Arrived
    bucket_width: timedelta
    over_time: pl.DataFrame
    late: Late
    rejected: int
    reasons: int
    rejects: pl.DataFrame
    conflicted: int
    conflicts: pl.DataFrame
    storage: Storage
    explained: Progress | None
    chains: Chains


def health(con: duckdb.DuckDBPyConnection, store: Store, window: Window) -> Health:
    """How what is shown arrived. `store` is where what `con` reads lies."""
    chosen = window.parameters()
    arrived = Arrived(**one(con, _ARRIVED, {**chosen, "ahead_s": AHEAD_S}))
    width = bucket_width(arrived.first_at, arrived.last_at)
    rejects = frame(con, _REJECTS, {**chosen, "listed": LISTED, "named": _NAMED})
    conflicts = frame(con, _CONFLICTS, {**chosen, "listed": LISTED})
    return Health(
        arrived=arrived,
        bucket_width=width,
        over_time=frame(con, _OVER_TIME, {**chosen, "width_s": width.total_seconds()}),
        late=_late(con, chosen, arrived),
        rejected=_first(rejects, "rejected_in_all"),
        reasons=_first(rejects, "reasons"),
        rejects=rejects.drop("rejected_in_all", "reasons"),
        conflicted=_first(conflicts, "conflicts"),
        conflicts=conflicts.drop("conflicts"),
        storage=storage(con, store),
        chains=chains(con),
        explained=progress(con),
    )


def _late(con: duckdb.DuckDBPyConnection, chosen: dict[str, Any], arrived: Arrived) -> Late:
    lower_s, median_s = arrived.lower_lag_s or 0.0, arrived.median_lag_s or 0.0
    over_s = max(LATE_AT_LEAST.total_seconds(), median_s + LATE_SPREADS * (median_s - lower_s))
    asked = {**chosen, "late_s": over_s}
    found = one(con, _LATE, asked)
    between = {"first_at": found.pop("first_at"), "last_at": found.pop("last_at")}
    listed = {**asked, **between, "pauses": COMPLETE_PAUSES, "listed": LISTED}
    return Late(over_s=over_s, **found, blocks=completed(con, frame(con, _BLOCKS, listed)))


def _first(rows: pl.DataFrame, column: str) -> int:
    return rows[column][0] if rows.height else 0
