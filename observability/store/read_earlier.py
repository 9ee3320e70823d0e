"""What a device proposed before one of its decisions: the last other proposal.

As known when that decision arrived, so that what is read does not change later.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import duckdb
import polars as pl

from observability.store.read_past import OWN_DECISIONS, Past
from observability.store.stored import StoredDecision, as_stored, first_row

_DAYS = timedelta(days=60)
"""How far in decided_at to look before the device's last decisions: gates of before say little of now."""

_OTHER = """
FROM decisions
WHERE device_id || '' = $device AND decision_type || '' = $type AND recommendation || '' <> $proposed
    AND received_at + INTERVAL 0 SECOND <= $received_at AND score + threshold IS NOT NULL
"""
"""As expressions: read_past.py says why."""
_LAST_AT = f"SELECT max(decided_at) {_OTHER} AND decided_at > $since AND decided_at < $before"
_DECIDED_AT = f"SELECT * {_OTHER} AND decided_at = $at ORDER BY decision_id LIMIT 1"


def other_proposal(
    con: duckdb.DuckDBPyConnection, stored: StoredDecision, own: Past
) -> StoredDecision | None:
    """The device's latest earlier decision of the type that proposed another action; None if none.

    `own` as `own_past` gives it; only where no such decision is among them is it looked for in the 60
    days before and with other inputs. Its outcomes and reviews are left out.
    """
    proposed = stored.decision.recommendation
    if proposed is None:
        return None
    asked = {
        "device": stored.device_id,
        "type": stored.decision.type,
        "received_at": stored.received_at,
        "proposed": proposed.action,
    }
    among = own.rows.filter(
        pl.col("proposed") != proposed.action, pl.col("decided_at") < stored.decided_at
    )
    at = among["decided_at"][0] if among.height else _last_at(con, stored, asked, own)
    row = first_row(con, _DECIDED_AT, {**asked, "at": at}) if at else None
    return None if row is None else as_stored(con, row)


def _last_at(
    con: duckdb.DuckDBPyConnection, stored: StoredDecision, asked: dict[str, object], own: Past
) -> datetime | None:
    whole = own.rows.height < OWN_DECISIONS
    if whole and _layouts(con, stored.decision.type) == 1:
        return None
    between = {"since": stored.decided_at - _DAYS, "before": stored.decided_at}
    return con.execute(_LAST_AT, {**asked, **between}).fetchall()[0][0]


def _layouts(con: duckdb.DuckDBPyConnection, decision_type: str) -> int:
    """How many lists of inputs decisions of a type came with."""
    types = con.execute("SELECT decision_type FROM layouts").fetchall()
    return types.count((decision_type,))
