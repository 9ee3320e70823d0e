"""The parts of the performance page: its answer, tiles, tables and what is estimated without labels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import streamlit as st

from observability.monitor.estimates import Estimate
from observability.monitor.performance import Performance, Slice
from observability.store.read_drift import DecidedType
from observability.store.read_truth import MATURE_SHARE
from pages import components
from pages.components import Tile
from pages.format import count, duration, many, number, of, plain, share

TYPE = "performance_type"
MEANING = (
    "An outcome's value of 0.5 or more says that acting was needed, below that it was not; a validated "
    "outcome counts before others, then the newest. To act is to score at or over the threshold. "
    "**Precision**: of the acts, those that were needed. **Recall**: of what was needed, what was "
    "proposed. Both are of mature decisions that were carried out and labelled. Intervals are 95 %, "
    "and count decisions as independent, so repeats of one fault make them too narrow. “Can be” takes "
    "in all that was blocked or never labelled, and assumes nothing."
)


def type_control(types: Sequence[DecidedType]) -> DecidedType:
    """The decision type that is shown: the chosen one, else the first."""
    names = [decided.decision_type for decided in types]
    if st.session_state.get(TYPE) not in (None, *names):
        del st.session_state[TYPE]
    chosen = st.selectbox(
        "Decision type", names, index=None, key=TYPE, bind="query-params", placeholder=names[0],
        width=320,
    )  # fmt: skip
    return next(decided for decided in types if decided.decision_type == (chosen or names[0]))


def answer(found: Performance) -> str:
    """How right the acts were, and what that rests on."""
    if found.reason:
        return f"Insufficient data on {found.decision_type}: {found.reason}"
    whole, seen = found.whole, found.whole.precision
    if seen.reason:
        known = f"; it can be {_span(seen.least, seen.most)}" if whole.acts else ""
        return f"Precision of {found.decision_type} is not known: {seen.reason}{known}"
    return (
        f"{_percent(seen.value)} of the acts of {found.decision_type} that were carried out and "
        f"labelled were needed (n\u00a0=\u00a0{count(seen.n)}); of all proposed acts it can be "
        f"{_span(seen.least, seen.most)}"
    )


def tiles(found: Performance) -> tuple[Tile, ...]:
    """The numbers and their bases."""
    whole = found.whole
    age = found.maturity.age
    return (
        Tile("Precision, carried out", *_tile(whole.precision)),
        Tile("Recall, carried out", *_tile(whole.recall)),
        Tile(
            "Brier score",
            "not known" if whole.brier.reason else number(whole.brier.value),
            whole.brier.reason
            or f"{number(whole.brier.low)} to {number(whole.brier.high)}, n = {count(whole.brier.n)}",
            "Mean squared distance of the score from what was true: 0 is best, 0.25 is a coin.",
        ),
        Tile(
            "Labelled, of acts",
            share(whole.labelled, whole.actuated),
            of(whole.labelled, whole.actuated) + " carried out",
        ),
        Tile("Blocked, of acts", share(whole.blocked, whole.acts), of(whole.blocked, whole.acts)),
        Tile(
            "Mature after",
            "not known" if age is None else duration(age.total_seconds()),
            f"{count(whole.young)} of {count(whole.proposals)} are younger",
            "By then all but a few of the labels that ever come are here; younger decisions are not scored.",
        ),
    )


def maturity(found: Performance) -> str:
    """What is left out, and why."""
    age = found.maturity.age
    if age is None:
        return ""
    return (
        f"{MATURE_SHARE:.0%} of the labels that come do so within {duration(age.total_seconds())}: "
        f"{many(found.whole.young, 'younger decision')} "
        f"{'is' if found.whole.young == 1 else 'are'} not scored."
    )


def calibration(found: Performance) -> str:
    """How far scores lie from what was true."""
    seen = found.calibration
    if not seen.bins:
        return "No labelled decision has a score from 0 to 1."
    return (
        f"Calibration error {number(seen.error)}: the mean distance from the diagonal, "
        f"n = {count(seen.labelled)} labelled, ten bins of equal width."
    )


def slices(by: str, shown: Sequence[Slice]) -> None:
    """A table of the type's performance by what it is split."""
    if not shown:
        return
    components.section(f"By {by}")
    components.wide_listing(
        [
            {
                by.capitalize(): one.name,
                "Acts, n": count(one.acts),
                "Blocked": share(one.blocked, one.acts),
                "Labelled": share(one.labelled, one.actuated),
                "Precision, carried out": _cell(one.precision),
                "Precision can be": _span(one.precision.least, one.precision.most),
                "Brier": "–" if one.brier.reason else number(one.brier.value),
                "Young, n": count(one.young),
            }
            for one in shown
        ],
        alt=f"Performance by {by}",
        key=f"performance_by_{by}",
    )


def beyond_labels(found: Performance) -> None:
    """What is estimated of what has no label, and why it may not be believed."""
    components.section("Beyond the labels", "estimates that assume something")
    guess, weighed = found.from_scores, found.weighted
    expected = (
        f"precision {_percent(guess.precision)}, recall {_percent(guess.recall)}, "
        f"{many(guess.decisions, 'decision')}, young ones included"
    )
    if guess.doubt:
        said = f":gray[Not to be believed: {plain(guess.doubt)}. It would say {plain(expected)}.]"
    else:
        said = f"{plain(expected)}. Checked on labelled decisions only."
    rows = {"From scores alone (CBPE), assumes no concept drift": said}
    weighted = "Weighted by pass probability (IPW), assumes that labels come by chance"
    rows[weighted] = (
        f":gray[{plain(weighed.reason.capitalize())}.]"
        if weighed.reason
        else f"precision of all proposed acts {plain(_cell(weighed))}"
    )
    components.facts(rows, alt="Estimates beyond the labels")


def _tile(seen: Estimate) -> tuple[str, str, str]:
    can_be = f"Can be {_span(seen.least, seen.most)}, whatever the unknown are."
    if seen.reason:
        return "not known", f"can be {_span(seen.least, seen.most)}", f"{seen.reason}. {can_be}"
    return _percent(seen.value), f"{_span(seen.low, seen.high)}, n = {count(seen.n)}", can_be


def _cell(seen: Estimate) -> str:
    if seen.reason:
        return f"not known: {seen.reason}"
    return f"{_percent(seen.value)} ({_span(seen.low, seen.high)}, n = {count(seen.n)})"


def _span(low: float, high: float) -> str:
    if math.isnan(low):
        return "–"
    return f"{number(round(100 * low, 1))} to {_percent(high)}"


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else number(round(100 * value, 1), "%")
