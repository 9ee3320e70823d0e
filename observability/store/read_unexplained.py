"""Which decisions wait to be explained: a batch at a time, in the order in which they were committed.

What is explained already, against the same reference, is never given out again.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import duckdb
import polars as pl

from observability.store.read import frame, one
from observability.store.watermarks import Subject

REVIEWED_WITHIN_DAYS = 7
"""A review that comes later after the decision's receipt is no reason to explain it unasked."""

_OF = "model_name = $model_name AND model_version = $model_version AND model_digest = $model_digest"

_NEWEST = """
SELECT model_name, model_version, model_digest, max(rowid) AS newest
FROM decisions
WHERE rowid > $after
GROUP BY ALL
"""
_NEWEST_REVIEW = "SELECT coalesce(max(rowid), -1) AS newest FROM reviews"
_REVIEWED_SINCE = """
SELECT min(received_at) - to_days($days) AS since FROM reviews WHERE rowid > $after
"""
_LAYOUTS = "SELECT layout_id, names, categorical_names FROM layouts"
_UPTO = f"""
SELECT max(position) AS upto
FROM (SELECT rowid AS position FROM decisions WHERE rowid > $after AND {_OF} ORDER BY rowid LIMIT $rows)
"""
_COLUMNS = """
SELECT device_id, decision_id, decision_type, decided_at, score, threshold, disposition, layout_id,
    inputs, categoricals, rest, decision_id IN (SELECT decision_id FROM reviews) AS reviewed
FROM decisions
"""
_BATCH = f"{_COLUMNS} WHERE rowid > $after AND rowid <= $upto AND {_OF}"
_REVIEWED = f"""{_COLUMNS}
WHERE rowid <= $upto AND {_OF} AND received_at >= $since AND (device_id, decision_id) IN (
    SELECT (device_id, decision_id) FROM reviews WHERE rowid > $after)
"""
_WAITING = """
FROM batch ANTI JOIN (
    SELECT device_id, decision_id
    FROM attributions
    WHERE decided_at BETWEEN $first AND $last AND spec_id IN (
        SELECT spec_id FROM specs WHERE model_digest = $model_digest AND reference_id = $reference_id)
) USING (device_id, decision_id)
ORDER BY decided_at, device_id, decision_id
"""


def newest(con: duckdb.DuckDBPyConnection, after: int) -> dict[tuple[str, str, str], int]:
    """The last row of each name, version and digest that decided in a row after this one."""
    rows = con.execute(_NEWEST, {"after": after}).fetchall()
    return {row[:3]: row[3] for row in rows}


def newest_review(con: duckdb.DuckDBPyConnection) -> int:
    """The last row of `reviews`; -1 where there is none."""
    return one(con, _NEWEST_REVIEW)["newest"]


def layouts(con: duckdb.DuckDBPyConnection) -> dict[str, tuple[list[str], list[str]]]:
    """The names of inputs and of categoricals, by layout_id."""
    return {row[0]: row[1:] for row in con.execute(_LAYOUTS).fetchall()}


def unexplained(
    con: duckdb.DuckDBPyConnection, subject: Subject, after: int, rows: int
) -> tuple[pl.DataFrame, int | None]:
    """The next decisions of a subject after this row that are not explained, and the row looked at last.

    So many rows are looked at; None where there is none. Columns: device_id, decision_id, decision_type,
    decided_at, score, threshold, disposition, layout_id, inputs, categoricals, rest, reviewed.
    """
    asked = {"after": after, **_model(subject)}
    upto = one(con, _UPTO, {**asked, "rows": rows})["upto"]
    return _waiting(con, subject, frame(con, _BATCH, {**asked, "upto": upto})), upto


def reviewed(
    con: duckdb.DuckDBPyConnection, subject: Subject, upto: int, after: int
) -> pl.DataFrame:
    """The decisions up to a row that a review after another row is about, and that are not explained.

    Columns as of `unexplained`.
    """
    asked = {"after": after, "days": REVIEWED_WITHIN_DAYS}
    since = one(con, _REVIEWED_SINCE, asked)["since"]
    found = frame(con, _REVIEWED, {"upto": upto, "after": after, "since": since, **_model(subject)})
    return _waiting(con, subject, found)


def _waiting(con: duckdb.DuckDBPyConnection, subject: Subject, batch: pl.DataFrame) -> pl.DataFrame:
    if batch.is_empty():
        return batch
    between = {"first": batch["decided_at"].min(), "last": batch["decided_at"].max()}
    of = {"model_digest": subject.model_digest, "reference_id": subject.reference_id}
    return con.execute(_WAITING, {**between, **of}).pl()  # DuckDB reads `batch` by its name


def _model(subject: Subject) -> dict[str, Any]:
    return {name: value for name, value in asdict(subject).items() if name != "reference_id"}
