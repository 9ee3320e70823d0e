"""Past decisions with their inputs: a device's own, and the newest of a type and model version.

A device's own are those known when the decision arrived, so that what is read does not change later.
DuckLake looks up the statistics of each column that a plain comparison names, some 3 ms each; so only
what rules out files is one, and the others are compared as expressions (`|| ''`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb
import numpy as np
import polars as pl

from observability.store.read import frame
from observability.store.stored import StoredDecision

OWN_DECISIONS = 1_000
"""So many of a device's decisions say what is usual for it, the last before one of them."""
NEWEST_DECISIONS = 50_000
"""Among so many of a type and model version the nearest are looked for, the newest in the store."""
_DAYS = (3, 60, 4000)
"""How far in decided_at to look: the first stretch that suffices is taken, so that a large store
answers as a small one does."""

_OWN = """
SELECT decided_at, CASE WHEN score IS NOT NULL AND threshold IS NOT NULL THEN recommendation END AS proposed,
    inputs, categoricals
FROM decisions
WHERE decided_at > $since AND decided_at <= $at AND device_id || '' = $device
    AND layout_id || '' = $layout AND received_at + INTERVAL 0 SECOND <= $received_at
ORDER BY decided_at DESC
LIMIT $last
"""

_OF_VERSION = """
FROM decisions
WHERE decision_type = $type AND model_name = $name AND model_version = $version AND layout_id = $layout
"""
_NEWEST_SINCE = f"""
SELECT coalesce(min(decided_at), 'epoch'::TIMESTAMPTZ) AS since
FROM (SELECT decided_at {_OF_VERSION} ORDER BY decided_at DESC LIMIT $last)
"""
_COLUMNS = (
    "device_id, decision_id, decided_at, received_at, action, disposition, inputs, categoricals"
)
_NEWEST = f"SELECT {_COLUMNS} {_OF_VERSION} AND decided_at >= $since"
_ARRIVED = f"SELECT {_COLUMNS} {_OF_VERSION} AND received_at >= $since"

_LABELS = """
SELECT device_id, decision_id, arg_max(label, (received_at, observed_at)) AS label
FROM outcomes
WHERE decision_id IN (SELECT unnest($ids)) AND decision_id >= $first AND decision_id <= $last
GROUP BY ALL
"""


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """Past decisions of one layout, and so of one type: `rows` with their times, UTC, and what each read.

    `numbers` `(n, n_inputs)` and `texts` `(n, n_categoricals)` follow the layout; missing is NaN, or empty.
    """

    rows: pl.DataFrame
    numbers: np.ndarray
    texts: np.ndarray

    def take(self, chosen: np.ndarray) -> Past:
        """Some of them, by a mask `(n,)` or by their places."""
        places = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        return Past(self.rows[places], self.numbers[places], self.texts[places])


def own_past(con: duckdb.DuckDBPyConnection, stored: StoredDecision) -> Past:
    """The device's last decisions up to and with this one, newest first; at most 1,000.

    Their rows have decided_at and what was `proposed`, NULL without a score and a threshold.
    """
    asked = {
        "device": stored.device_id,
        "layout": stored.layout_id,
        "at": stored.decided_at,
        "received_at": stored.received_at,
        "last": OWN_DECISIONS,
    }
    found = pl.DataFrame()
    for days in _DAYS:
        found = frame(con, _OWN, {**asked, "since": stored.decided_at - timedelta(days=days)})
        if found.height == OWN_DECISIONS:
            break
    return _past(found, stored)


def newest_past(con: duckdb.DuckDBPyConnection, like: StoredDecision) -> Past:
    """The newest decisions of the type, model version and layout of one, at most 50,000 but for ties."""
    asked = _version_of(like)
    since = con.execute(_NEWEST_SINCE, {**asked, "last": NEWEST_DECISIONS}).fetchall()[0][0]
    return _past(frame(con, _NEWEST, {**asked, "since": since}), like)


def past_since(con: duckdb.DuckDBPyConnection, like: StoredDecision, since: datetime) -> Past:
    """What arrived of the same kind at or after an instant, UTC."""
    return _past(frame(con, _ARRIVED, {**_version_of(like), "since": since}), like)


def newest_labels(con: duckdb.DuckDBPyConnection, ids: Sequence[str]) -> dict[tuple[str, str], str]:
    """The last label known of each decision, by device and id; those without one are left out."""
    if not ids:
        return {}
    asked = {"ids": list(ids), "first": min(ids), "last": max(ids)}
    return {(device, id_): label for device, id_, label in con.execute(_LABELS, asked).fetchall()}


def _version_of(like: StoredDecision) -> dict[str, str]:
    model = like.decision.model
    return {
        "type": like.decision.type,
        "name": model.name,
        "version": model.version,
        "layout": like.layout_id,
    }


def _past(found: pl.DataFrame, like: StoredDecision) -> Past:
    widths = len(like.decision.inputs), len(like.decision.categoricals)
    found = found.filter(
        pl.col("inputs").list.len() == widths[0], pl.col("categoricals").list.len() == widths[1]
    )
    numbers = _matrix(found["inputs"], widths[0], np.float64)
    texts = _matrix(found["categoricals"], widths[1], np.object_)
    return Past(found.drop("inputs", "categoricals"), numbers, texts)


def _matrix(lists: pl.Series, width: int, kind: type) -> np.ndarray:
    """Lists of one length as an array `(n, width)`."""
    if not width or not len(lists):
        return np.empty((len(lists), width), dtype=kind)
    flat = lists.explode().to_numpy().astype(kind, copy=False)
    return flat.reshape(len(lists), width)
