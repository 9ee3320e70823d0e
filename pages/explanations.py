"""Explanations: what does the model attend to, since when, and what sets some decisions apart?"""

from __future__ import annotations

import streamlit as st

from observability.explain.drawn import MOST, Drawn
from observability.figures import decision_plot
from observability.store.read import Window
from observability.store.read_decisions import Filters
from observability.store.read_explained import Explained
from pages import components, filters, reads, reads_explained, time_range
from pages import explanations_parts as parts


def main() -> None:
    """Draw the page."""
    freshness = reads.current()
    with components.header(freshness):
        time_range.control(freshness)
    if freshness.newest_received_at is None:
        components.sentence("No decision yet, so none to explain")
        components.no_data("Point a recorder at this address, or run `whence replay`.")
        return
    found = reads_explained.everything()
    if not found:
        components.sentence("No decision is explained yet")
        components.not_found("An explained decision", reads_explained.why_nothing())
        return
    window = time_range.chosen(freshness)
    headline = st.container()
    shown, name = parts.controls(found)
    weights = reads_explained.weights(shown, window)
    with headline:
        components.sentence(parts.answer(shown, weights, time_range.words(freshness)))
    if weights is None:
        components.filtered_out(parts.elsewhere(shown))
        return
    parts.population(weights)
    parts.over_time(weights)
    every = reads_explained.drawn(shown, window, Filters(), MOST)
    _decisions(every, name)
    _selection(shown, window, every)


def _decisions(sample: Drawn, name: str | None) -> None:
    swarm, one_input = st.columns([5, 4], gap="medium")
    with swarm:
        parts.swarm(sample)
    with one_input:
        parts.one_input(sample, name)


def _selection(shown: Explained, window: Window, sample: Drawn) -> None:
    components.section(
        "What is different about these?",
        "choose some decisions; they are compared with all others of this model and time",
    )
    selection = filters.selection(reads.choices(window), parts.SELECTION)
    found = None
    if selection != Filters():
        found = reads_explained.apart(shown, window, selection)
        sample = reads_explained.drawn(shown, window, selection, decision_plot.MOST)
        parts.difference_in_words(found)
    if not sample.selected:
        components.filtered_out("None of the selected decisions is explained: choose others.")
        return
    bars, lines = st.columns([5, 4], gap="medium")
    with bars:
        parts.apart(found)
    with lines:
        parts.lines(sample.first(decision_plot.MOST), "all" if found is None else "the selection")
    if found is not None:
        parts.table(found)


main()
