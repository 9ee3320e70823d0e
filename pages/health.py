"""Data health: can I trust this screen?"""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from observability.figures.arrivals import arrivals
from observability.store.read import Freshness
from observability.store.read_health import Health
from pages import (
    chain_parts,
    components,
    missing_parts,
    progress_parts,
    reads,
    routes,
    tables,
    time_range,
)
from pages import health_parts as parts
from pages.format import duration
from pages.marks import THEMED


def main() -> None:
    """Draw the page."""
    freshness = reads.current()
    with components.header(freshness):
        time_range.control(freshness)
    window, now = time_range.chosen(freshness), freshness.now(datetime.now(UTC))
    found = reads.health(window)
    components.sentence(parts.trust(found, _still_s(found, freshness), time_range.words(freshness)))
    if freshness.newest_received_at is None:
        components.no_data("Point a recorder at this address, or run `whence replay`.")
    else:
        components.tiles(parts.tiles(found))
        _arrivals(found)
        chain_parts.chains(found.chains)
        quiet = missing_parts.fleet(reads.missing(window, now))
        progress_parts.progress(found.explained, now)
        late, refused = st.columns([4, 3], gap="medium")
        with late:
            device = _late(found)
        with refused:
            parts.rejects(found)
            row = _conflicts(found)
        for opened in (device, quiet):
            if opened is not None:
                routes.go(routes.DEVICE, id=opened)
        if row is not None:
            routes.go(routes.DECISION, id=found.conflicts["span_key"][row])
    parts.webhooks(reads.undelivered())
    parts.storage(found.storage)


def _arrivals(found: Health) -> None:
    components.section("Arrivals", "by the time of receipt")
    if not found.arrived.decisions:
        st.markdown("No decision was received in this time.")
        return
    components.figure_over_time(
        arrivals(found.over_time, found.bucket_width, THEMED),
        alt="Decisions received over time, and how long after they were decided they came",
        key="health_arrivals",
    )
    st.caption(
        f"A bar is {duration(found.bucket_width.total_seconds())}. Lag: from the device's decision "
        "to its receipt here; it includes outages, and clocks that differ."
    )


def _late(found: Health) -> str | None:
    parts.late(found.late)
    if found.late.blocks.is_empty():
        return None
    row = components.grid(**tables.late_blocks(found.late.blocks), key="health_late")
    return None if row is None else found.late.blocks["device_id"][row]


def _conflicts(found: Health) -> int | None:
    parts.repeats(found)
    if found.conflicts.is_empty():
        return None
    return components.grid(**tables.conflicts(found.conflicts), key="health_conflicts")


def _still_s(found: Health, freshness: Freshness) -> float | None:
    """Seconds without a receipt, where the store lives in real time and that is unusual."""
    behind_s = None if freshness.recorded else freshness.behind_s(datetime.now(UTC))
    return behind_s if found.arrived.stands_still(behind_s) else None


main()
