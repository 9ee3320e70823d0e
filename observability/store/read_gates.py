"""What gates and people said to proposals, and what is known of these: counts, and rows to replay."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import duckdb
import polars as pl

from observability.store.read import Window, frame
from observability.store.read_truth import asked, proposals

MOST_REPLAYED = 200_000
"""Proposals that a backtest replays: the newest."""

MOST_MEASURED = 10_000
"""Proposals that tell between what an input lies: the newest."""

_SAID = """
, said AS (
    SELECT decision_type, gate.name AS gate, gate.kind AS kind, actuated, "right",
        CASE WHEN gate.kind = 'human' THEN coalesce(answer, gate.verdict) ELSE gate.verdict END AS verdict,
        CASE WHEN gate.kind = 'human' THEN coalesce(
            reviewer, context['operator'], context['enduser.pseudo.id'], context['enduser.id'], 'not recorded'
        ) END AS person,
        CASE WHEN answer IS NOT NULL THEN epoch(reviewed_at) - epoch(decided_at)
            WHEN gate.kind = 'human' AND gate.verdict <> 'defer'
            THEN (end_unix_nano - start_unix_nano) / 1e9 END AS answer_s
    FROM (SELECT *, unnest(gates) AS gate FROM proposals) AS p
        LEFT JOIN answers AS a ON a.device_id = p.device_id AND a.decision_id = p.decision_id
            AND a.answered_gate = p.gate.name
)
SELECT decision_type, gate, kind, person, count(*) AS judged,
    count(*) FILTER (verdict IN ('pass', 'modify')) AS passed,
    count(*) FILTER (verdict = 'modify') AS modified,
    count(*) FILTER (verdict = 'block') AS blocked,
    count(*) FILTER (verdict = 'defer') AS deferred,
    count(*) FILTER (verdict = 'block' AND actuated) AS overridden,
    count(*) FILTER (verdict = 'block' AND NOT actuated AND NOT "right") AS saves,
    count(*) FILTER (verdict = 'block' AND NOT actuated AND "right") AS false_blocks,
    count(*) FILTER (verdict IN ('pass', 'modify') AND actuated AND "right") AS right_passes,
    count(*) FILTER (verdict IN ('pass', 'modify') AND actuated AND NOT "right") AS harmful_passes,
    count(*) FILTER (verdict IN ('pass', 'modify') AND actuated AND "right" IS NULL) AS unknown_passes,
    count(answer_s) AS answered, median(answer_s) AS answer_s
FROM said
GROUP BY GROUPING SETS ((decision_type, gate, kind), (decision_type, gate, kind, person))
HAVING grouping(person) = 1 OR kind = 'human'
ORDER BY decision_type, gate, kind, person NULLS FIRST
"""

_FUNNEL = """
SELECT decision_type, count(*) AS recommended,
    count(*) FILTER (len(list_filter(gates, lambda g:
        g.kind = 'rule' AND g.verdict IN ('block', 'defer'))) = 0) AS passed_rules,
    count(*) FILTER (actuated) AS actuated,
    count(*) FILTER (actuated AND needed IS NOT NULL) AS labelled
FROM proposals
WHERE len(gates) > 0
GROUP BY decision_type
ORDER BY decision_type
"""

_REPLAYABLE = """
, guarded AS (SELECT DISTINCT recommendation FROM proposals WHERE len(gates) > 0)
SELECT decision_id, device_id, decided_at, recommendation, disposition, actuated, "right",
    list_transform(gates, lambda g: {'name': g.name, 'kind': g.kind, 'verdict': g.verdict}) AS gates,
    list_filter(gates, lambda g: g.name = $gate)[1] AS own,
    coalesce(
        inputs[list_position(names, $input)],
        CASE context[$input] WHEN 'true' THEN 1.0 WHEN 'false' THEN 0.0
            ELSE TRY_CAST(context[$input] AS DOUBLE) END
    ) AS observed
