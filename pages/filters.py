"""The filters of the decisions page, each a parameter of the URL."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from observability.store.read import Window
from observability.store.read_decisions import Filters
from pages import time_range

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


def selection(choices: Mapping[str, tuple[str, ...]], prefix: str) -> Filters:
    """Draw the filters that set some decisions of one type and model apart, their own time included.

    The parameters have `prefix` before their names, so that no other page's filter is meant.
    """
    with st.grid(7, min_column_width=140, gap="xsmall"):
        asked = {
            name: _pick(f"{prefix}_{name}", _LABELS[name], choices[name])
            for name in ("device", "disposition", "gate", "action")
        }
        outcome = _pick(f"{prefix}_outcome", "Outcome", (KNOWN, NOT_YET))
        start = time_range.typed(f"{prefix}_from", "From, UTC")
        end = time_range.typed(f"{prefix}_to", "To, UTC")
    known = None if outcome not in (KNOWN, NOT_YET) else outcome == KNOWN
    return Filters(window=Window(start, end), outcome=known, **asked)


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
