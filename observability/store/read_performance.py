"""How proposals compare with what turned out to be true: counts by version, site, gate, time and score."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import duckdb
import polars as pl
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from observability.store.read import Window, frame, one
from observability.store.read_truth import asked, proposals
from traces.codec import PASS_PROBABILITY
from traces.otlp import attributes_of

_BINS = 10
"""Of the score, of equal width."""
MOST_WEIGHED = 200_000
"""Acts whose pass probability is read; of more, none is."""

_CASES = f"""
, cases AS (
    SELECT version, coalesce(site, 'not recorded') AS site, gates, acts, actuated, needed,
        coalesce(decided_at <= $before, false) AS mature,
        CASE WHEN score BETWEEN 0 AND 1 THEN score END AS score,
        time_bucket(to_seconds($width_s), decided_at) AS start
    FROM proposals
    WHERE acts IS NOT NULL
), measured AS (
    SELECT *, mature AND actuated AND needed IS NOT NULL AS labelled,
        (score - needed::INT) ** 2 AS squared_error,
        least(floor(score * {_BINS}), {_BINS} - 1)::INT AS bin
    FROM cases
)
"""

_COUNTS = """
    count(*) AS proposals, count(*) FILTER (NOT mature) AS young,
    count(*) FILTER (mature AND acts) AS acts,
    count(*) FILTER (mature AND acts AND actuated) AS acts_actuated,
    count(*) FILTER (labelled AND acts AND needed) AS needed_acts,
    count(*) FILTER (labelled AND acts AND NOT needed) AS needless_acts,
    count(*) FILTER (mature AND acts AND needed) AS acts_known_needed,
    count(*) FILTER (mature AND acts AND NOT needed) AS acts_known_needless,
    count(*) FILTER (mature AND NOT acts) AS rests,
    count(*) FILTER (labelled AND NOT acts AND needed) AS missed,
    count(*) FILTER (labelled AND NOT acts AND NOT needed) AS right_rests,
    count(*) FILTER (mature AND NOT acts AND needed) AS rests_known_needed,
    count(*) FILTER (mature AND NOT acts AND NOT needed) AS rests_known_needless,
    count(*) FILTER (labelled AND score IS NOT NULL) AS scored,
    coalesce(sum(score) FILTER (labelled), 0) AS score_sum,
    count(*) FILTER (labelled AND score IS NOT NULL AND needed) AS scored_needed,
    coalesce(sum(squared_error) FILTER (labelled), 0) AS squared_error_sum,
    coalesce(sum(squared_error ** 2) FILTER (labelled), 0) AS fourth_power_sum,
    count(*) FILTER (mature AND score IS NOT NULL) AS mature_scored,
    coalesce(sum(coalesce(squared_error, least(score ** 2, (1 - score) ** 2)))
        FILTER (mature AND score IS NOT NULL), 0) AS least_squared_error_sum,
    coalesce(sum(coalesce(squared_error, greatest(score ** 2, (1 - score) ** 2)))
        FILTER (mature AND score IS NOT NULL), 0) AS most_squared_error_sum,
    count(*) FILTER (acts AND score IS NOT NULL) AS any_acts,
    coalesce(sum(score) FILTER (acts), 0) AS any_acts_score_sum,
    coalesce(sum(score), 0) AS any_score_sum
"""

_GROUPED = f"""
SELECT CASE WHEN grouping(version) = 0 THEN 'version' WHEN grouping(site) = 0 THEN 'site'
        WHEN grouping(start) = 0 THEN 'start' WHEN grouping(bin) = 0 THEN 'bin' ELSE 'all' END AS kind,
    coalesce(version, site, '') AS name, start, bin, {_COUNTS}
FROM measured
GROUP BY GROUPING SETS ((), (version), (site), (start), (bin))
UNION ALL
SELECT 'gate', gate, NULL, NULL, {_COUNTS}
FROM (SELECT *, unnest(list_distinct(list_transform(gates, lambda g: g.name))) AS gate FROM measured)
GROUP BY gate
ORDER BY kind, name, start, bin
"""

_RECORDED = """
, acts AS (
    SELECT actuated, needed, rest, contains(CAST(rest AS VARCHAR), $attribute) AS recorded
    FROM proposals
    WHERE acts AND decided_at <= $before
)
"""
_HOW_MANY = "SELECT count(*) AS acts, count(*) FILTER (recorded) AS recorded FROM acts"
_WEIGHED = "SELECT actuated, needed, rest FROM acts WHERE recorded"


def counts(
    con: duckdb.DuckDBPyConnection,
    decision_type: str,
    window: Window,
    before: datetime | None,
    width: timedelta,
) -> pl.DataFrame:
    """Proposals with a score and a threshold, counted by `kind`: all, version, site, gate, start and bin.

    What is counted was decided by `before` (None: nothing was), but for `proposals`, `young` (later)
    and what begins with `any`. `needed_acts`, `needless_acts`, `missed` and `right_rests` are of what
    was carried out; what is `known` also of what was stopped. Sums are of scores from 0 to 1, in ten
    bins of equal width. A decision counts for each gate that judged it.
    """
    parameters = {"before": before, "width_s": width.total_seconds()}
    query = proposals(con) + _CASES + _GROUPED
    return frame(con, query, {**asked(decision_type, window), **parameters})


def recorded_probabilities(
    con: duckdb.DuckDBPyConnection, decision_type: str, window: Window, before: datetime | None
) -> tuple[int, pl.DataFrame]:
    """How many proposals to act were decided by `before`, and those that recorded a pass probability.

    Those have actuated, needed (NULL = not known) and pass_probability. None are read of too many.
    """
    parameters: Mapping[str, Any] = {
        **asked(decision_type, window), "before": before, "attribute": PASS_PROBABILITY,
    }  # fmt: skip
    query = proposals(con) + _RECORDED
    found = one(con, query + _HOW_MANY, parameters)
    schema = {"actuated": pl.Boolean, "needed": pl.Boolean, "pass_probability": pl.Float64}
    if not 0 < found["recorded"] <= MOST_WEIGHED:
        return found["acts"], pl.DataFrame(schema=schema)
    rows = frame(con, query + _WEIGHED, parameters)
    sent = [attributes_of(Span.FromString(rest).attributes) for rest in rows["rest"]]
    probabilities = pl.Series(
        [attributes.get(PASS_PROBABILITY) for attributes in sent], dtype=pl.Float64, strict=False
    )
    return found["acts"], rows.drop("rest").with_columns(pass_probability=probabilities)
