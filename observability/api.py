"""What a notebook calls, besides `observability.connect`."""

from __future__ import annotations

from pathlib import Path

from observability.explain import explain as explanations
from observability.explain.explanation import Explanation
from observability.store.lake import connect
from observability.store.views import view_name

__all__ = ["connect", "explain", "view_name"]


def explain(store: str | Path, decision_id: str) -> Explanation | None:
    """Why one decision was made; None where the store does not hold it. Raises StoreError."""
    with connect(store) as con:
        return explanations.explain(con, Path(store), decision_id)
