"""The spans of selected decisions, in one fixed order: what an export writes.

With a decision go its outcomes, its reviews and the other spans of its trace. The order depends on
nothing but the spans themselves, so equal stores give equal files.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from observability.store import lake
from observability.store.records import stored_span

_FETCH_ROWS = 1000
_CHOSEN = "SELECT device_id, decision_id, split_part(decision_id, '-', 1) AS trace_id FROM decisions WHERE "
_SOURCES = {
    "decisions": (
        "decision_id",
        "decisions LEFT JOIN (SELECT layout_id, names, categorical_names FROM layouts) USING (layout_id)"
        " SEMI JOIN chosen USING (device_id, decision_id)",
    ),
    "outcomes": (
        "trace_id || '-' || span_id",
        "outcomes SEMI JOIN chosen USING (device_id, decision_id)",
    ),
    "reviews": (
        "trace_id || '-' || span_id",
        "reviews SEMI JOIN chosen USING (device_id, decision_id)",
    ),
    "spans": ("trace_id || '-' || span_id", "spans SEMI JOIN chosen USING (trace_id)"),
}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which decisions: each field narrows, None does not. Times UTC, `until` exclusive."""

    decision_type: str | None = None
    device_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    decision_ids: tuple[str, ...] | None = None

    def condition(self) -> tuple[str, list[Any]]:
        """An SQL condition on `decisions` and its parameters."""
        ids = None if self.decision_ids is None else list(self.decision_ids)
        parts: list[tuple[str, Any]] = [
            ("decision_type = ?", self.decision_type),
            ("device_id = ?", self.device_id),
            ("decided_at >= ?", self.since),
            ("decided_at < ?", self.until),
            ("list_contains(?, decision_id)", ids),
        ]
        given = [(sql, value) for sql, value in parts if value is not None]
        return " AND ".join(sql for sql, _ in given) or "true", [value for _, value in given]


def count_spans(con: duckdb.DuckDBPyConnection, selection: Selection) -> dict[str, int]:
    """How many rows of decisions, outcomes, reviews and spans the selection has, by table."""
    where, parameters = selection.condition()
    return {
        kind: _count(
            con, f"WITH chosen AS ({_CHOSEN}{where}) SELECT count(*) FROM {source}", parameters
        )
        for kind, (_, source) in _sources(con).items()
    }


def select_spans(
    con: duckdb.DuckDBPyConnection, selection: Selection
) -> Iterator[tuple[ResourceSpans, Span]]:
    """The selection's spans with their envelopes, ordered by start time and ids."""
    envelopes: dict[str, ResourceSpans] = {}
    merged = heapq.merge(
        *(_rows(lake.cursor(con), kind, selection) for kind in _sources(con)),
        key=lambda row: row["place"],
    )
    for row in merged:
        envelope = envelopes.get(row["resource_id"])
        if envelope is None:
            envelope = envelopes[row["resource_id"]] = _envelope(con, row["resource_id"])
        yield envelope, stored_span(row["kind"], row)


def _sources(con: duckdb.DuckDBPyConnection) -> dict[str, tuple[str, str]]:
    """What to read; a store that an earlier version wrote last has no reviews."""
    return {k: v for k, v in _SOURCES.items() if k != "reviews" or lake.has_table(con, k)}


def _rows(
    con: duckdb.DuckDBPyConnection, kind: str, selection: Selection
) -> Iterator[dict[str, Any]]:
    key, source = _SOURCES[kind]
    where, parameters = selection.condition()
    cursor = con.execute(
        f"WITH chosen AS ({_CHOSEN}{where}) SELECT *, '{kind}' AS kind, "
        f"(start_unix_nano, {key}, device_id) AS place FROM {source} ORDER BY place",
        parameters,
    )
    names = [column[0] for column in cursor.description or ()]
    while rows := cursor.fetchmany(_FETCH_ROWS):
        for row in rows:
            yield dict(zip(names, row, strict=True))


def _envelope(con: duckdb.DuckDBPyConnection, resource_id: str) -> ResourceSpans:
    row = con.execute(
        "SELECT envelope FROM resources WHERE resource_id = ?", [resource_id]
    ).fetchone()
    return ResourceSpans.FromString(row[0]) if row else ResourceSpans()


def _count(con: duckdb.DuckDBPyConnection, query: str, parameters: list[Any]) -> int:
    row = con.execute(query, parameters).fetchone()
    return row[0] if row else 0
