"""Drift: have inputs changed, since when, whose?"""

from __future__ import annotations

import streamlit as st

from observability.monitor.drift import Drift
from observability.monitor.moved import Moved
from observability.store.read import Window
from observability.store.read_drift import DecidedType
from pages import components, reads, time_range
from pages import drift_parts as parts


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
    drifts = [reads.drift_over(window, decided, None) for decided in types]
    if not any(found.starts for found, _ in drifts):
        components.sentence(f"No device decided {time_range.words(freshness)}")
        components.filtered_out("Widen the time range.")
        return
    ranked = parts.ranked([found for _, found in drifts])
    components.sentence(parts.answer(ranked, [found for found, _ in drifts]))
    parts.moved_list(ranked)
    _draw(types, ranked, window)


def _draw(types: tuple[DecidedType, ...], ranked: tuple[Moved, ...], window: Window) -> None:
    with st.grid(4, min_column_width=180, gap="xsmall"):
        decided = parts.type_control(types, ranked)
        model = parts.model_control(decided)
        shown, moved = reads.drift_over(window, decided, model)
        device = parts.device_control(shown)
        name = parts.input_control(shown, moved, device)
    if not shown.starts:
        components.filtered_out("Take the model version away, or widen the time range.")
        return
    _figures(shown, moved, name, device)


def _figures(shown: Drift, moved: tuple[Moved, ...], name: str, device: str | None) -> None:
    parts.inputs(shown, name, device)
    during = parts.during(shown, moved, name, device)
    values, devices = st.columns([4, 5], gap="medium")
    with values:
        parts.values(shown, name, device, during)
        parts.versions(shown, name, device, during)
    with devices:
        parts.devices(shown, name, device)


main()
