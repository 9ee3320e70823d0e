"""What a notebook calls, besides `observability.connect`."""

from __future__ import annotations

from pathlib import Path

from observability.explain import explain as explanations
from observability.explain.explanation import Explanation
from observability.monitor import scorecard as scorecards
from observability.monitor.scorecard import Scorecard
from observability.store.lake import connect
from observability.store.location import Store, location_of
from observability.store.read import Window
from observability.store.views import view_name

__all__ = ["connect", "explain", "scorecard", "view_name"]


def explain(store: Store, decision_id: str, files: str | Path | None = None) -> Explanation | None:
    """Why one decision was made; None where the store does not hold it; `store` and `files` as for `connect`.

    Raises StoreError.
    """
    where = location_of(store, files)
    with connect(where) as con:
        return explanations.explain(con, where, decision_id)


def scorecard(
    store: Store, window: Window | None = None, files: str | Path | None = None
) -> Scorecard:
    """What each gate and each person did for and against the fleet; `store` and `files` as for `connect`.

    Of a window of `decided_at`, else of all time. Raises StoreError.
    """
    with connect(location_of(store, files)) as con:
        return scorecards.scorecard(con, window or Window())
