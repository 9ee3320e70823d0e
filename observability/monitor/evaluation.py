"""One look at a store: which events would bring its alerts to what is found now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb

from observability.monitor.alerts import changes, fold
from observability.monitor.drift_findings import drift_findings, troubles_now
from observability.monitor.findings import LOOK_BACK, findings
from observability.store import lake
from observability.store.location import Store
from observability.store.read import Window
from observability.store.read_alerts import Event, events, rules
from observability.store.read_faults import faults


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was due at an instant of the store's time, UTC."""

    at: datetime
    due: tuple[Event, ...]


def evaluate(con: duckdb.DuckDBPyConnection, store: Store, *, listening: bool = True) -> Evaluation:
    """Look at a store. Nobody is silent in recorded time, nor to a receiver that is not `listening` yet."""
    with lake.reading(con):
        now = lake.now(con)
        silence = listening and lake.clock_kind(con) == "system"
        found = (
            *findings(faults(con, Window(now - LOOK_BACK)), now),
            *drift_findings(troubles_now(con, store)),
        )
        known, said = fold(events(con)), rules(con)
    return Evaluation(now, tuple(changes(found, known, said, now, () if silence else ("silent",))))
