"""The rows of what was not stored as it claims to be: rejects, and conflicts with what is stored.

Nothing that was sent vanishes without a row that says so.
"""

from __future__ import annotations

from collections.abc import Iterable

import duckdb
import pyarrow as pa

from observability.store.records import Row, sha256_id, span_key, stored_span
from observability.store.schema import arrow_table

Conflict = tuple[str, Row]
"""A table, and a row whose key it holds with other content."""
_MAX_RAW_BYTES = 65536


def reject_row(device: str, reason: str, raw: bytes) -> Row:
    """The row of `rejects` for a span that was refused; at most 64 KiB of it are kept."""
    return {
        "reject_id": sha256_id(reason.encode() + b"\0" + raw),
        "device_id": device,
        "reason": reason,
        "raw": raw[:_MAX_RAW_BYTES],
    }


def conflict_row(kind: str, row: Row) -> Row:
    """The row of `conflicts` for a row of table `kind` whose key is stored with other content.

    A row of `decisions` needs the names of its layout, as for `stored_span`.
    """
    span = stored_span(kind, row)
    return {
        "device_id": row["device_id"],
        "span_key": span_key(span),
        "kind": kind,
        "digest": row["digest"],
        "raw": span.SerializeToString(deterministic=True)[:_MAX_RAW_BYTES],
    }


def with_names(con: duckdb.DuckDBPyConnection, rows: Iterable[Row]) -> list[Row]:
    """The rows, those of `decisions` with the names of their inputs."""
    rows = list(rows)
    wanted = list({row["layout_id"] for row in rows if row.get("layout_id")})
    found = con.execute(
        "SELECT layout_id, names, categorical_names FROM layouts WHERE layout_id IN (SELECT unnest(?))",
        [wanted],
    ).fetchall()
    names = {key: {"names": those, "categorical_names": levels} for key, those, levels in found}
    return [row | names.get(row.get("layout_id"), {}) for row in rows]


def conflict_table(conflicts: Iterable[Conflict]) -> pa.Table:
    """The rows of `conflicts`, received when the other content was."""
    conflicts = list(conflicts)
    received = [row["received_at"] for _, row in conflicts]
    table = arrow_table("conflicts", [conflict_row(kind, row) for kind, row in conflicts])
    return table.append_column("received_at", pa.array(received, pa.timestamp("us", "UTC")))
