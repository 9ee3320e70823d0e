"""The fleet at a glance: totals, devices, gates and what the store could not take as it came."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import duckdb
import polars as pl

from observability.store.read import Window, frame, one
from observability.store.read_chains import Chains, chains
from observability.store.read_rollups import pulses, rollup

PEOPLE_LOOK_BACK = timedelta(days=14)
"""How long before the window a person's verdicts count."""

_TOTALS = """
WITH chosen AS (
    SELECT device_id, decision_id, decided_at, disposition
    FROM decisions
    WHERE ($start IS NULL OR decided_at >= $start) AND ($end IS NULL OR decided_at < $end)
)
SELECT
    count(DISTINCT device_id) AS devices,
    count(*) AS decisions,
    count(*) FILTER (disposition = 'blocked') AS blocked,
    count(*) FILTER (decision_id IN (SELECT decision_id FROM outcomes)) AS known,
    max(decided_at) AS newest_decided_at
FROM chosen
"""

_SINCE = """
SELECT device_id, decision_type, model_name, model_version, recommendation,
    count(*) FILTER ($end IS NULL OR decided_at < $end) AS chosen,
    count(*) FILTER (disposition = 'blocked' AND ($end IS NULL OR decided_at < $end)) AS blocked,
    count(*) FILTER (decided_at >= $end) AS after
FROM decisions
WHERE $start IS NULL OR decided_at >= $start
GROUP BY ALL
"""

_GATES = """
SELECT gate.name AS gate,
    count(*) AS judged,
    count(*) FILTER (gate.verdict = 'block') AS blocked,
    count(*) FILTER (gate.kind = 'human') AS by_people
FROM (
    SELECT unnest(gates) AS gate
    FROM decisions
    WHERE ($start IS NULL OR decided_at >= $start) AND ($end IS NULL OR decided_at < $end)
)
GROUP BY gate.name
ORDER BY blocked DESC, gate
"""

_LIMITS = """
WITH judged AS (
    SELECT decision_type, asked.name AS gate, asked."input" || ' ' || asked.operator AS rule,
        asked."limit" AS "limit", count(*) AS judged,
        count(DISTINCT device_id) AS devices, count(*) FILTER (asked.verdict = 'block') AS blocked,
        min(decided_at) AS first_at, max(decided_at) AS last_at
    FROM (
        SELECT decision_type, device_id, decided_at, unnest(gates) AS asked
        FROM decisions
        WHERE ($start IS NULL OR decided_at >= $start) AND ($end IS NULL OR decided_at < $end)
    )
    WHERE asked.kind = 'rule' AND isfinite(asked."limit")
    GROUP BY GROUPING SETS ((decision_type, gate, rule), (decision_type, gate, rule, "limit"))
), usual AS (
    SELECT decision_type, gate, rule, max(devices) AS all_devices, arg_max("limit", judged) AS usual
    FROM judged
    GROUP BY decision_type, gate, rule
    HAVING count("limit") > 1
)
SELECT gate, "limit", usual, devices, all_devices, judged, blocked, first_at, last_at
FROM judged JOIN usual USING (decision_type, gate, rule)
WHERE "limit" <> usual
ORDER BY first_at, gate
"""

_PEOPLE = """
WITH asked AS (
    SELECT decided_at, gate.name AS gate, gate.verdict = 'pass' AS passed,
        (end_unix_nano - start_unix_nano) / 1e9 AS answer_s,
        coalesce(context['operator'], context['enduser.pseudo.id'], context['enduser.id']) AS person
    FROM (
        SELECT decided_at, start_unix_nano, end_unix_nano, context,
            unnest(list_filter(gates, lambda g: g.kind = 'human')) AS gate
        FROM decisions
        WHERE ($back IS NULL OR decided_at >= $back) AND ($end IS NULL OR decided_at < $end)
    )
    WHERE gate.verdict <> 'defer'
), marked AS (
    SELECT *, decided_at > max(decided_at) FILTER (NOT passed) OVER one AS since_block
    FROM asked
    WHERE person IS NOT NULL
    WINDOW one AS (PARTITION BY gate, person)
), runs AS (
    SELECT * EXCLUDE (since_block), coalesce(since_block, passed) AS in_run FROM marked
)
SELECT gate, person, count(*) AS judged, count(*) FILTER (passed) AS passed,
    count(*) FILTER (in_run) AS run, min(decided_at) FILTER (in_run) AS run_since,
    median(answer_s) FILTER (in_run) AS run_answer_s, median(answer_s) AS answer_s,
    $start IS NULL OR max(decided_at) >= $start AS chosen
FROM runs
GROUP BY gate, person
ORDER BY gate, person
"""

