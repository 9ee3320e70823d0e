"""One device over a window: what it decided, how it scored, its gates and its inputs beside the others'.

"The others" are the decisions of the same type by every other device in the same window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import duckdb
import polars as pl

from observability.store.read import Window, frame, one
from observability.store.read_decisions import Filters, Matching, matching

COMPARED_VALUES = 2_000_000
"""Input values of the others that a comparison reads at most; of more decisions a fixed share."""
CHANGES_SHOWN = 12
"""A device that changes its model or firmware more often is shown with the first of each only."""

_CHOSEN = """
    decision_type = $type AND ($start IS NULL OR decided_at >= $start)
    AND ($end IS NULL OR decided_at < $end)
"""

_KNOWN = """
SELECT device_id, count(*) AS decisions_ever, min(decided_at) AS first_decided_at,
    max(decided_at) AS last_decided_at, arg_max(decision_id, decided_at) AS last_decision_id,
    arg_max(action, decided_at) AS last_action, arg_max(disposition, decided_at) AS last_disposition,
    arg_max(resource_id, decided_at) AS last_resource_id,
    (epoch_us(max(decided_at)) - epoch_us(min(decided_at))) / 1e6 / nullif(count(*) - 1, 0)
        AS mean_interval_s
FROM decisions
WHERE device_id = $device
GROUP BY device_id
"""

_TYPES = """
SELECT decision_type, count(*) AS decisions
FROM decisions
WHERE device_id = $device
GROUP BY decision_type
ORDER BY decisions DESC, decision_type
"""

_RESOURCE = "SELECT attributes FROM resources WHERE resource_id = $resource LIMIT 1"

_SCORES = f"""
SELECT time_bucket(to_seconds($width_s), decided_at) AS bucket, count(*) AS decisions,
    quantile_cont(score, 0.05) AS low, quantile_cont(score, 0.5) AS median,
    quantile_cont(score, 0.95) AS high, arg_max(threshold, decided_at) AS threshold
FROM decisions
WHERE device_id = $device AND {_CHOSEN} AND score IS NOT NULL AND isfinite(score)
GROUP BY bucket
ORDER BY bucket
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
SELECT count(*) FILTER (device_id <> $device) * max(len(inputs)) AS others FROM decisions
WHERE {_CHOSEN}
"""

_INPUTS = f"""
WITH chosen AS (
    SELECT device_id = $device AS own, layout_id, inputs,
        time_bucket(to_seconds($width_s), decided_at) AS bucket
    FROM decisions
    WHERE {_CHOSEN} AND decided_at >= $first AND decided_at <= $last
        AND (device_id = $device OR hash(decision_id) % $every = 0)
), single AS (
    SELECT own, layout_id, bucket, generate_subscripts(inputs, 1) AS place,
        unnest(inputs) AS value
    FROM chosen
), named AS (
    SELECT layout_id, generate_subscripts(names, 1) AS place, unnest(names) AS name FROM layouts
)
SELECT name, bucket,
    count(*) FILTER (own) AS n, quantile_cont(value, 0.5) FILTER (own) AS median,
    min(value) FILTER (own) AS least, max(value) FILTER (own) AS most,
    count(*) FILTER (NOT own) AS others,
    quantile_cont(value, 0.05) FILTER (NOT own) AS low,
    quantile_cont(value, 0.95) FILTER (NOT own) AS high
FROM single JOIN named USING (layout_id, place)
WHERE value IS NOT NULL AND isfinite(value)
GROUP BY name, bucket
HAVING n > 0
ORDER BY min(place), name, bucket
"""

_CHANGES = """
WITH ran AS (
    SELECT decided_at, decision_id, decision_type, model_name || ' ' || model_version AS model,
        attributes['service.version'] AS firmware
    FROM decisions LEFT JOIN resources USING (resource_id)
    WHERE decisions.device_id = $device
), before AS (
    SELECT *, lag(model) OVER (PARTITION BY decision_type ORDER BY decided_at, decision_id) AS model_before,
        lag(firmware) OVER (ORDER BY decided_at, decision_id) AS firmware_before
    FROM ran
), changes AS (
    SELECT decided_at, 'model' AS kind, model AS version FROM before
    WHERE model IS DISTINCT FROM model_before
    UNION ALL
    SELECT decided_at, 'firmware', 'firmware ' || firmware FROM before
    WHERE firmware IS DISTINCT FROM firmware_before AND firmware IS NOT NULL
)
SELECT decided_at, kind, version,
    row_number() OVER (PARTITION BY kind, version ORDER BY decided_at) > 1 AS again
