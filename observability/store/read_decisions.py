"""Which decisions match: filters over the decisions, their counts over time, the newest of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import duckdb
import polars as pl

from observability.store.read import Window, frame, one
from traces import GateVerdict
from traces.gates import binding

LISTED = 500
"""The newest matching decisions that a page lists."""

_ASKED = {
    "start": "decided_at >= $start",
    "end": "decided_at < $end",
    "type": "decision_type = $type",
    "device": "device_id = $device",
    "disposition": "disposition = $disposition",
    "action": "action = $action",
    "model": "model_name || ' ' || model_version = $model",
    "gate": "len(list_filter(gates, lambda g: g.name = $gate AND g.verdict <> 'pass')) > 0",
    "outcome": "(decision_id IN (SELECT decision_id FROM outcomes)) = $outcome",
}
"""What each filter asks of a row; only what is asked is put into a query."""

_SUMMARY = """
SELECT count(*) AS decisions, count(DISTINCT device_id) AS devices,
    count(*) FILTER (disposition = 'blocked') AS blocked,
    count(*) FILTER (decision_id IN (SELECT decision_id FROM outcomes)) AS known,
    min(decided_at) AS first_at, max(decided_at) AS last_at
FROM chosen
"""

_OVER_TIME = """
SELECT time_bucket(to_seconds($width_s), decided_at) AS bucket, disposition, count(*) AS decisions
FROM chosen
GROUP BY ALL
ORDER BY bucket, disposition
"""

_EDGE = """
SELECT min(decided_at) AS edge
FROM (SELECT decided_at FROM chosen ORDER BY decided_at DESC LIMIT $listed)
"""

_NEWEST = """
, newest AS (
    SELECT decided_at, device_id, decision_id, decision_type, recommendation, action, disposition,
        score, threshold, gates, model_name || ' ' || model_version AS model
    FROM chosen
    WHERE decided_at >= $edge
    ORDER BY decided_at DESC, decision_id
    LIMIT $listed
), labels AS (
    SELECT decision_id, arg_max(label, received_at) AS outcome
    FROM outcomes
    WHERE decision_id IN (SELECT decision_id FROM newest)
    GROUP BY decision_id
)
SELECT newest.*, labels.outcome
FROM newest LEFT JOIN labels USING (decision_id)
ORDER BY decided_at DESC, decision_id
"""

_CHOICES = """
SELECT 'type' AS filter, decision_type AS choice FROM chosen GROUP BY ALL
UNION ALL SELECT 'device', device_id FROM chosen GROUP BY ALL
UNION ALL SELECT 'disposition', disposition FROM chosen GROUP BY ALL
UNION ALL SELECT 'action', action FROM chosen GROUP BY ALL
UNION ALL SELECT 'model', model_name || ' ' || model_version FROM chosen GROUP BY ALL
UNION ALL SELECT 'gate', gate.name FROM (SELECT unnest(gates) AS gate FROM chosen) GROUP BY ALL
ORDER BY filter, choice
"""

_BUCKETS = tuple(
    timedelta(seconds=seconds)
    for seconds in (1, 5, 15, 60, 300, 900, 1800, 3600, 10800, 21600, 43200, 86400, 604800, 2592000)
)


@dataclass(frozen=True, slots=True)
class Filters:
    """What a decision must be; None asks nothing. `model` is name and version, one space between.

    `gate` did not pass; `outcome` tells decisions with a known outcome from those without.
    """

    window: Window = field(default_factory=Window)
    type: str | None = None
    device: str | None = None
    disposition: str | None = None
    gate: str | None = None
    action: str | None = None
    model: str | None = None
    outcome: bool | None = None

    @property
    def narrows(self) -> bool:
        """Whether anything but time is asked for."""
        return bool(self.parameters().keys() - {"start", "end"})

    def parameters(self) -> dict[str, Any]:
        """What is asked, by name; what is not asked is left out."""
        every = {
            **self.window.parameters(),
            "type": self.type,
            "device": self.device,
            "disposition": self.disposition,
            "gate": self.gate,
            "action": self.action,
            "model": self.model,
            "outcome": self.outcome,
        }
        return {name: value for name, value in every.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Matching:
    """The decisions that match filters; times UTC.

    `over_time`: bucket (its start), disposition, decisions; buckets are `bucket_width` wide.
    `newest`, at most LISTED rows: decided_at, device_id, decision_id, decision_type,
    recommendation, action, disposition, score, threshold, model, outcome (NULL = not known),
    binding_gate (NULL = none).
    """

    decisions: int
    devices: int
    blocked: int
    known: int
    first_at: datetime | None
    last_at: datetime | None
    bucket_width: timedelta
    over_time: pl.DataFrame
    newest: pl.DataFrame


def matching(con: duckdb.DuckDBPyConnection, filters: Filters) -> Matching:
    """The decisions that match."""
    asked = filters.parameters()
    chosen = _chosen(filters)
    summary = one(con, chosen + _SUMMARY, asked)
    width = bucket_width(summary["first_at"], summary["last_at"])
    over_time = frame(con, chosen + _OVER_TIME, {**asked, "width_s": width.total_seconds()})
    listed = {**asked, "listed": LISTED}
    edge = one(con, chosen + _EDGE, listed)
    newest = frame(con, chosen + _NEWEST, {**listed, **edge})
    gates = [_binding_name(chain) for chain in newest["gates"].to_list()]
    return Matching(
        **summary,
        bucket_width=width,
        over_time=over_time,
        newest=newest.drop("gates").with_columns(pl.Series("binding_gate", gates, pl.String)),
    )


def choices(con: duckdb.DuckDBPyConnection, window: Window) -> Mapping[str, tuple[str, ...]]:
    """The values that each filter can take in a window, in alphabetical order."""
    asked = Filters(window)
    rows = frame(con, _chosen(asked) + _CHOICES, asked.parameters())
    names = ("type", "device", "disposition", "gate", "action", "model")
    return {name: tuple(rows.filter(pl.col("filter") == name)["choice"]) for name in names}


def condition(filters: Filters) -> str:
    """What filters ask of a row of `decisions`, in terms of their parameters."""
    return " AND ".join(["true", *(_ASKED[name] for name in filters.parameters())])


def bucket_width(first: datetime | None, last: datetime | None, *, at_most: int = 80) -> timedelta:
    """The narrowest usual bucket that needs no more than `at_most` bars.

    >>> from datetime import UTC
    >>> bucket_width(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
    datetime.timedelta(seconds=1800)
    """
    if first is None or last is None:
        return _BUCKETS[0]
    return next((width for width in _BUCKETS if (last - first) / width <= at_most), _BUCKETS[-1])


def _chosen(filters: Filters) -> str:
    """The rows that a query is about, as its first common table."""
    return "".join(("WITH chosen AS (FROM decisions WHERE ", condition(filters), ")"))


def _binding_name(chain: list[dict[str, Any]] | None) -> str | None:
    bound = binding(GateVerdict(**gate) for gate in chain or ())
    return None if bound is None else bound.name
