"""Verdict marks: a shape, a word and a colour of the theme, the same on every page and figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from observability.figures.palette import Palette
from pages.format import plain

THEMED = Palette(
    executed="#000001", modified="#000002", blocked="#000003", deferred="#000004", unknown="#000006"
)
"""Streamlit puts the theme's chartCategoricalColors in the place of these, light or dark."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How one disposition looks; `colour` is a colour name of the theme."""

    shape: str
    colour: str


MARKS = {
    "executed": Mark("●", "blue"),
    "modified": Mark("◆", "yellow"),
    "blocked": Mark("✕", "orange"),
    "deferred": Mark("◇", "green"),
    "error": Mark("▲", "violet"),
}
UNKNOWN = Mark("○", "gray")
OF_VERDICT = {"pass": "executed", "block": "blocked", "modify": "modified", "defer": "deferred"}
"""A gate's verdict wears the mark of the disposition that it leads to."""


def mark(disposition: str, word: str = "") -> str:
    """The mark as Markdown, with the disposition's own word or another."""
    found = MARKS.get(disposition, UNKNOWN)
    return f":{found.colour}[{found.shape}] {plain(word or disposition)}"


def verdict_mark(verdict: str, word: str = "") -> str:
    """The mark of a gate's verdict as Markdown, with its own word or another."""
    return mark(OF_VERDICT.get(verdict, ""), word or verdict)


def bare_mark(disposition: str) -> str:
    """The mark without Markdown, for the cells of data frames."""
    return f"{MARKS.get(disposition, UNKNOWN).shape} {disposition}"


def chips(label: str) -> Any:
    """The column of a data frame that shows lists of bare marks in their colours."""
    return st.column_config.MultiselectColumn(
        label,
        options=[bare_mark(disposition) for disposition in MARKS],
        color=[found.colour for found in MARKS.values()],
    )