FROM proposals LEFT JOIN (SELECT DISTINCT layout_id, names FROM layouts) USING (layout_id)
WHERE recommendation IN (FROM guarded) OR (acts AND NOT EXISTS (FROM guarded))
ORDER BY decided_at DESC, decision_id
LIMIT $most
"""

_MEASURED = """
, guarded AS (SELECT DISTINCT recommendation FROM proposals WHERE len(gates) > 0
), newest AS (
    SELECT layout_id, inputs, context FROM proposals WHERE recommendation IN (FROM guarded)
    ORDER BY decided_at DESC, decision_id LIMIT $most
), measured AS (
    SELECT unnest(names) AS name, unnest(inputs) AS value
    FROM newest JOIN (SELECT DISTINCT layout_id, names FROM layouts) USING (layout_id)
    UNION ALL
    SELECT entry.key, TRY_CAST(entry.value AS DOUBLE)
    FROM (SELECT unnest(map_entries(context)) AS entry FROM newest)
)
SELECT name, min(value) AS low, max(value) AS high, count(*) AS values
FROM measured
WHERE isfinite(value)
GROUP BY name
HAVING low < high
ORDER BY name
"""

_RULES = """
SELECT decision_type, gate.name AS gate, arg_max(gate."input", decided_at) AS "input",
    arg_max(gate.operator, decided_at) AS operator, count(DISTINCT gate.operator) AS operators,
    arg_max(gate."limit", decided_at) AS "limit",
    min(gate.observed) FILTER (isfinite(gate.observed)) AS low,
    max(gate.observed) FILTER (isfinite(gate.observed)) AS high, count(*) AS judged
FROM (SELECT decision_type, decided_at, unnest(gates) AS gate FROM proposals)
WHERE gate.kind = 'rule' AND gate.operator <> ''
GROUP BY decision_type, gate.name
ORDER BY decision_type, judged DESC, gate
"""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule gate as it was last recorded, and between what it observed; NaN where nothing finite.

    `limit` is in the unit of `input`. `adjustable` tells whether another limit can be replayed.
    """

    decision_type: str
    gate: str
    input: str
    operator: str
    limit: float
    low: float
    high: float
    judged: int
    adjustable: bool


@dataclass(frozen=True, slots=True)
class Measured:
    """A numeric input or context value of recent proposals, and between what it lay, in its unit."""

    name: str
    low: float
    high: float
    values: int


def counts(
    con: duckdb.DuckDBPyConnection, window: Window, decision_type: str | None = None
) -> pl.DataFrame:
    """One row for each gate (person NULL) and one for each person at each human gate.

    A person who answered in a review stands for the gate that deferred. `blocked` is `overridden`
    (carried out after a review), `saves`, `false_blocks` or not known; `passed` is right, harmful or
    not known where carried out, else something else stopped it. `answer_s` is a median, in seconds.
    """
    return frame(con, proposals(con) + _SAID, asked(decision_type, window))


def funnel(
    con: duckdb.DuckDBPyConnection, window: Window, decision_type: str | None = None
) -> pl.DataFrame:
    """By type, the proposals that gates judged: recommended, passed_rules, actuated, labelled."""
    return frame(con, proposals(con) + _FUNNEL, asked(decision_type, window))


def rules(con: duckdb.DuckDBPyConnection, window: Window) -> tuple[Rule, ...]:
    """The rule gates of every decision type whose rule left the device, those that judged most first."""
    rows = frame(con, proposals(con) + _RULES, asked(None, window)).iter_rows(named=True)
    return tuple(_rule(**row) for row in rows)


def measured(
    con: duckdb.DuckDBPyConnection, decision_type: str, window: Window
) -> tuple[Measured, ...]:
    """What a rule could look at: what varied over the newest proposals of the actions that gates guard."""
    asked_of = {**asked(decision_type, window), "most": MOST_MEASURED}
    rows = frame(con, proposals(con) + _MEASURED, asked_of).iter_rows(named=True)
    return tuple(Measured(**row) for row in rows)


def replayable(
    con: duckdb.DuckDBPyConnection, decision_type: str, window: Window, gate: str, input_: str
) -> pl.DataFrame:
    """The newest proposals of the actions that gates guard, or of a type without gates, all to act.

    `gates` are name, kind and verdict of each; `own` is all of `gate`, NULL where it was not asked;
    `observed` is the input or context value `input_`, NULL where there is none.
    """
    parameters = {**asked(decision_type, window), "gate": gate, "input": input_}
    return frame(con, proposals(con) + _REPLAYABLE, {**parameters, "most": MOST_REPLAYED})


def _rule(*, operators: int, low: float | None, high: float | None, **recorded: Any) -> Rule:
    return Rule(
        low=math.nan if low is None else low,
        high=math.nan if high is None else high,
        adjustable=operators == 1 and " in [" not in recorded["input"],
        **recorded,
    )
