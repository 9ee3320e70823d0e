"""What a notebook calls, besides `observability.connect`."""

from __future__ import annotations

from pathlib import Path

import duckdb

from observability.explain import explain as explanations
from observability.explain.explanation import FLEET, Explanation
from observability.monitor import scorecard as scorecards
from observability.monitor.scorecard import Scorecard
from observability.store.lake import connect, folder_of
from observability.store.location import Store, location_of
from observability.store.read import Window
from observability.store.views import view_name

__all__ = ["connect", "explain", "scorecard", "view_name"]


def explain(
    store: Store | duckdb.DuckDBPyConnection,
    decision_id: str,
    files: str | Path | None = None,
    versus: str = FLEET,
) -> Explanation | None:
    """Why one decision was made; None where the store does not hold it. A notebook draws what it returns.

    `store` and `files` as for `connect`, or what it returned for a folder; `versus` is `fleet`, `device`
    or the id of another decision. Raises StoreError and WrongUse.
    """
    if isinstance(store, duckdb.DuckDBPyConnection):
        return explanations.explain(store, folder_of(store), decision_id, versus)
    where = location_of(store, files)
    with connect(where) as con:
        return explanations.explain(con, where, decision_id, versus)


def scorecard(
    store: Store, window: Window | None = None, files: str | Path | None = None
) -> Scorecard:
    """What each gate and each person did for and against the fleet; `store` and `files` as for `connect`.

    Of a window of `decided_at`, else of all time. Raises StoreError.
    """
    with connect(location_of(store, files)) as con:
        return scorecards.scorecard(con, window or Window())
