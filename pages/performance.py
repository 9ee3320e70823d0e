"""Performance: how right were the proposals, as far as is known?"""

from __future__ import annotations

import streamlit as st

from observability.figures.precision import precision
from observability.figures.reliability import reliability
from observability.monitor.performance import Performance
from pages import components, reads, reads_outcomes, time_range
from pages import performance_parts as parts
from pages.format import duration
from pages.marks import THEMED


def main() -> None:
    """Draw the page."""
    freshness = reads.current()
    with components.header(freshness):
        time_range.control(freshness)
    types = reads.decided_types()
    if not types:
        components.sentence("No decision yet, so none was right or wrong")
        components.no_data("Point a recorder at this address, or run `whence replay`.")
        return
    window = time_range.chosen(freshness)
    headline = st.container()
    decided = parts.type_control(types)
    found = reads_outcomes.performance_over(window, decided)
    with headline:
        components.sentence(parts.answer(found))
    if found.whole.proposals:
        components.tiles(parts.tiles(found))
    if not found.reason:
        _draw(found)
    st.caption(parts.MEANING)


def _draw(found: Performance) -> None:
    over_time, scores = st.columns([3, 2], gap="medium")
    with over_time:
        components.section("Precision over time", "only what was carried out is labelled")
        components.figure(
            precision(found.over_time, found.width, THEMED),
            alt=f"Precision of {found.decision_type} over time, what it can be, and the share labelled",
            key="performance_precision",
        )
        st.caption(f"A bar is {duration(found.width.total_seconds())}. {parts.maturity(found)}")
    with scores:
        components.section("Do scores mean what they say?", "reliability")
        if found.calibration.bins:
            components.figure(
                reliability(found.calibration, THEMED),
                alt=f"Share of labelled decisions of {found.decision_type} that were needed, by score",
                key="performance_reliability",
            )
        st.caption(parts.calibration(found))
    for title, slices in (
        ("model version", found.versions), ("site", found.sites), ("gate", found.gates)
    ):  # fmt: skip
        parts.slices(title, slices)
    parts.beyond_labels(found)


main()
