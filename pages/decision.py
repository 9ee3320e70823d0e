"""Decision: why did it do that?"""

from __future__ import annotations

import streamlit as st

from pages import components, reads, routes
from pages import decision_otherwise as otherwise
from pages import decision_parts as parts
from pages import decision_record as record


def main() -> None:
    """Draw the page."""
    freshness = reads.current()
    decision_id = st.query_params.get("id", "")
    story = reads.story(decision_id) if decision_id else None
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
        _draw(story)
    if moved:
        page, parameters = moved
        routes.go(page, **parameters)


def _draw(story: reads.Story) -> None:
    explained, stored = story.explanation, story.explanation.stored
    components.sentence(explained.sentence)
    parts.byline(stored)
    components.tiles(parts.tiles(explained))
    why, gates = st.columns([4, 3], gap="medium")
    with why:
        parts.why(explained)
    with gates:
        parts.gates(explained, story.units)
        parts.outcomes(stored)
        if explained.alternatives is not None:
            otherwise.shares(explained.alternatives)
    otherwise.flips(explained, story.units)
    inputs, around = st.columns([4, 3], gap="medium")
    with inputs:
        record.inputs(story.inputs, story.link, stored.decision.withheld)
    with around:
        record.context(stored.decision)
        record.provenance(story)


main()