FROM changes
ORDER BY decided_at, kind DESC, version
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
    """One device as ever seen; times UTC, the mean interval in seconds (None after one decision).

    `types`, its decision types, the most frequent first; `resource`, attributes of its newest program.
    """

    device_id: str
    decisions_ever: int
    first_decided_at: datetime
    last_decided_at: datetime
    last_decision_id: str
    last_action: str
    last_disposition: str
    mean_interval_s: float | None
    types: tuple[str, ...]
    resource: dict[str, str]


@dataclass(frozen=True, slots=True)
class DeviceView:
    """One device and one of its decision types over a window; buckets are those of `matching`.

    `scores`: bucket, decisions, low, median, high (5th, 50th, 95th percentile), threshold.
    `gates`, in the order asked: gate, kind, asked, blocked, changed (modified or deferred),
    others_asked, others_blocked.
    `inputs`, in the model's order: name, bucket, n, median, least, most of this device, others,
    low, high (5th and 95th percentile of the others, None where there are none).
    `changes`, over all time: decided_at, kind (model, firmware), version, again (it ran before).
    `outcomes`: label, decisions, newest_at.
    """

    known: Known
    type: str
    matching: Matching
    scores: pl.DataFrame
    gates: pl.DataFrame
    inputs: pl.DataFrame
    changes: pl.DataFrame
    outcomes: pl.DataFrame


def known(con: duckdb.DuckDBPyConnection, device_id: str) -> Known | None:
    """A device as ever seen; None where it never decided."""
    asked = {"device": device_id}
    found = one(con, _KNOWN, asked)
    if not found:
        return None
    resource = one(con, _RESOURCE, {"resource": found.pop("last_resource_id")})
    types = tuple(frame(con, _TYPES, asked)["decision_type"])
    return Known(**found, types=types, resource=resource.get("attributes") or {})


def device_view(
    con: duckdb.DuckDBPyConnection, seen: Known, decision_type: str, window: Window
) -> DeviceView:
    """A device's decisions of one type over a window."""
    found = matching(con, Filters(window=window, type=decision_type, device=seen.device_id))
    chosen = {"device": seen.device_id, "type": decision_type, **window.parameters()}
    bucketed = {**chosen, "width_s": found.bucket_width.total_seconds()}
    return DeviceView(
        known=seen,
        type=decision_type,
        matching=found,
        scores=frame(con, _SCORES, bucketed),
        gates=frame(con, _GATES, chosen),
        inputs=_inputs(con, chosen, bucketed, found),
        changes=_changes(frame(con, _CHANGES, {"device": seen.device_id})),
        outcomes=frame(con, _OUTCOMES, chosen),
    )


def changes_within(changes: pl.DataFrame, first: datetime, width: timedelta) -> pl.DataFrame:
    """The changes from `first` on, those of the same bucket of `width` in one row: at, said."""
    return (
        changes.filter(pl.col("decided_at") >= first)
        .with_columns(
            pl.when("again").then(pl.col("version") + " again").otherwise("version").alias("said")
        )
        .group_by(
            pl.col("decided_at").dt.truncate(f"{round(width.total_seconds())}s").alias("bucket")
        )
        .agg(pl.col("decided_at").min().alias("at"), pl.col("said"))
        .sort("at")
        .select("at", "said")
    )


def _inputs(
    con: duckdb.DuckDBPyConnection,
    chosen: dict[str, Any],
    bucketed: dict[str, Any],
    found: Matching,
) -> pl.DataFrame:
    volume = one(con, _VOLUME, chosen)["others"] or 0
    asked = {
        **bucketed,
        "first": found.first_at,
        "last": found.last_at,
        "every": max(1, math.ceil(volume / COMPARED_VALUES)),
    }
    return frame(con, _INPUTS, asked)


def _changes(changes: pl.DataFrame) -> pl.DataFrame:
    many = pl.len().over("kind") > CHANGES_SHOWN
    kept = changes.filter(~many | ~pl.col("again"))
    return kept.filter(pl.int_range(pl.len()).over("kind") < CHANGES_SHOWN)
