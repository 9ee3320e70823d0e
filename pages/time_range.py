"""The one time range of the console: the same parameters in the URL of every page that has one.

`range` is relative (24h, 7d, all) or custom; `from` and `to` are ISO 8601, UTC, and make it custom.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import streamlit as st

from observability.store.read import Freshness, Window
from pages.format import plain

RELATIVE = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
ALL, CUSTOM = "all", "custom"
_OPTIONS = (*RELATIVE, ALL, CUSTOM)
_WORDS = {
    "1h": "in the last hour",
    "24h": "in the last 24 hours",
    "7d": "in the last 7 days",
    "30d": "in the last 30 days",
    ALL: "so far",
    CUSTOM: "in the chosen time",
}


def control(freshness: Freshness) -> None:
    """Draw the control; what it says is read with `chosen`."""
    if "range" not in st.query_params and {"from", "to"} & set(st.query_params):
        st.session_state["range"] = CUSTOM
    st.segmented_control(
        "Time range, UTC",
        _OPTIONS,
        key="range",
        default=usual_range(freshness),
        required=True,
        bind="query-params",
        label_visibility="collapsed",
    )
    if st.session_state["range"] == CUSTOM:
        for key, label in (("from", "From, UTC"), ("to", "To, UTC")):
            st.text_input(
                label,
                key=key,
                bind="query-params",
                placeholder=f"{label}: 2024-05-01T14:00Z",
                label_visibility="collapsed",
                width=220,
            )


def chosen(freshness: Freshness) -> Window:
    """The window that the control says, now being what the store's clock says."""
    picked = _picked(freshness)
    if picked in RELATIVE:
        now = freshness.now(datetime.now(UTC))
        return Window(start=_whole_minute(now) - RELATIVE[picked])
    if picked == CUSTOM:
        return Window(start=_typed("from"), end=_typed("to"))
    return Window()


def typed(key: str, label: str) -> datetime | None:
    """Draw a field of its own for one instant; None where it is empty or none."""
    st.text_input(label, key=key, bind="query-params", placeholder="2024-05-01T14:00Z")
    return _typed(key)


def words(freshness: Freshness) -> str:
    """The range as the end of a sentence."""
    picked = _picked(freshness)
    return "in the whole recording" if freshness.recorded and picked == ALL else _WORDS[picked]


def narrow(start: str, end: str) -> None:
    """Choose the time between two axis values, as from a figure. Called before the control is drawn."""
    between = [parse(text.replace(" ", "T")) for text in (start, end)]
    if None in between:
        return
    drawn = st.session_state.get("range") == CUSTOM
    st.session_state["range"] = CUSTOM
    for key, at in zip(("from", "to"), between, strict=True):
        text = at.strftime("%Y-%m-%dT%H:%M:%SZ") if at else ""
        st.session_state[key] = text
        if not drawn:  # A control that was not there yet does not write its parameter by itself.
            st.query_params[key] = text


def usual_range(freshness: Freshness) -> str:
    """What is shown unasked: a week, but all of a recording, since that has no today."""
    return ALL if freshness.recorded else "7d"


def parse(text: str) -> datetime | None:
    """A time as typed, UTC where it names no zone; None where it is none.

    >>> parse("2024-05-01T14:00Z") == parse("2024-05-01 14:00"), parse("soon")
    (True, None)
    """
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _picked(freshness: Freshness) -> str:
    picked = st.session_state.get("range") or usual_range(freshness)
    return picked if picked in _OPTIONS else usual_range(freshness)


def _typed(key: str) -> datetime | None:
    text = st.session_state.get(key) or ""
    at = parse(text) if text else None
    if text and at is None:
        st.warning(f"“{plain(text)}” is no time. Expected one like 2024-05-01T14:00Z.")
    return at


def _whole_minute(at: datetime) -> datetime:
    """So that the views of one minute share their queries."""
    return at.replace(second=0, microsecond=0)
