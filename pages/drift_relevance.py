"""Whether a shift matters: what moved beside what the model looks at, and what moved the scores."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import streamlit as st

from observability.explain.attribution_drift import AttributionShift, alarmed, attribution_shift
from observability.explain.importance import Importance
from observability.explain.relevance import Relevances, relevances
from observability.explain.score_drift import FEWEST, ScoreDrift
from observability.figures.quadrants import quadrants
from observability.figures.score_waterfall import score_waterfall
from observability.monitor.evidence import LEAST_EFFECT
from observability.monitor.verdict import Verdict
from observability.monitor.watched import Watched
from observability.store.read import Window
from observability.store.read_explained import Explained
from pages import components
from pages.drift_parts import Chosen, when, whom
from pages.format import count, day, days, link_unit, number, plain, signed

_NAMED = 3


def explained_by(
    found: Sequence[Explained], decision_type: str, model: str | None
) -> Explained | None:
    """The explanations that the figures are about: most of the type and, where chosen, of the model."""
    mine = [
        one
        for one in found
        if one.decision_type == decision_type and (model is None or model in one.models)
    ]
    return max(mine, key=lambda one: one.attributions, default=None)


def during(chosen: Chosen) -> Window:
    """The buckets that count as now, as a window."""
    shown, (first, until) = chosen.drift, chosen.now
    return Window(shown.starts[first], shown.starts[until - 1] + shown.width)


def placed(chosen: Chosen, weights: Importance | None) -> None:
    """The quadrants."""
    watched, device = chosen.watched, chosen.device
    if weights is None:
        components.section("Which inputs moved and matter?")
        st.markdown("No decision of this time range is explained: widen it.")
        return
    marked = frozenset() if watched is None else alarmed(watched, device)
    found = relevances(chosen.drift, device, chosen.now, weights, marked)
    components.section(_moved_and_matter(found), f"{when(chosen)}, {whom(device)}")
    components.figure(
        quadrants(found, chosen.name),
        alt="Inputs by PSI and by share of mean attribution",
        key="drift_relevance",
    )
    fleet = "" if device else " A dot is full where the fleet or any device alarmed."
    left = f" Not drawn: {plain(_listed(found.left_out))}." if found.left_out else ""
    st.caption(
        f"Upwards: share of mean absolute attribution in the fleet, {_models(weights.of)}, "
        f"n = {count(weights.extent.attributions)} explained decisions. "
        f"Lines: PSI {LEAST_EFFECT}, and the share of an average input.{fleet}{left}"
    )


def moved_scores(chosen: Chosen, found: ScoreDrift | None) -> None:
    """The waterfall of the mean score."""
    if found is None:
        components.section("What moved the scores?")
        st.markdown(
            f"Fewer than {FEWEST} decisions are explained before or since, so it cannot be told."
        )
        return
    unit = link_unit(found.of.link)
    components.section(_moved_most(found), f"{unit}, {whom(chosen.device)}")
    components.figure(
        score_waterfall(found, unit), alt="Change of the mean output by input", key="drift_scores"
    )
    before, after = found.before, found.after
    source = "the baseline's time" if found.baseline else "the first quarter"
    adds = (
        f"The parts add up to the change; {number(abs(found.residual))} is left."
        if found.adds_up
        else f"The parts do **not add up** to the change: {number(found.residual)} is left."
    )
    st.caption(
        f"Before: {source}, {_span(before.window)}, n = {count(before.n)}. Now: {_span(after.window)}, "
        f"n = {count(after.n)}. {_models(found.of)}. {adds}"
    )


def attributions(chosen: Chosen, drifted: Watched | None) -> None:
    """In words, whether attributions drift, and whether the inputs explain it."""
    found = attribution_shift(drifted, chosen.watched, chosen.device)
    name = Verdict.ATTRIBUTION if found.verdict is Verdict.ATTRIBUTION else "Attributions"
    ended = chosen.drift.baseline.last_at
    since = f" since {day(ended)}" if ended else ""
    st.markdown(
        f"**{name.capitalize()}**{since}, {plain(f'{whom(chosen.device)} — {_said(found)}')}"
    )


def _said(found: AttributionShift) -> str:
    if found.insufficient:
        return f"whether they drift cannot be judged: {found.insufficient}"
    parts = []
    if found.reaching:
        parts.append(f"the shift of {_listed(found.reaching)} reaches the scores")
    if found.alone:
        how = "which did not shift" if found.reaching or found.unfelt else "and no input shifted"
        also = "also " if parts else ""
        parts.append(f"the model {also}looks otherwise at {_listed(found.alone)}, {how}")
    if found.unfelt:
        parts.append(f"the shift of {_listed(found.unfelt)} does not show in them")
    return "; ".join(parts) or "as in the baseline, day by day"


def _moved_and_matter(found: Relevances) -> str:
    telling = [one.name for one in found.telling]
    if not telling:
        return "No input that matters alarms"
    return f"{_listed(telling)} {'alarms and matters' if len(telling) == 1 else 'alarm and matter'}"


def _moved_most(found: ScoreDrift) -> str:
    parts = found.parts.tolist()
    place = max(range(len(parts)), key=lambda n: abs(parts[n]))
    return (
        f"The mean score moved by {signed(found.change)}, most of all by {found.of.inputs[place].name} "
        f"({signed(parts[place])})"
    )


def _listed(names: Sequence[str]) -> str:
    """The first names, and how many more."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def _models(of: Explained) -> str:
    return plain(" and ".join(of.models) or "a model that is not registered")


def _span(window: Window) -> str:
    """Its days; a window ends before its end."""
    last = window.end and window.end - timedelta(microseconds=1)
    if window.start is None and last is not None:
        return f"up to {day(last)}"
    return days(window.start, last)
