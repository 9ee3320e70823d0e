"""How far explaining has come: what is explained, what waits, and what cannot be explained and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb
import polars as pl

from observability.store.lake import schema_version
from observability.store.read import frame, one
from observability.store.read_rollups import rollup

_SINCE_VERSION = 4

_MODELS = """
WITH referenced AS (
    SELECT name, version, digest, arg_max(reference_id, received_at) AS reference_id
    FROM model_references
    GROUP BY ALL
), known AS (
    SELECT m.name AS model_name, m.version AS model_version, m.digest AS model_digest,
        r.reference_id, coalesce(w.decisions, -1) AS upto, w.received_at AS looked_at
    FROM models AS m
        LEFT JOIN referenced AS r USING (name, version, digest)
        LEFT JOIN explain_watermarks AS w ON w.model_name = m.name AND w.model_version = m.version
            AND w.model_digest = m.digest AND w.reference_id = r.reference_id
), decided AS (
    SELECT unnest($names::VARCHAR[]) AS model_name, unnest($versions::VARCHAR[]) AS model_version,
        unnest($digests::VARCHAR[]) AS model_digest, unnest($counts::BIGINT[]) AS decisions
), after AS (
    SELECT k.model_name, k.model_version, k.model_digest, count(*) AS beyond,
        min(d.received_at) AS beyond_since
    FROM decisions AS d JOIN known AS k USING (model_name, model_version, model_digest)
    WHERE d.rowid > $least AND d.rowid > upto
    GROUP BY ALL
), attributed AS (
    SELECT model_digest, reference_id, CAST(sum(decisions) AS BIGINT) AS attributed,
        coalesce(CAST(sum(decisions) FILTER (status = 'ok') AS BIGINT), 0) AS explained,
        max(newest_at) AS newest_decided_at
    FROM (
        SELECT spec_id, status, count(*) AS decisions, max(decided_at) AS newest_at
        FROM attributions
        GROUP BY ALL
    ) JOIN specs USING (spec_id)
    GROUP BY ALL
), counted AS (
    SELECT coalesce(d.model_name, k.model_name) AS model_name,
        coalesce(d.model_version, k.model_version) AS model_version,
        coalesce(d.model_digest, k.model_digest) AS model_digest,
        k.model_name IS NOT NULL AS registered, k.reference_id, looked_at,
        coalesce(d.decisions, 0) AS decisions, coalesce(attributed, 0) AS attributed,
        coalesce(explained, 0) AS explained, newest_decided_at, beyond_since,
        least(coalesce(beyond, 0), greatest(0, coalesce(d.decisions, 0) - coalesce(attributed, 0)))
            AS beyond
    FROM decided AS d
        FULL JOIN known AS k USING (model_name, model_version, model_digest)
        LEFT JOIN after USING (model_name, model_version, model_digest)
        LEFT JOIN attributed AS a ON a.model_digest = k.model_digest AND a.reference_id = k.reference_id
)
SELECT model_name || ' ' || model_version AS model, model_digest AS digest, decisions, explained,
    attributed - explained AS unexplainable,
    CASE WHEN reference_id IS NULL THEN 0 ELSE beyond END AS waiting,
    CASE WHEN reference_id IS NOT NULL AND beyond > 0 THEN beyond_since END AS waiting_since,
    CASE WHEN reference_id IS NULL THEN 0
        ELSE greatest(0, decisions - attributed - beyond) END AS on_demand,
    newest_decided_at, looked_at,
    CASE WHEN reference_id IS NOT NULL THEN NULL
        WHEN registered THEN 'no reference is registered'
        WHEN (model_name, model_version) IN (SELECT (name, version) FROM models)
            THEN 'another digest is registered'
        ELSE 'not registered here' END AS lacks
FROM counted
ORDER BY decisions DESC, model, digest
"""
"""A row may have been moved since it was looked at; but what has attributions does not wait."""

_LEAST = """
SELECT min(coalesce(w.decisions, -1)) AS least
FROM model_references AS r LEFT JOIN explain_watermarks AS w
    ON w.model_name = r.name AND w.model_version = r.version AND w.model_digest = r.digest
        AND w.reference_id = r.reference_id
"""
"""What every worker looked at; NULL: no reference is registered, so nothing waits."""

_REASONS = """
SELECT model, status AS reason, CAST(sum(decisions) AS BIGINT) AS decisions
FROM (
    SELECT spec_id, status, count(*) AS decisions FROM attributions WHERE status <> 'ok' GROUP BY ALL
) JOIN specs USING (spec_id) JOIN (
    SELECT DISTINCT name || ' ' || version AS model, digest AS model_digest FROM models
) USING (model_digest)
GROUP BY ALL
ORDER BY decisions DESC, model, reason
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """How many decisions of which model are explained; times UTC.

    `models`: model, digest, decisions, explained, unexplainable, waiting, waiting_since (received), on_demand
    (of a black box, not selected), newest_decided_at (of the explained), looked_at, lacks (why nothing
    of it can be explained; NULL: it can).
    `reasons`: model, reason, decisions; why single decisions could not be explained.
    """

    models: pl.DataFrame
    reasons: pl.DataFrame

    def total(self, column: str) -> int:
        """Over the models of which decisions can be explained."""
        return int(self.models.filter(pl.col("lacks").is_null())[column].sum())

    @property
    def waiting_since(self) -> datetime | None:
        """When the oldest that waits was received; None where nothing waits."""
        return self._of(self.models["waiting_since"].min())

    @property
    def newest_decided_at(self) -> datetime | None:
        """When the newest decision that is explained was made."""
        return self._of(self.models["newest_decided_at"].max())

    @property
    def looked_at(self) -> datetime | None:
        """When the worker last came further."""
        return self._of(self.models["looked_at"].max())

    @staticmethod
    def _of(value: object) -> datetime | None:
        return value if isinstance(value, datetime) else None


def progress(con: duckdb.DuckDBPyConnection) -> Progress | None:
    """How far explaining has come; None in a store of an earlier version, not yet written again."""
    if schema_version(con) < _SINCE_VERSION:
        return None
    rolled = rollup(con).group_by("model_name", "model_version", "model_digest")
    names, versions, digests, counts = rolled.agg(pl.col("decisions").sum()).get_columns()
    decided = {"names": names, "versions": versions, "digests": digests, "counts": counts}
    asked = {name: column.to_list() for name, column in decided.items()}
    return Progress(frame(con, _MODELS, {**asked, **one(con, _LEAST)}), frame(con, _REASONS))
