"""Alerts and their rules as the store has them: rows of events, which monitor/alerts.py folds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import duckdb

from observability.store.lake import schema_version
from observability.store.read import frame

EventName = Literal[
    "opened", "reopened", "acknowledged", "snoozed", "resolved", "delivered", "failed"
]

_SINCE_VERSION = 4
_EVENTS = """
SELECT alert_id, seq, event, received_at AS at, actor, identity, reason, kind, subject,
    decision_type, title, evidence, mark, since, until, url, of_seq
FROM alerts
ORDER BY alert_id, seq
"""
_RULES = """
SELECT kind, decision_type, seq, received_at AS set_at, enabled, threshold, url, actor, identity
FROM alert_rules
ORDER BY kind, decision_type, seq
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to an alert, a row of `alerts`; times UTC.

    `of_seq` is the event that was delivered to `url`; `since`, `until` and the like as in schema.sql.
    """

    alert_id: str
    seq: int
    event: EventName
    at: datetime
    actor: str
    identity: str = ""
    reason: str = ""
    kind: str = ""
    subject: str = ""
    decision_type: str = ""
    title: str = ""
    evidence: Mapping[str, float] = field(default_factory=dict)
    mark: str = ""
    since: datetime | None = None
    until: datetime | None = None
    url: str = ""
    of_seq: int | None = None

    def row(self) -> dict[str, Any]:
        """As the table has it, less received_at."""
        row = {name: getattr(self, name) for name in self.__slots__ if name != "at"}
        return row | {"evidence": json.dumps(dict(self.evidence), allow_nan=False)}


@dataclass(frozen=True, slots=True)
class Rule:
    """What was said of a kind of findings, a row of `alert_rules`; None: as the more general rule says."""

    kind: str
    decision_type: str
    seq: int
    set_at: datetime
    enabled: bool | None = None
    threshold: float | None = None
    url: str | None = None
    actor: str = ""
    identity: str = ""

    def row(self) -> dict[str, Any]:
        """As the table has it, less received_at."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "set_at"}


def events(con: duckdb.DuckDBPyConnection) -> list[Event]:
    """All that happened to alerts; nothing in a store of before alerts."""
    if schema_version(con) < _SINCE_VERSION:
        return []
    rows = frame(con, _EVENTS).iter_rows(named=True)
    return [Event(**{**row, "evidence": json.loads(row["evidence"])}) for row in rows]


def rules(con: duckdb.DuckDBPyConnection) -> list[Rule]:
    """All rows of rules, the newest of each kind and type last."""
    if schema_version(con) < _SINCE_VERSION:
        return []
    return [Rule(**row) for row in frame(con, _RULES).iter_rows(named=True)]
