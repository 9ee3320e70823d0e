"""What turned out to be true of proposals, and whether they were carried out.

Owns the rule of what an outcome means. Its `value`, 0 to 1, is the truth of what the model predicts:
0.5 or more says that to act was needed, less that it was not. To act is to be at or over the
threshold. A proposal was right where both agree, whatever became of it; one that was not right does
harm if it is carried out. Of several outcomes a validated one counts before the others, then the one
observed last. An outcome without such a value settles nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb

from observability.store.lake import has_table, now
from observability.store.read import Window, one

FEWEST_LABELS = 20
"""Labelled decisions from which their latencies tell when a decision is mature."""
MATURE_SHARE = 0.95
"""Of the decisions that are ever labelled, those that are by the maturity age."""

_TRUTH = """
truth AS (
    SELECT device_id, decision_id, value >= 0.5 AS needed
    FROM outcomes
    WHERE value BETWEEN 0 AND 1
    QUALIFY row_number() OVER (
        PARTITION BY device_id, decision_id
        ORDER BY validated_by IS NULL, observed_at DESC, trace_id DESC, span_id DESC
    ) = 1
)"""

_ANSWERS = """
answers AS (
    SELECT device_id, decision_id, gate AS answered_gate, verdict AS answer, reviewer,
        action AS final_action, reviewed_at
    FROM reviews
    QUALIFY row_number() OVER (
        PARTITION BY device_id, decision_id, gate ORDER BY reviewed_at DESC, trace_id DESC, span_id DESC
    ) = 1
), final AS (
    SELECT device_id, decision_id, bool_and(answer IN ('pass', 'modify')) AS approved,
        arg_max(final_action, reviewed_at) AS final_action
    FROM answers
    GROUP BY device_id, decision_id
)"""

_NO_ANSWERS = """
answers AS (
    SELECT '' AS device_id, '' AS decision_id, '' AS answered_gate, '' AS answer, '' AS reviewer,
        '' AS final_action, true AS approved, NULL::TIMESTAMPTZ AS reviewed_at
    WHERE false
), final AS (FROM answers)"""

_PROPOSALS = """
proposals AS (
    SELECT d.*, d.model_name || ' ' || d.model_version AS version, d.context['site'] AS site,
        CASE WHEN isfinite(d.score) AND isfinite(d.threshold) THEN d.score >= d.threshold END AS acts,
        coalesce(
            final.final_action = d.recommendation,
            final.approved,
            d.disposition IN ('executed', 'modified')
        ) AS actuated,
        truth.needed, truth.needed = acts AS "right"
    FROM decisions AS d
        LEFT JOIN truth USING (device_id, decision_id)
        LEFT JOIN final USING (device_id, decision_id)
    WHERE d.recommendation IS NOT NULL AND ($type IS NULL OR d.decision_type = $type)
        AND ($start IS NULL OR d.decided_at >= $start) AND ($end IS NULL OR d.decided_at < $end)
)
"""

_LATENCIES = """
WITH labelled AS (
    SELECT d.decided_at, min(greatest(0, epoch(
        CASE o.origin WHEN 'import' THEN o.observed_at ELSE o.received_at END
    ) - epoch(d.decided_at))) AS latency_s
    FROM decisions AS d JOIN outcomes AS o USING (device_id, decision_id)
    WHERE d.decision_type = $type AND o.value BETWEEN 0 AND 1
    GROUP BY d.device_id, d.decision_id, d.decided_at
), older AS (
    FROM labelled QUALIFY decided_at <= median(decided_at) OVER ()
)
SELECT (SELECT count(*) FROM labelled) AS labels, quantile_disc(latency_s, $share) AS age_s,
    (SELECT count(*) FROM decisions AS d JOIN outcomes AS o USING (device_id, decision_id)
        WHERE d.decision_type = $type AND (o.value BETWEEN 0 AND 1) IS NOT TRUE) AS unusable
FROM older
"""


@dataclass(frozen=True, slots=True)
class Maturity:
    """How old a decision of a type must be for its missing label to mean that none comes.

    `labels` decisions have a label that settles something; `unusable` outcomes have no value from 0
    to 1. `age` is None where there are too few; `before` (UTC) is the present less that age.
    """

    labels: int
    unusable: int
    age: timedelta | None
    before: datetime | None

    @property
    def reason(self) -> str:
        """Why there is no age; empty where there is one."""
        if self.age is not None:
            return ""
        others = f"; {self.unusable:,} outcomes have no value from 0 to 1" if self.unusable else ""
        noun = "decision is" if self.labels == 1 else "decisions are"
        return f"{self.labels:,} {noun} labelled, at least {FEWEST_LABELS} are needed{others}"


def proposals(con: duckdb.DuckDBPyConnection) -> str:
    """A query's beginning: the tables `proposals` and `answers` of $type, from $start to $end.

    `proposals` are the decisions that a model recommended, with `version`, `site` (NULL = none), `acts`
    (NULL = no score), `actuated` (at once or after a review), `needed` and `right` (NULL = not known);
    `answers` the last review of each gate.
    """
    answers = _ANSWERS if has_table(con, "reviews") else _NO_ANSWERS
    return f"WITH {_TRUTH}, {answers}, {_PROPOSALS}"


def asked(decision_type: str | None, window: Window) -> dict[str, object]:
    """The parameters that `proposals` expects; no type asks for all."""
    return {"type": decision_type, **window.parameters()}


def maturity(con: duckdb.DuckDBPyConnection, decision_type: str) -> Maturity:
    """When decisions of a type are mature, over all time.

    From when labels arrived, or where they were imported were observed. The older half of the labelled
    decisions tells: of the young ones only the quick labels are known yet.
    """
    found = one(con, _LATENCIES, {"type": decision_type, "share": MATURE_SHARE})
    if found["labels"] < FEWEST_LABELS:
        return Maturity(found["labels"], found["unusable"], None, None)
    age = timedelta(seconds=found["age_s"])
    return Maturity(found["labels"], found["unusable"], age, now(con) - age)
