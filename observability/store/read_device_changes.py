"""When a device changed its model or its firmware, in a window; the time before does not raise the cost."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import duckdb
import polars as pl

from observability.store.read import Window, frame, one
from observability.store.read_rollups import rollup

SHOWN = 12
"""Changes of a kind that are shown; of more, the first to each version only."""
_LOOK_BACKS = (timedelta(days=1), timedelta(days=16))
"""Where the decision before the window is looked for, before it is looked for everywhere."""

_BEFORE = """
SELECT max(decided_at) AS at FROM decisions
WHERE device_id = $device AND decision_type = $type AND decided_at < $start AND decided_at >= $back
"""

_CHANGES = """
WITH ran AS (
    SELECT decided_at, decision_id, decision_type, model_name || ' ' || model_version AS model,
        attributes['service.version'] AS firmware
    FROM decisions LEFT JOIN resources USING (resource_id)
    WHERE decisions.device_id = $device AND ($back IS NULL OR decided_at >= $back)
        AND ($end IS NULL OR decided_at < $end)
), before AS (
    SELECT *,
        lag(model) OVER (PARTITION BY decision_type ORDER BY decided_at, decision_id) AS model_before,
        lag(firmware) OVER (ORDER BY decided_at, decision_id) AS firmware_before
    FROM ran
)
SELECT decided_at, 'model' AS kind, model AS version FROM before
WHERE decision_type = $type AND model IS DISTINCT FROM model_before
    AND ($start IS NULL OR decided_at >= $start)
UNION ALL
SELECT decided_at, 'firmware', 'firmware ' || firmware FROM before
WHERE firmware IS DISTINCT FROM firmware_before AND firmware IS NOT NULL
    AND ($start IS NULL OR decided_at >= $start)
ORDER BY decided_at, kind DESC, version
"""

_FIRMWARE = """
SELECT resource_id, 'firmware ' || attributes['service.version'] AS version
FROM resources
WHERE device_id = $device AND attributes['service.version'] IS NOT NULL
"""


def changes(
    con: duckdb.DuckDBPyConnection, device_id: str, decision_type: str, window: Window
) -> pl.DataFrame:
    """The changes of a device's firmware and of a type's model within a window.

    Columns decided_at (UTC, of the first decision by it), kind (model, firmware), version, again (it ran
    before, whenever that was).
    """
    asked = {"device": device_id, "type": decision_type, **window.parameters()}
    found = frame(con, _CHANGES, {**asked, "back": _decided_before(con, asked)})
    first = _first_runs(con, device_id, decision_type)
    told = found.join(first, on=["kind", "version"], how="left", maintain_order="left")
    listed = told.with_columns(again=pl.col("decided_at") > pl.col("first_at")).drop("first_at")
    kept = listed.filter((pl.len().over("kind") <= SHOWN) | ~pl.col("again"))
    return kept.filter(pl.int_range(pl.len()).over("kind") < SHOWN)


def _decided_before(con: duckdb.DuckDBPyConnection, asked: dict[str, Any]) -> datetime | None:
    """When the device last decided before the window; None: long ago or never, or the window is open."""
    start = asked["start"]
    for back in _LOOK_BACKS if start else ():
        given = {name: asked[name] for name in ("device", "type", "start")}
        if at := one(con, _BEFORE, {**given, "back": start - back})["at"]:
            return at
    return None


def _first_runs(con: duckdb.DuckDBPyConnection, device_id: str, decision_type: str) -> pl.DataFrame:
    """Since when each firmware and each model of the type ran on a device: kind, version, first_at."""
    rolled = rollup(con, device_id)
    firmware = rolled.join(frame(con, _FIRMWARE, {"device": device_id}), on="resource_id")
    models = rolled.filter(pl.col("decision_type") == decision_type).with_columns(
        version=pl.concat_str("model_name", "model_version", separator=" ")
    )
    runs = [
        rows.group_by("version").agg(pl.col("first_at").min()).with_columns(kind=pl.lit(kind))
        for kind, rows in (("model", models), ("firmware", firmware))
    ]
    return pl.concat(runs)
