"""What a device decided before one of its decisions: the last other proposal, and its own inputs.

As known when that decision arrived, so that what is read does not change later.
"""

from __future__ import annotations

from datetime import timedelta

import duckdb
import numpy as np

from observability.store.stored import StoredDecision, stored_decision

OWN_DECISIONS = 2000
"""The device's own spread of an input is taken over this many of its decisions, the last before this one."""
_DAYS = (3, 60, 4000)
"""How far in decided_at to look: the first stretch that suffices is taken, so that a large store
answers as a small one does."""

_OTHER = """
SELECT decision_id
FROM decisions
WHERE device_id = $device AND decision_type = $type AND decided_at > $since AND decided_at < $at
    AND received_at <= $received_at AND recommendation <> $proposed
    AND score IS NOT NULL AND threshold IS NOT NULL
ORDER BY decided_at DESC, decision_id
LIMIT 1
"""

_OWN = """
SELECT inputs
FROM decisions
WHERE device_id = $device AND decision_type = $type AND layout_id = $layout
    AND decided_at > $since AND decided_at <= $at AND received_at <= $received_at
ORDER BY decided_at DESC
LIMIT $last
"""


def other_proposal(con: duckdb.DuckDBPyConnection, stored: StoredDecision) -> StoredDecision | None:
    """The device's latest earlier decision of the type that proposed another action; None if none."""
    proposed = stored.decision.recommendation
    if proposed is None:
        return None
    for days in _DAYS:
        found = con.execute(
            _OTHER, {**_asked(stored, days), "proposed": proposed.action}
        ).fetchone()
        if found is not None:
            return stored_decision(con, found[0])
    return None


def own_inputs(con: duckdb.DuckDBPyConnection, stored: StoredDecision) -> np.ndarray:
    """The numeric inputs of the device's last decisions up to this one, newest first.

    Shape `(n, len(decision.inputs))`, in the decision's own order; missing is NaN.
    """
    rows: list[tuple[list[float | None]]] = []
    for days in _DAYS:
        asked = {**_asked(stored, days), "layout": stored.layout_id, "last": OWN_DECISIONS}
        rows = con.execute(_OWN, asked).fetchall()
        if len(rows) == OWN_DECISIONS:
            break
    width = len(stored.decision.inputs)
    return np.array([row[0] for row in rows], dtype=np.float64).reshape(len(rows), width)


def _asked(stored: StoredDecision, days: int) -> dict[str, object]:
    return {
        "device": stored.device_id,
        "type": stored.decision.type,
        "at": stored.decided_at,
        "received_at": stored.received_at,
        "since": stored.decided_at - timedelta(days=days),
    }
