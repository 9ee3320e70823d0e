"""Decisions: which decisions match?"""

from __future__ import annotations

import streamlit as st

from observability.figures.timeline import timeline
from observability.store.read_decisions import LISTED, Matching
from pages import components, filters, reads, routes, tables, time_range
from pages.format import count, duration, many, of, share
from pages.marks import THEMED


def main() -> None:
    """Draw the page."""
    freshness = reads.current()
    with components.header(freshness):
        time_range.control(freshness)
    if freshness.newest_received_at is None:
        components.sentence("No decision yet")
        components.no_data("Point a recorder at this address, or run `whence replay`.")
        return
    headline = st.container()
    window = time_range.chosen(freshness)
    asked = filters.control(reads.choices(window), window)
    found = reads.matching(asked)
    with headline:
        components.sentence(_answer(found, asked.narrows, time_range.words(freshness)))
    if found.decisions:
        _draw(found)
    else:
        components.filtered_out("Widen the time range, or take a filter away.")


def _draw(found: Matching) -> None:
    components.figure_over_time(
        timeline(found.over_time, found.bucket_width, THEMED),
        alt=f"Decisions over time by disposition, a bar for each {_width(found)}",
        key="decisions_timeline",
    )
    st.caption(
        f"A bar is {_width(found)}; draw over bars to choose their time. "
        f"Blocked {share(found.blocked, found.decisions)} ({of(found.blocked, found.decisions)}), "
        f"outcome known for {share(found.known, found.decisions)} "
        f"({of(found.known, found.decisions)})."
    )
    row = components.grid(**tables.decisions(found.newest), key="decisions_newest")
    if found.decisions > found.newest.height:
        st.caption(f"The newest {count(LISTED)} of {count(found.decisions)} are listed.")
    if row is not None:
        routes.go(routes.DECISION, id=found.newest["decision_id"][row])


def _answer(found: Matching, narrows: bool, when: str) -> str:
    if not found.decisions:
        return f"No decision matches {when}"
    if narrows:
        verb = "match" if found.decisions > 1 else "matches"
        by = many(found.devices, "device")
        return f"{many(found.decisions, 'decision')} of {by} {verb} {when}"
    return f"{many(found.devices, 'device')} made {many(found.decisions, 'decision')} {when}"


def _width(found: Matching) -> str:
    return duration(found.bucket_width.total_seconds())


main()
