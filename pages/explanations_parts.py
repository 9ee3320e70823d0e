"""What a model attends to, in words and figures: by time, by decision, by value, and what sets some apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import streamlit as st

from observability.explain.differences import FEWEST, Beside, Difference, Differences
from observability.explain.drawn import Drawn
from observability.explain.importance import Change, Importance, changed
from observability.figures.beeswarm import MOST_DOTS, TOP, beeswarm
from observability.figures.decision_plot import decision_plot
from observability.figures.dependence import dependence
from observability.figures.differences import differences_ranked, size_text
from observability.figures.importance import importance_over_time
from observability.store.read_explained import Explained
from pages import components
from pages.format import (
    count,
    day,
    days,
    duration,
    instant,
    link_unit,
    many,
    number,
    of,
    plain,
    share,
    short_digest,
    signed,
    span,
)

TYPE, MODEL, SPEC, INPUT = "explained_type", "explained_model", "explained_spec", "explained_input"
SELECTION = "these"
_LISTED = 10
FIXED = "Explains the model, not the cause. Correlated sensors share or swap credit."


def controls(every: Sequence[Explained]) -> tuple[Explained, str | None]:
    """What is shown, one decision type, model and spec, and the input whose values are."""
    with st.grid(4, min_column_width=180, gap="xsmall"):
        left = _narrowed(every, TYPE, "Decision type", [each.decision_type for each in every])
        left = _narrowed(left, MODEL, "Model version", [_model(each) for each in left])
        if len(left) > 1:
            left = _narrowed(left, SPEC, "Spec", [short_digest(each.spec_id) for each in left])
        name = _pick(INPUT, "Input", [one.name for one in left[0].inputs], "the weightiest")
    return left[0], name


def answer(shown: Explained, found: Importance | None, when: str) -> str:
    """What the model attends to most, and what changed."""
    if found is None:
        return f"No decision of {_model(shown)} is explained {when}"
    names = [one.name for one in shown.inputs]
    shares = found.shares.tolist()
    used = [number for number in found.ranked if shares[number] > 0]
    if not used:
        return f"{_model(shown)} attends to no input: none pushed its output"
    first, *others = used
    said = f"{_model(shown)} attends most to {names[first]} ({_share(shares[first])} of mean |phi|)"
    if others:
        said += f", then {names[others[0]]} ({_share(shares[others[0]])})"
    change = changed(found)
    return said if change is None else f"{said}; {_changed(change, found)}"


def elsewhere(shown: Explained) -> str:
    """When there is something to see."""
    return f"Its newest explained decision was made {instant(shown.last_at)}. Widen the time range."


def population(found: Importance) -> None:
    """What all figures rest on, and how they were computed."""
    shown, known = found.of, found.extent
    stand_for = found.weights.sum()
    sampled = (
        f", sampled: they stand for {number(round(stand_for))}"
        if abs(stand_for - known.attributions) > 0.5
        else ""
    )
    out = (
        f" {many(known.left_out, 'explanation')} left out as not in order, "
        f"mostly: {plain(known.left_out_why or '')}."
        if known.left_out
        else ""
    )
    when = span(known.first_at, known.last_at) if known.first_at and known.last_at else ""
    st.caption(
        f"{plain(shown.decision_type)}: {share(known.attributions, known.decided)} of "
        f"{many(known.decided, 'decision')} explained, n\u00a0=\u00a0{count(known.attributions)}{sampled}, "
        f"of {many(known.devices, 'device')}, {when}.{out}  \n"
        f"Relative to {count(shown.background_rows)} rows of the reference "
        f"{short_digest(shown.reference_id)}, {days(shown.background_from, shown.background_to)}; "
        f"{plain(shown.output)} in {link_unit(shown.link)}, {plain(shown.algorithm)}.  \n{FIXED}"
    )


def over_time(found: Importance) -> None:
    """The heatmap of mean |phi|."""
    unit = link_unit(found.of.link)
    each = duration(found.width.total_seconds())
    components.section("Mean |phi| by input and time", f"how far each input pushes, {unit}")
    components.figure(
        importance_over_time(found, unit),
        alt=f"Mean |phi| of each input in {unit}, by {each}",
        key="explained_importance",
    )
    st.caption(
        f"A column is {each}; the number beside a name is its share of all mean |phi|. "
        "Empty: nothing explained then."
    )


def swarm(sample: Drawn) -> None:
    """The beeswarm; a press on a dot chooses its input."""
    unit = link_unit(sample.of.link)
    rows = min(TOP, len(sample.of.inputs))
    dots = min(len(sample.phi), MOST_DOTS // rows)
    components.section("Each decision", f"a dot is a decision, {of(dots, sample.selected)}")
    names = [sample.of.inputs[n].name for n in sample.ranked[:rows]]
    components.figure_to_press(
        beeswarm(sample, unit),
        alt=f"How far each of {rows} inputs pushed each decision, {unit}",
        key="explained_swarm",
        pressed=lambda place: _choose(names[place]),
    )
    st.caption("Right of zero raises the output, left lowers it. Press a dot to choose its input.")


def one_input(sample: Drawn, name: str | None) -> None:
    """The dependence of one input: the chosen one, else the weightiest."""
    names = [one.name for one in sample.of.inputs]
    place = names.index(name) if name in names else sample.ranked[0]
    unit = link_unit(sample.of.link)
    missing = int(sample.missing[place])
    dots = len(sample.phi) - missing
    components.section(
        f"{names[place]}: value and push", f"a dot is a decision, {of(dots, sample.selected)}"
    )
    components.figure(
        dependence(sample, place, unit),
        alt=f"What {names[place]} pushed, {unit}, by its value",
        key="explained_dependence",
    )
    left = f" {many(missing, 'missing value')} not drawn." if missing else ""
    st.caption(f"Spread at one value comes from the other inputs beside it.{left}")


def difference_in_words(found: Differences) -> None:
    """What is most different, and how many are compared."""
    n = (
        f"n\u00a0=\u00a0{count(found.selected)} explained of {count(found.decided_selected)} selected, "
        f"beside {count(found.others)} of {count(found.decided_others)}"
    )
    top = found.ranked[0] if found.ranked else None
    if not found.selected or not found.others or top is None or not top.weight:
        st.markdown(f"Nothing to tell apart: {n}.")
        return
    few = (
        f" Fewer than {FEWEST} on one side: read with care."
        if min(found.selected, found.others) < FEWEST
        else ""
    )
    st.markdown(
        f"**{plain(_name(top))}** is most different: {plain(_in_words(top, found))}; {n}.{few}"
    )


def apart(found: Differences | None) -> None:
    """The ranked differences."""
    if found is None:
        st.markdown(
            "Nothing is set apart yet. Choose a device, a disposition, a gate or a time above."
        )
        return
    components.figure(
        differences_ranked(found),
        alt="The inputs that differ most between the selection and the others, in standard deviations",
        key="explained_differences",
    )


def lines(sample: Drawn, whose: str) -> None:
    """The decision plot."""
    unit = link_unit(sample.of.link)
    components.figure(
        decision_plot(sample, unit),
        alt=f"How {len(sample.phi)} decisions came from the base to their output, {unit}",
        key="explained_lines",
    )
    st.caption(
        f"A line is a decision, {of(len(sample.phi), sample.selected)} of {whose}; "
        "read upwards, each step is what one input pushed."
    )


def table(found: Differences) -> None:
    """The differences in numbers."""
    unit = link_unit(found.of.link)
    pushes = [abs(mean) for one in found.ranked for mean in (one.phi.mean, one.phi.others)]
    most = max((push for push in pushes if push > 0), default=1.0)
    components.listing(
        [
            {
                "Input": plain(_name(one)),
                "Value, these": _value(one, one.value.mean),
                "the others": _value(one, one.value.others),
                "SD apart": size_text(one.value.standardised) or "–",
                f"Mean phi, these ({unit})": _phi(one.phi.mean, most),
                "the others ": _phi(one.phi.others, most),
                "SD apart ": size_text(one.phi.standardised) or "–",
            }
            for one in found.ranked[:_LISTED]
        ],
        alt="The inputs that differ most, in numbers",
    )
    left = len(found.ranked) - _LISTED
    more = f" {many(left, 'input')} less different not listed." if left > 0 else ""
    st.caption(
        "SD apart: difference of the means in standard deviations. Values are of all decisions of this "
        f"model and time, phi of the explained ones.{more}"
    )


def _choose(name: str) -> None:
    st.session_state[INPUT] = name


def _narrowed(
    left: Sequence[Explained], key: str, label: str, names: Sequence[str]
) -> Sequence[Explained]:
    chosen = _pick(key, label, list(dict.fromkeys(names)), names[0]) or names[0]
    return [one for one, name in zip(left, names, strict=True) if name == chosen]


def _pick(key: str, label: str, options: Sequence[str], usual: str) -> str | None:
    if st.session_state.get(key) not in (None, *options):
        del st.session_state[key]
    return st.selectbox(label, options, index=None, key=key, bind="query-params", placeholder=usual)


def _model(shown: Explained) -> str:
    return " = ".join(shown.models) or short_digest(shown.model_digest)


def _share(part: float) -> str:
    return number(round(100 * part, 0 if part >= 0.1 else 1), "%")


def _changed(change: Change, found: Importance) -> str:
    verb = "gained" if change.after > change.before else "lost"
    since = day(change.since) if found.width.days else instant(change.since)
    return f"since {since} {change.name} {verb} ({_share(change.before)} → {_share(change.after)})"


def _name(one: Difference) -> str:
    return one.name if one.level is None else f"{one.name} = {one.level}"


def _in_words(one: Difference, found: Differences) -> str:
    pushed = (
        f"it pushes {signed(one.phi.mean, resolution=_apart(one.phi))} beside "
        f"{signed(one.phi.others, link_unit(found.of.link), resolution=_apart(one.phi))}"
    )
    value = f"{_value(one, one.value.mean)} beside {_value(one, one.value.others)}"
    return f"mean {value}, {pushed}" if one.level is None else f"{value}, {pushed}"


def _value(one: Difference, mean: float) -> str:
    if one.level is not None:
        return _share(mean) if not math.isnan(mean) else "–"
    return number(mean, one.unit, resolution=_apart(one.value))


def _phi(mean: float, most: float) -> str:
    """A mean phi as fine as the largest of the table: what is far less than that is nothing."""
    if not math.isfinite(mean):
        return "–"
    return signed(round(mean, 2 - math.floor(math.log10(most))) + 0.0)  # no minus before zero


def _apart(beside: Beside) -> float:
    """How fine both means must be written for their difference to show."""
    apart = abs(beside.mean - beside.others)
    return apart if math.isfinite(apart) else 0.0
