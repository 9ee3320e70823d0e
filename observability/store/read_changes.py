"""What was changed on devices, and when: model versions, firmware and the limits of gates.

To the day: of what a device ran in turns within one day, only that it did is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import duckdb
import polars as pl

from observability.store.read import Window, frame

MOST_CHANGES = 12
"""Changes that are told; of more the first of each state, the earliest ones."""

_DECIDED = """
decided AS (
    SELECT device_id, decided_at, date_trunc('day', decided_at) AS day, resource_id, gates, context,
        model_name || ' ' || model_version AS model
    FROM decisions
    WHERE decision_type = $type AND ($start IS NULL OR decided_at >= $start)
        AND ($end IS NULL OR decided_at < $end) AND ($device IS NULL OR device_id = $device)
)
"""
_CHANGES = f"""
WITH {_DECIDED}, ran AS (
    SELECT device_id, 'model' AS kind, '' AS subject, model AS state, min(decided_at) AS first_at
    FROM decided GROUP BY device_id, day, model
    UNION ALL
    SELECT device_id, 'firmware', '', attributes['service.version'] AS version, min(first_at)
    FROM (SELECT device_id, day, resource_id, min(decided_at) AS first_at FROM decided GROUP BY ALL)
        JOIN (SELECT resource_id, attributes FROM resources) USING (resource_id)
    GROUP BY device_id, day, version
    UNION ALL
    SELECT device_id, 'gate', gate.name,
        gate."input" || ' ' || gate.operator || ' ' || format('{{:g}}', gate."limit") AS rule, min(decided_at)
    FROM (SELECT device_id, day, decided_at, unnest(gates) AS gate FROM decided)
    WHERE gate.kind = 'rule' AND gate.operator <> ''
    GROUP BY device_id, day, gate.name, rule
), changes AS (
    SELECT *, lag(state) OVER (PARTITION BY device_id, kind, subject ORDER BY first_at, state) AS before
    FROM ran WHERE state IS NOT NULL
)
SELECT kind, subject, state, min(first_at) AS changed_at,
    list(DISTINCT device_id ORDER BY device_id) AS devices
FROM changes
WHERE state <> before AND ($since IS NULL OR first_at >= $since)
GROUP BY kind, subject, state, date_trunc('day', first_at)
ORDER BY changed_at, kind, subject, state
"""
_GROUPS = f"""
WITH {_DECIDED}, newest AS (
    SELECT device_id, arg_max(resource_id, decided_at) AS resource_id,
        arg_max(context['site'], decided_at) AS site, arg_max(model, decided_at) AS model
    FROM decided GROUP BY device_id
)
SELECT n.device_id, any_value(coalesce(attributes['geo.locality.name'], site)) AS site,
    any_value(attributes['service.version']) AS firmware, any_value(model) AS model
FROM newest AS n LEFT JOIN resources AS r ON r.resource_id = n.resource_id
GROUP BY n.device_id
ORDER BY n.device_id
"""


def changes(
    con: duckdb.DuckDBPyConnection,
    decision_type: str,
    window: Window,
    since: datetime | None = None,
    device: str | None = None,
) -> pl.DataFrame:
    """What came to be different on devices (or one) from `since` on, one row for a state and day.

    kind (model, firmware, gate), subject (the gate), state, changed_at (UTC, of the first device) and
    devices, a list. What a device ran first in the window is no change.
    """
    asked = _asked(decision_type, window, device)
    found = frame(con, _CHANGES, {**asked, "since": since})
    if found.height > MOST_CHANGES:
        found = found.unique(["kind", "subject", "state"], keep="first", maintain_order=True)
    return found.head(MOST_CHANGES)


def labels(found: pl.DataFrame, width: timedelta) -> pl.DataFrame:
    """Changes in words, a row for each bucket of whole days: at (UTC, of the first), said (a list)."""
    return (
        found.select(
            pl.col("changed_at").alias("at"), pl.Series("said", in_words(found), pl.String)
        )
        .group_by(pl.col("at").dt.truncate(f"{width.days}d").alias("bucket"))
        .agg(pl.col("at").min(), "said")
        .sort("at")
        .select("at", "said")
    )


def in_words(found: pl.DataFrame) -> list[str]:
    """Each change in words: what, and on how many devices."""
    return [_said(**row) for row in found.drop("changed_at").iter_rows(named=True)]


def between(
    found: pl.DataFrame, since: datetime, until: datetime, devices: Sequence[str]
) -> pl.DataFrame:
    """The changes from `since` up to `until` on these devices only; on all where none are named."""
    own = pl.col("devices").list.set_intersection(list(devices)) if devices else pl.col("devices")
    near = found.with_columns(devices=own).filter(pl.col("devices").list.len() > 0)
    return near.filter(pl.col("changed_at").is_between(since, until, closed="left"))


def groups(con: duckdb.DuckDBPyConnection, decision_type: str, window: Window) -> pl.DataFrame:
    """Where each device last stood in a window: device_id, site, firmware, model; NULL: not recorded."""
    return frame(con, _GROUPS, _asked(decision_type, window, None))


def _said(kind: str, subject: str, state: str, devices: Sequence[str]) -> str:
    what = {"firmware": f"firmware {state}", "gate": f"gate {subject} {state}"}.get(kind, state)
    whom = devices[0] if len(devices) == 1 else f"{len(devices):,} devices"
    return f"{what} on {whom}"


def _asked(decision_type: str, window: Window, device: str | None) -> dict[str, Any]:
    return {"type": decision_type, "device": device, **window.parameters()}