_REJECTS = """
SELECT reason, count(*) AS rejected, count(DISTINCT nullif(device_id, '')) AS devices,
    max(received_at) AS newest_received_at
FROM rejects
WHERE ($start IS NULL OR received_at >= $start) AND ($end IS NULL OR received_at < $end)
GROUP BY reason
ORDER BY rejected DESC, reason
"""

_CONFLICTS = """
SELECT count(*) AS conflicts, count(DISTINCT device_id) AS devices
FROM conflicts
WHERE ($start IS NULL OR received_at >= $start) AND ($end IS NULL OR received_at < $end)
"""

_STRANGE_MODELS = """
WITH ran AS (
    SELECT model_name AS name, model_version AS version, model_digest AS digest,
        count(*) AS decisions, count(DISTINCT device_id) AS devices
    FROM decisions
    WHERE ($start IS NULL OR decided_at >= $start) AND ($end IS NULL OR decided_at < $end)
    GROUP BY ALL
)
SELECT name || ' ' || version AS model, digest AS model_digest, decisions, devices,
    (name, version) IN (SELECT (name, version) FROM models) AS other_digest
FROM ran ANTI JOIN models USING (name, version, digest)
ORDER BY decisions DESC, model
"""


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts over a window. `known` decisions have at least one outcome."""

    devices: int
    decisions: int
    blocked: int
    known: int
    newest_decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class Fleet:
    """The fleet over a window; one row of `devices` for each device ever seen.

    `devices`: those of `pulses`, decisions and blocked (of the window). `gates`: gate, judged, blocked.
    `limits` that differ from a rule's most frequent one, in the unit of its input: gate, limit, usual,
    devices (of all_devices that it judged), judged, blocked, first_at, last_at.
    `people` at human gates, over the window and, where any was asked in it, 14 days before: gate, person,
    judged, passed, run (passes since the last verdict that was none), run_since, run_answer_s, answer_s
    (medians), chosen (judged in the window). `versions`, over all time before the window's end:
    decision_type, model_name, model_version, device_id, recommendation, decisions, first_at, chosen (of the
    window).
    `rejects`: reason, rejected, devices, newest_received_at. `strange_models`, whose artifact is
    not registered: model, model_digest, decisions, devices, other_digest. `chains` are as of now.
    """

    totals: Totals
    devices: pl.DataFrame
    gates: pl.DataFrame
    limits: pl.DataFrame
    people: pl.DataFrame
    versions: pl.DataFrame
    rejects: pl.DataFrame
    conflicts: int
    strange_models: pl.DataFrame
    chains: Chains = field(default_factory=Chains)


def fleet(con: duckdb.DuckDBPyConnection, window: Window) -> Fleet:
    """The fleet over a window. Rejects and conflicts have no decision time and go by receipt."""
    chosen = window.parameters()
    rolled, since, gates = rollup(con), frame(con, _SINCE, chosen), frame(con, _GATES, chosen)
    back = _look_back(window) if sum(gates["by_people"]) else window.start
    return Fleet(
        totals=Totals(**one(con, _TOTALS, chosen)),
        devices=_devices(rolled, since),
        gates=gates.drop("by_people"),
        limits=frame(con, _LIMITS, chosen),
        people=frame(con, _PEOPLE, {**chosen, "back": back}),
        versions=_versions(rolled, since),
        rejects=frame(con, _REJECTS, chosen),
        conflicts=one(con, _CONFLICTS, chosen)["conflicts"],
        strange_models=frame(con, _STRANGE_MODELS, chosen),
        chains=chains(con),
    )


def _devices(rolled: pl.DataFrame, since: pl.DataFrame) -> pl.DataFrame:
    """Each device ever seen, and what it decided in the window."""
    counts = since.group_by("device_id").agg(
        pl.col("chosen").sum().alias("decisions"), pl.col("blocked").sum()
    )
    return (
        pulses(rolled)
        .join(counts, on="device_id", how="left")
        .with_columns(pl.col("decisions", "blocked").fill_null(0))
        .sort("last_decided_at", "device_id", descending=[True, False])
    )


def _versions(rolled: pl.DataFrame, since: pl.DataFrame) -> pl.DataFrame:
    """What each version recommended to each device, over all time less what came after the window."""
    key = ("decision_type", "model_name", "model_version", "device_id", "recommendation")
    ever = (
        rolled.drop_nulls("recommendation")
        .group_by(key, maintain_order=True)
        .agg(pl.col("decisions").sum(), pl.col("first_at").min())
    )
    return (
        ever.join(since.drop("blocked"), on=key, how="left", maintain_order="left")
        .with_columns(pl.col("chosen", "after").fill_null(0))
        .with_columns(pl.col("decisions") - pl.col("after"))
        .drop("after")
        .filter(pl.col("decisions") > 0)
    )


def _look_back(window: Window) -> datetime | None:
    return window.start and window.start - PEOPLE_LOOK_BACK
