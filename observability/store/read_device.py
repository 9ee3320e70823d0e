"""One device over a window: what it decided, how it scored, its gates and its inputs beside the others'.

"The others" are the decisions of the same type by every other device in the same window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import duckdb
import polars as pl

from observability.store.read import Window, frame, one
from observability.store.read_decisions import bucket_width
from observability.store.read_device_changes import changes
from observability.store.read_rollups import by_type, rollup

COMPARED_VALUES = 1_000_000
"""Input values of the others that a comparison reads at most; of more decisions a fixed share."""
_IN_WINDOW = "($start IS NULL OR decided_at >= $start) AND ($end IS NULL OR decided_at < $end)"
_CHOSEN = f"decision_type = $type AND {_IN_WINDOW}"

_WITHIN = f"""
SELECT decision_type AS type, count(*) AS decisions,
    count(*) FILTER (disposition = 'blocked') AS blocked,
    min(decided_at) AS first_at, max(decided_at) AS last_at
FROM decisions
WHERE device_id = $device AND {_IN_WINDOW}
GROUP BY decision_type
"""

_RESOURCE = "SELECT attributes FROM resources WHERE resource_id = $resource LIMIT 1"
_COURSE = f"""
SELECT time_bucket(to_seconds($width_s), decided_at) AS bucket, disposition, count(*) AS decisions,
    quantile_cont(score, 0.05) FILTER (isfinite(score)) AS low,
    quantile_cont(score, 0.5) FILTER (isfinite(score)) AS median,
    quantile_cont(score, 0.95) FILTER (isfinite(score)) AS high,
    arg_max(threshold, decided_at) AS threshold
FROM decisions
WHERE device_id = $device AND {_CHOSEN}
GROUP BY GROUPING SETS ((bucket, disposition), (bucket))
ORDER BY bucket, disposition
"""

_GATES = f"""
WITH asked AS (
    SELECT device_id = $device AS own, generate_subscripts(gates, 1) AS position,
        unnest(gates) AS gate
    FROM decisions
    WHERE {_CHOSEN}
)
SELECT gate.name AS gate, any_value(gate.kind) AS kind,
    count(*) FILTER (own) AS asked,
    count(*) FILTER (own AND gate.verdict = 'block') AS blocked,
    count(*) FILTER (own AND gate.verdict NOT IN ('pass', 'block')) AS changed,
    count(*) FILTER (NOT own) AS others_asked,
    count(*) FILTER (NOT own AND gate.verdict = 'block') AS others_blocked
FROM asked
GROUP BY gate.name
HAVING asked > 0
ORDER BY min(position), gate
"""

_VOLUME = f"""
SELECT count(*) * (SELECT max(len(names)) FROM layouts WHERE decision_type = $type) AS others
FROM decisions
WHERE {_CHOSEN} AND decided_at >= $first_at AND decided_at <= $last_at AND device_id <> $device
"""

_INPUTS = f"""
SELECT device_id = $device AS own, time_bucket(to_seconds($width_s), decided_at) AS bucket,
    layout_id, inputs AS value
FROM decisions
WHERE {_CHOSEN} AND decided_at >= $first_at AND decided_at <= $last_at AND len(inputs) > 0
    AND (device_id = $device OR hash(decision_id) % $every = 0)
