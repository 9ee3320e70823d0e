"""What the devices decided over all time, at a cost that does not grow with it.

The table `rollups` sums up the decisions whose `arrival` is lower than it says; the others are counted on
reading. So what is read here is exact whenever it is read, and late arrivals and clocks change nothing.
"""

from __future__ import annotations

import duckdb
import polars as pl

from observability.store.lake import schema_version
from observability.store.read import frame
from traces import ModelVersion

_SINCE_VERSION = 4

_KEY = (
    "device_id",
    "decision_type",
    "model_name",
    "model_version",
    "model_digest",
    "resource_id",
    "recommendation",
)
_LASTS = ("last_decision_id", "last_action", "last_disposition")

_BELIEVED = (
    "FILTER (decided_at BETWEEN received_at - INTERVAL 184 DAY AND received_at + INTERVAL 1 DAY)"
)
_COUNTED = f"""
SELECT device_id, decision_type, model_name, model_version, model_digest, resource_id, recommendation,
    count(*) AS decisions, min(decided_at) AS first_at, max(decided_at) AS last_at,
    arg_max(decision_id, decided_at) AS last_decision_id,
    arg_max(action, decided_at) AS last_action,
    arg_max(disposition, decided_at) AS last_disposition,
    min(decided_at) {_BELIEVED} AS believed_first_at, max(decided_at) {_BELIEVED} AS believed_last_at,
    min(received_at) AS first_received_at, max(received_at) AS last_received_at
FROM decisions
WHERE ($device IS NULL OR device_id = $device)
"""
_ARRIVED = " AND arrival >= $mark AND ($before IS NULL OR arrival < $before)"
_BY_KEY = " GROUP BY ALL"


def rollup(
    con: duckdb.DuckDBPyConnection, device_id: str | None = None, before: int | None = None
) -> pl.DataFrame:
    """All decisions, of the fleet or of a device; or those that arrived below `before` (`Writer.settled`).

    One row for each device_id, decision_type, model_name, model_version, model_digest, resource_id and
    recommendation (None: the model proposed nothing), with decisions, first_at, last_at (decided), of the
    decision at last_at last_decision_id, last_action and last_disposition, believed_first_at and
    believed_last_at (of clocks at most 184 days behind and a day ahead of receipt; None: of none), and
    first_received_at and last_received_at. Times UTC.
    """
    asked = {"device": device_id}
    if schema_version(con) < _SINCE_VERSION:
        return frame(con, _COUNTED + _BY_KEY, asked)
    kept = frame(
        con, "FROM rollups"
    )  # before the rest: what becomes part of it meanwhile counts once
    mark = watermark(kept)
    new = frame(con, _COUNTED + _ARRIVED + _BY_KEY, {**asked, "mark": mark, "before": before})
    if device_id is not None:
        kept = kept.filter(pl.col("device_id") == device_id)
    return _summed(pl.concat([kept.select(new.columns), new]))


def watermark(kept: pl.DataFrame) -> int:
    """The `arrival` below which decisions are part of these rows of `rollups`; 0: none is."""
    return max(kept["arrival"].to_list(), default=0)


def pulses(rolled: pl.DataFrame) -> pl.DataFrame:
    """Each device of a rollup, by name, with its last decision and how often it decided.

    Columns device_id, last_decided_at, decisions_ever, mean_interval_s (None: it decided once),
    last_action, last_disposition, last_decision_id, last_model (name and version).
    """
    lasted_s = (pl.col("last_decided_at") - pl.col("first_at")).dt.total_microseconds() / 1e6
    decided = pl.col("decisions_ever")
    return (
        rolled.sort("device_id", "last_at")
        .group_by("device_id", maintain_order=True)
        .agg(
            pl.col("last_at").max().alias("last_decided_at"),
            pl.col("first_at").min(),
            pl.col("decisions").sum().alias("decisions_ever"),
            pl.col("last_action", "last_disposition", "last_decision_id").last(),
            pl.concat_str("model_name", "model_version", separator=" ").last().alias("last_model"),
        )
        .with_columns(pl.when(decided > 1).then(lasted_s / (decided - 1)).alias("mean_interval_s"))
        .drop("first_at")
    )


def by_type(rolled: pl.DataFrame) -> pl.DataFrame:
    """Each decision type of a rollup, and its last decision.

    Columns type, decisions_ever, first_ever_at, last_ever_at, last_decision_id, last_action,
    last_disposition, last_resource_id.
    """
    return (
        rolled.sort("last_at")
        .group_by(pl.col("decision_type").alias("type"))
        .agg(
            pl.col("decisions").sum().alias("decisions_ever"),
            pl.col("first_at").min().alias("first_ever_at"),
            pl.col("last_at").last().alias("last_ever_at"),
            pl.col(*_LASTS).last(),
            pl.col("resource_id").last().alias("last_resource_id"),
        )
    )


def model_versions(rolled: pl.DataFrame) -> tuple[ModelVersion, ...]:
    """The model versions that decided, in order."""
    named = rolled.select("model_name", "model_version", "model_digest").unique()
    return tuple(ModelVersion(*row) for row in sorted(named.iter_rows()))


def _summed(rows: pl.DataFrame) -> pl.DataFrame:
    return (
        rows.sort("last_at")
        .group_by(_KEY)
        .agg(
            pl.col("decisions").sum(),
            pl.col("first_at", "believed_first_at", "first_received_at").min(),
            pl.col("believed_last_at").max(),
            pl.col("last_at", *_LASTS).last(),
            pl.col("last_received_at").max(),
        )
        .select(rows.columns)
    )
