"""What a notebook calls, besides `observability.connect`."""

from __future__ import annotations

from pathlib import Path

from observability.explain import explain as explanations
from observability.explain.explanation import Explanation
from observability.store.lake import connect
from observability.store.location import Store, location_of
from observability.store.views import view_name

__all__ = ["connect", "explain", "view_name"]


def explain(store: Store, decision_id: str, files: str | Path | None = None) -> Explanation | None:
    """Why one decision was made; None where the store does not hold it; `store` and `files` as for `connect`.

    Raises StoreError.
    """
    where = location_of(store, files)
    with connect(where) as con:
        return explanations.explain(con, where, decision_id)
