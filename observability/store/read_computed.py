"""What was computed of a decision when it was explained, and by which spec."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from observability.store.lake import has_rows
from observability.store.stored import first_row

_COMPUTED = """
SELECT phi, base, output, status, received_at, spec_id
FROM attributions
WHERE decision_id = $id AND device_id = $device
ORDER BY received_at DESC, spec_id
LIMIT 1
"""
_SPEC = "SELECT * EXCLUDE received_at FROM specs WHERE spec_id = ? LIMIT 1"


@dataclass(frozen=True, slots=True)
class Computed:
    """Attributions as stored, in 32 bits; `phi` is empty where `status` says why there are none.

    `spec` holds the fields of the spec by name; `computed_at` UTC.
    """

    phi: tuple[float, ...]
    base: float | None
    output: float | None
    status: str
    computed_at: datetime
    spec: dict[str, Any]


def computed(con: duckdb.DuckDBPyConnection, device_id: str, decision_id: str) -> Computed | None:
    """The attributions of a decision that were stored last; None where there are none."""
    if not has_rows(con, "attributions"):
        return None
    row = first_row(con, _COMPUTED, {"id": decision_id, "device": device_id})
    spec = None if row is None else first_row(con, _SPEC, [row["spec_id"]])
    if row is None or spec is None:
        return None
    at = row["received_at"].astimezone(UTC)
    return Computed(tuple(row["phi"] or ()), row["base"], row["output"], row["status"], at, spec)
