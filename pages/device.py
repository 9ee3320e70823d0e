"""Device: is it still healthy?"""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from observability.store.read import Freshness, Window
from observability.store.read_device import Known
from observability.store.read_unusual import silent_for
from pages import (
    chain_parts,
    components,
    device_troubles,
    missing_parts,
    reads,
    reads_drift,
    routes,
    time_range,
)
from pages import device_parts as parts
from pages.format import plain


def main() -> None:
    """Draw the page."""
    freshness = reads.current()
    device_id = st.query_params.get("id", "")
    with components.header(freshness):
        time_range.control(freshness)
        listed = bool(device_id) and st.button("Its decisions", key="go_decisions", type="tertiary")
    window = time_range.chosen(freshness)
    seen = reads.device(device_id, window) if device_id else None
    if not device_id:
        components.sentence("Which device?")
        components.not_found("A device without an id", "Choose one on the page Fleet.")
    elif seen is None:
        components.sentence("No such device")
        components.not_found(
            f"Device {device_id}", "It has not decided yet, or its name is cut short."
        )
    else:
        _draw(seen, window, freshness)
    if listed:
        routes.go(routes.DECISIONS, device=device_id)


def _draw(seen: Known, window: Window, freshness: Freshness) -> None:
    """All that is quick first: the inputs are judged last, and the headline and words wait for that."""
    now, when = freshness.now(datetime.now(UTC)), time_range.words(freshness)
    headline = st.empty()
    with headline:
        components.sentence(parts.meanwhile(seen, when))
    newest = parts.byline(seen)
    chain_parts.line(*reads.chains_of(seen.device_id), now)
    missing_parts.device(reads.missing(window, now, seen.device_id))
    components.tiles(parts.tiles(seen, now))
    asked = parts.type_control(seen)
    troubles = st.container()
    remarks = None
    found = reads.course(seen.device_id, asked, window)
    if found is None:
        components.filtered_out(
            f"{plain(seen.device_id)} made no such decision then. Widen the time range."
        )
    else:
        parts.course_over_time(found)
        remarks = parts.inputs(found)
        gates, outcomes = st.columns([4, 3], gap="medium")
        with gates:
            parts.gates(found)
        with outcomes:
            parts.outcomes(found)
            parts.about(seen)
    drifted = reads_drift.of_device(window, seen.device_id)
    with troubles:
        device_troubles.troubles(drifted, seen.device_id)
    if found is not None and remarks is not None:
        with remarks:
            parts.remarks(found, drifted)
    with headline:
        quiet = silent_for(seen, now)
        components.sentence(parts.healthy(seen, found, quiet, drifted, freshness.recorded, when))
    if newest:
        routes.go(routes.DECISION, id=seen.last["last_decision_id"])


main()