"""

_NAMES = """
SELECT layout_id, names AS name, range(len(names)) AS place
FROM layouts
WHERE decision_type = $type AND len(names) > 0
"""

_UNITS = """
SELECT feature.name AS name, any_value(feature.unit) AS unit
FROM (SELECT unnest(features) AS feature FROM models)
WHERE feature.unit <> ''
GROUP BY feature.name
"""

_OUTCOMES = f"""
WITH last_said AS (
    SELECT decision_id, arg_max(label, received_at) AS label, max(observed_at) AS observed_at
    FROM outcomes
    WHERE decision_id IN (SELECT decision_id FROM decisions WHERE device_id = $device AND {_CHOSEN})
    GROUP BY decision_id
)
SELECT label, count(*) AS decisions, max(observed_at) AS newest_at
FROM last_said
GROUP BY label
ORDER BY decisions DESC, label
"""


@dataclass(frozen=True, slots=True)
class Known:
    """A device, over all time and over a window; times UTC.

    `types`, its decision types, the most frequent first: type, decisions_ever, first_ever_at,
    last_ever_at, last_decision_id, last_action, last_disposition, last_resource_id, and over the
    window decisions, blocked, first_at, last_at (None where it has none there).
    `resource`, the attributes of the program that sent its newest decision.
    """

    device_id: str
    types: pl.DataFrame
    resource: Mapping[str, str]

    @property
    def last(self) -> Mapping[str, Any]:
        """The row of `types` that holds the newest decision."""
        return self.types.sort("last_ever_at").row(-1, named=True)

    @property
    def decisions(self) -> int:
        """In the window, of all types."""
        return sum(self.types["decisions"])

    @property
    def blocked(self) -> int:
        """In the window, of all types."""
        return sum(self.types["blocked"])

    @property
    def mean_interval_s(self) -> float | None:
        """Seconds between two decisions of any type; None where it decided once."""
        lasted = max(self.types["last_ever_at"]) - min(self.types["first_ever_at"])
        decided = sum(self.types["decisions_ever"])
        return lasted.total_seconds() / (decided - 1) if decided > 1 else None


@dataclass(frozen=True, slots=True)
class Course:
    """What a device decided of one type over a window, in buckets `bucket_width` wide from `first_at`.

    `over_time`: bucket, disposition, decisions. `scores`: bucket, decisions, low, median, high (5th,
    50th, 95th percentile; None where nothing was scored), threshold.
    `gates`, in the order asked: gate, kind, asked, blocked, changed (modified or deferred),
    others_asked, others_blocked.
    `inputs`, in the model's order: name, bucket, n, median, least, most of this device, others,
    low, middle, high (5th, 50th, 95th percentile of the others, None where there are none).
    `changes` of firmware and of the type's model, as `changes` gives them.
    `outcomes`: label, decisions, newest_at. `units`, by input, as the registered models state them.
    """

    type: str
    decisions: int
    blocked: int
    first_at: datetime
    bucket_width: timedelta
    over_time: pl.DataFrame
    scores: pl.DataFrame
    gates: pl.DataFrame
    inputs: pl.DataFrame
    changes: pl.DataFrame
    outcomes: pl.DataFrame
    units: Mapping[str, str]


def known(con: duckdb.DuckDBPyConnection, device_id: str, window: Window) -> Known | None:
    """A device as ever seen; None where it never decided."""
    ever = by_type(rollup(con, device_id))
    if ever.is_empty():
        return None
    within = frame(con, _WITHIN, {"device": device_id, **window.parameters()})
    types = (
        ever.join(within, on="type", how="left")
        .with_columns(pl.col("decisions", "blocked").fill_null(0))
        .sort("decisions_ever", "type", descending=[True, False])
    )
    last = types.sort("last_ever_at")["last_resource_id"][-1]
    resource = one(con, _RESOURCE, {"resource": last})
    return Known(device_id, types, resource.get("attributes") or {})


def course(
    con: duckdb.DuckDBPyConnection, seen: Known, decision_type: str, window: Window
) -> Course | None:
    """A device's decisions of one type over a window; None where there are none."""
    found = seen.types.filter(pl.col("type") == decision_type, pl.col("decisions") > 0)
    if found.is_empty():
        return None
    row = found.row(0, named=True)
    width = bucket_width(row["first_at"], row["last_at"])
    chosen = {"device": seen.device_id, "type": decision_type, **window.parameters()}
    bucketed = {**chosen, "width_s": width.total_seconds()}
    decided = frame(con, _COURSE, bucketed)
    scored = decided.filter(pl.col("disposition").is_null() & pl.col("median").is_not_null())
    return Course(
        type=decision_type,
        decisions=row["decisions"],
        blocked=row["blocked"],
        first_at=row["first_at"],
        bucket_width=width,
        over_time=decided.filter(pl.col("disposition").is_not_null()).select(
            "bucket", "disposition", "decisions"
        ),
        scores=scored.drop("disposition"),
        gates=frame(con, _GATES, chosen),
        inputs=_inputs(
            con, {**chosen, "first_at": row["first_at"], "last_at": row["last_at"]}, width
        ),
        changes=changes(con, seen.device_id, decision_type, window),
        outcomes=frame(con, _OUTCOMES, chosen),
        units=dict(frame(con, _UNITS).iter_rows()),
    )


def changes_within(found: Course) -> pl.DataFrame:
    """The changes of a course's window, those of one bucket in one row: at, said (a list)."""
    again = pl.when("again").then(pl.col("version") + " again").otherwise("version")
    width = f"{round(found.bucket_width.total_seconds())}s"
    return (
        found.changes.filter(pl.col("decided_at") >= found.first_at)
        .group_by(pl.col("decided_at").dt.truncate(width).alias("bucket"))
        .agg(pl.col("decided_at").min().alias("at"), again.alias("said"))
        .sort("at")
        .select("at", "said")
    )


def _inputs(
    con: duckdb.DuckDBPyConnection, asked: Mapping[str, Any], width: timedelta
) -> pl.DataFrame:
    """Percentiles by input and bucket. Polars groups unnested lists fifty times as fast as DuckDB."""
    volume = one(con, _VOLUME, asked)["others"] or 0
    every = max(1, math.ceil(volume / COMPARED_VALUES))
    rows = frame(con, _INPUTS, {**asked, "every": every, "width_s": width.total_seconds()})
    values = (
        rows.join(frame(con, _NAMES, {"type": asked["type"]}), on="layout_id")
        .explode("value", "name", "place")
        .filter(pl.col("value").is_finite())
    )
    own, value, cell = pl.col("own"), pl.col("value"), ("name", "bucket")
    mine = values.filter(own).group_by(cell).agg(
        pl.col("place").min(),
        pl.len().alias("n"),
        value.median().alias("median"),
        value.min().alias("least"),
        value.max().alias("most"),
    )  # fmt: skip
    others = values.filter(~own).group_by(cell).agg(
        pl.len().alias("others"),
        value.quantile(0.05, "linear").alias("low"),
        value.median().alias("middle"),
        value.quantile(0.95, "linear").alias("high"),
    )  # fmt: skip
    return (
        mine.join(others, on=cell, how="left")
        .with_columns(pl.col("others").fill_null(0))
        .sort(pl.col("place").min().over("name"), "name", "bucket")
        .drop("place")
    )
