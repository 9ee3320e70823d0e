"""The filters of the decisions page, each a parameter of the URL."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from observability.store.read import Window
from observability.store.read_decisions import Filters

_LABELS = {
    "type": "Type",
    "device": "Device",
    "disposition": "Disposition",
    "gate": "Gate that stepped in",
    "action": "Action",
    "model": "Model version",
}
NAMES = (*_LABELS, "outcome")
KNOWN, NOT_YET = "known", "not yet"


def control(choices: Mapping[str, tuple[str, ...]], window: Window) -> Filters:
    """Draw the filters and return what they ask for. A value that no decision has matches nothing."""
    with st.grid(7, min_column_width=140, gap="xsmall"):
        asked = {name: _pick(name, label, choices[name]) for name, label in _LABELS.items()}
        outcome = _pick("outcome", "Outcome", (KNOWN, NOT_YET))
    known = None if outcome not in (KNOWN, NOT_YET) else outcome == KNOWN
    return Filters(window=window, outcome=known, **asked)


def _pick(name: str, label: str, options: tuple[str, ...]) -> str | None:
    return st.selectbox(
        label,
        options,
        index=None,
        key=name,
        bind="query-params",
        placeholder="any",
        accept_new_options=True,
    )
