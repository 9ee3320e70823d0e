"""Drift: have inputs changed, since when, whose?"""

from __future__ import annotations

import streamlit as st

from observability.monitor.triage import Trouble
from observability.monitor.watched import Watched
from observability.store.read import Window
from observability.store.read_drift import DecidedType
from pages import components, reads, reads_drift, time_range
from pages import drift_parts as parts
from pages import drift_troubles as troubles


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
        device = parts.device_control(shown)
        name = parts.input_control(shown, found, device)
    if not shown.starts:
        components.filtered_out("Take the model version away, or widen the time range.")
        return
    of = next((each for each in watched if each.drift.decision_type == shown.decision_type), None)
    parts.inputs(shown, name, device, of)
    during = parts.during(shown, found, name, device)
    values, devices = st.columns([4, 5], gap="medium")
    with values:
        parts.values(shown, name, device, during)
        parts.versions(shown, name, device, during)
    with devices:
        parts.devices(shown, name, device, of)


main()
