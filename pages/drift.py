"""Drift: have inputs changed, since when, whose?"""

from __future__ import annotations

import streamlit as st

from observability.monitor.triage import Trouble
from observability.monitor.watched import Watched
from observability.store.read import Window
from observability.store.read_drift import DecidedType
from pages import components, reads, reads_drift, reads_explained, time_range
from pages import drift_devices as devices
from pages import drift_evidence as evidence
from pages import drift_parts as parts
from pages import drift_relevance as relevance
from pages import drift_troubles as troubles
from pages.drift_parts import Chosen

QUESTIONS = ("What changed", "Since when", "Whose", "Does it matter")


def main() -> None:
    """Draw the page."""
    freshness = reads.current()
    with components.header(freshness):
        time_range.control(freshness)
    types = reads.decided_types()
    if not types:
        components.sentence("No decision yet, so no input can have moved")
        components.no_data("Point a recorder at this address, or run `whence replay`.")
        return
    window = time_range.chosen(freshness)
    if not any(reads_drift.drift_over(window, decided, None).starts for decided in types):
        components.sentence(f"No device decided {time_range.words(freshness)}")
        components.filtered_out("Widen the time range.")
        return
    watched, found = reads_drift.troubles(window)
    components.sentence(troubles.answer(found, watched))
    troubles.trouble_list(found)
    _draw(types, watched, found, window)


def _draw(
    types: tuple[DecidedType, ...],
    watched: tuple[Watched, ...],
    found: tuple[Trouble, ...],
    window: Window,
) -> None:
    with st.grid(4, min_column_width=180, gap="xsmall"):
        decided = parts.type_control(types, found)
        model = parts.model_control(decided)
        shown = reads_drift.drift_over(window, decided, model)
        device = parts.device_control(shown, found)
        name = parts.input_control(shown, found, device)
    if not shown.starts:
        components.filtered_out("Take the model version away, or widen the time range.")
        return
    of = next((each for each in watched if each.drift.decision_type == shown.decision_type), None)
    parts.inputs(shown, name, device, of)
    mine = tuple(each for each in found if shown.decision_type in each.decision_types)
    now = parts.during(shown, mine, name, device)
    chosen = Chosen(shown, of, mine, name, device, now)
    what, since, whose, matters = st.tabs(QUESTIONS, key="drift_question", bind="query-params")
    if what.open:
        with what:
            _what_changed(chosen)
    if since.open:
        with since:
            changes = None if of is None else reads_drift.changes_over(of, window, device)
            evidence.since_when(chosen, changes)
    if whose.open:
        with whose:
            _whose(chosen, window)
    if matters.open:
        with matters:
            _does_it_matter(chosen, model, window)


def _what_changed(chosen: Chosen) -> None:
    values, sizes = st.columns([5, 4], gap="medium")
    with values:
        parts.values(chosen)
    with sizes:
        parts.sizes(chosen)
        parts.versions(chosen)


def _whose(chosen: Chosen, window: Window) -> None:
    shares, days = st.columns([4, 5], gap="medium")
    with shares:
        devices.contributions(chosen, reads_drift.groups_over(window, chosen.drift.decision_type))
    with days:
        devices.by_day(chosen)


def _does_it_matter(chosen: Chosen, model: str | None, window: Window) -> None:
    of = relevance.explained_by(reads_explained.everything(), chosen.drift.decision_type, model)
    if of is None:
        components.section("Does it matter to the decisions?")
        components.not_found("An explained decision", reads_explained.why_nothing())
        return
    drifted = reads_drift.attributions_watched(of, chosen.drift, window)
    relevance.attributions(chosen, drifted)
    inputs, scores = st.columns(2, gap="medium")
    with inputs:
        relevance.placed(chosen, reads_explained.weights(of, window))
    with scores:
        now = relevance.during(chosen)
        relevance.moved_scores(
            chosen, reads_drift.score_drift_over(of, chosen.drift, now, chosen.device)
        )


main()
