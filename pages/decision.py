"""Decision: why did it do that?"""

from __future__ import annotations

import streamlit as st

from observability.explain.explanation import FLEET
from observability.explain.input_rows import input_rows
from pages import components, reads, routes
from pages import decision_otherwise as otherwise
from pages import decision_parts as parts
from pages import decision_record as record
from pages.format import plain
from traces.errors import WrongUse


def main() -> None:
    """Draw the page."""
    freshness = reads.current()
    decision_id = st.query_params.get("id", "")
    versus = st.query_params.get(parts.VERSUS, FLEET)
    story, refused = _story(decision_id, versus)
    with components.header(freshness):
        moved = parts.neighbours(story.around, story.explanation.stored) if story else None
    if not decision_id:
        components.sentence("Which decision?")
        components.not_found("A decision without an id", "Choose one on the page Decisions.")
    elif story is None:
        components.sentence("No such decision")
        components.not_found(
            f"Decision {decision_id}",
            "It is not in this store: it may not have arrived yet, or the id is cut short.",
        )
    else:
        if refused:
            st.warning(refused)
        _draw(story)
    if moved:
        page, parameters = moved
        routes.go(page, **parameters)


def _story(decision_id: str, versus: str) -> tuple[reads.Story | None, str]:
    """The story versus what the URL asks for; else versus the fleet, and why."""
    if not decision_id:
        return None, ""
    try:
        return reads.story(decision_id, versus), ""
    except WrongUse as error:
        return reads.story(decision_id, FLEET), f"Not compared so: {plain(str(error))}"


def _draw(story: reads.Story) -> None:
    explained, stored = story.explanation, story.explanation.stored
    rows = input_rows(explained)
    units = {row.name: row.unit for row in rows}
    link = parts.link_shown(explained)
    components.sentence(explained.sentence)
    parts.byline(stored)
    components.tiles(parts.tiles(explained))
    why, gates = st.columns([4, 3], gap="medium")
    with why:
        parts.why(explained)
    with gates:
        parts.gates(explained, units)
        parts.outcomes(stored)
        if explained.alternatives is not None:
            otherwise.shares(explained.alternatives)
    changes, past = st.columns([4, 3], gap="medium")
    with changes:
        otherwise.flips(explained, units)
    with past:
        otherwise.nearest(explained)
    inputs, around = st.columns([4, 3], gap="medium")
    with inputs:
        record.inputs(rows, link, stored.decision.withheld)
    with around:
        record.context(stored.decision)
        record.provenance(story)


main()
