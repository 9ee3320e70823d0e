"""One device in words, figures and small tables: what it did, and where it differs from the others."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from observability.figures.beside import beside
from observability.figures.course import course
from observability.monitor.one_device import OfDevice
from observability.monitor.quality import Break
from observability.store.read_device import Course, Known, changes_within
from observability.store.read_unusual import Gated, Shifted, Still, gated, shifted, stood_still
from pages import components
from pages.components import Tile
from pages.drift_troubles import said as trouble_said
from pages.format import (
    NOT_RECORDED,
    ago,
    count,
    duration,
    instant,
    many,
    number,
    of,
    plain,
    share,
    signed,
    span,
)
from pages.marks import THEMED, mark

PANELS = 15
"""Inputs drawn at most, those that differ first."""
_SAID = 2
_RESOURCE = {
    "service.version": "Firmware",
    "device.model.identifier": "Hardware",
    "geo.locality.name": "Place",
    "deployment.environment.name": "Environment",
    "service.name": "Sent by",
}


def meanwhile(seen: Known, when: str) -> str:
    """What is known before its inputs are judged."""
    return f"{seen.device_id} made {many(seen.decisions, 'decision')} {when}; looking at its inputs"


def healthy(
    seen: Known,
    found: Course | None,
    quiet: timedelta | None,
    drifted: OfDevice,
    recorded: bool,
    when: str,
) -> str:
    """Is it still healthy, in one sentence. `quiet`: how long it has been silent, if that is odd.

    Of an input that was judged, the page Drift has the word.
    """
    name = seen.device_id
    said = [] if quiet is None else [_silence(quiet, recorded)]
    still = () if found is None else stood_still(found)
    stuck = {one.name for one in still}
    said += [_still(one) for one in still]
    said += [
        trouble_said(one)
        for one in drifted.own
        if one.wrong and not (one.broken is Break.STUCK and one.inputs[0] in stuck)
    ]
    if found is not None:
        said += [_shifted(one, found) for one in unjudged(found, drifted)]
        said += [_gated(one) for one in gated(found.gates)]
    if not said:
        made = many(seen.decisions, "decision")
        shifts = len(drifted.own) + len(drifted.shared)
        if shifts:
            return (
                f"Nothing is wrong with {name} alone: {made} {when}; {many(shifts, 'shift')} below"
            )
        return f"Nothing changed on {name}: {made} {when}"
    more = f"; {many(len(said) - _SAID, 'more thing')} below" if len(said) > _SAID else ""
    return f"Look at {name}: {'; '.join(said[:_SAID])}{more}"


def unjudged(found: Course, drifted: OfDevice) -> tuple[Shifted, ...]:
    """The inputs that shifted against the others', of those that the page Drift cannot judge."""
    return tuple(one for one in shifted(found) if (found.type, one.name) not in drifted.judged)


def byline(seen: Known) -> bool:
    """What it last did, and whether the reader wants to see that decision."""
    last = seen.last
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f"Last decision: **{plain(last['last_action'])}**, {mark(last['last_disposition'])}, "
            f"{plain(last['type'])}, {instant(last['last_ever_at'])}",
            width="content",
        )
        return st.button("Why?", key="go_last", type="tertiary")


def tiles(seen: Known, now: datetime) -> tuple[Tile, ...]:
    """The device in four numbers."""
    last, interval_s = seen.last, seen.mean_interval_s
    every = "" if interval_s is None else f"usually every {duration(interval_s)}"
    return (
        Tile("Decisions", count(seen.decisions), _types(seen)),
        Tile("Blocked", share(seen.blocked, seen.decisions), of(seen.blocked, seen.decisions)),
        Tile("Last decision", ago((now - last["last_ever_at"]).total_seconds()), every),
        Tile("Firmware", seen.resource.get("service.version") or NOT_RECORDED, _hardware(seen)),
    )


def type_control(seen: Known) -> str:
    """Which of its decision types the page is about."""
    types = tuple(seen.types["type"])
    if len(types) == 1:
        return types[0]
    st.segmented_control(
        "Decision type",
        types,
        key="of_type",
        default=types[0],
        required=True,
        bind="query-params",
        label_visibility="collapsed",
    )
    picked = str(st.session_state.get("of_type"))
    return picked if picked in types else types[0]


def course_over_time(found: Course) -> None:
    """Decisions, scores and releases on one axis of time."""
    width = duration(found.bucket_width.total_seconds())
    components.section("Decisions and scores", f"{found.type}, {many(found.decisions, 'decision')}")
    components.figure_over_time(
        course(found.over_time, found.scores, changes_within(found), found.bucket_width, THEMED),
        alt="Decisions by disposition, scores against the threshold, and releases over time",
        key="device_course",
    )
    scored = "" if found.scores.height else " No score was recorded."
    st.caption(
        f"A bar is {width}; draw over bars to choose their time. "
        f"▼ first decision of a model version or firmware.{scored}"
    )


def inputs(found: Course) -> DeltaGenerator:
    """Each input beside the others'; those that differ first. Returns where `remarks` belong."""
    components.section(
        "Inputs", "its median beside the 5th to 95th percentile of all other devices"
    )
    remarks = st.container(gap="xsmall")
    if found.inputs.is_empty():
        st.markdown("No input was recorded.")
        return remarks
    off = (*stood_still(found), *shifted(found))
    ordered = dict.fromkeys([one.name for one in off] + found.inputs["name"].to_list())
    names = tuple(ordered)[:PANELS]
    components.figure(
        beside(found.inputs, names, found.units, found.bucket_width, THEMED),
        alt="Each input of this device over time beside the usual range of the other devices",
        key="device_inputs",
    )
    if len(ordered) > PANELS:
        st.caption(f"{PANELS} of {many(len(ordered), 'input')} are shown.")
    return remarks


def remarks(found: Course, drifted: OfDevice) -> None:
    """In words, the inputs that differ from the others'."""
    for one in stood_still(found):
        st.markdown(f"□ **{plain(_still(one))}**, {_stretch(one)}")
    for one in unjudged(found, drifted):
        st.markdown(f"□ **{plain(_shifted(one, found))}**")


def gates(found: Course) -> None:
    """How often each gate stepped in, here and elsewhere."""
    components.section("Gates", "in the order they were asked")
    if found.gates.is_empty():
        st.markdown("No gate was asked.")
        return
    more = {one.gate for one in gated(found.gates)}
    components.listing(
        [_gate(row, row["gate"] in more) for row in found.gates.iter_rows(named=True)],
        alt="Gates of this device: how often asked, blocked, and the share elsewhere",
    )


def outcomes(found: Course) -> None:
    """What turned out to be true of its decisions."""
    known = sum(found.outcomes["decisions"])
    components.section("Outcomes", f"known for {of(known, found.decisions)}")
    if not known:
        st.markdown("○ None is known yet.")
        return
    components.listing(
        [
            {
                "Outcome": plain(row["label"]),
                "Decisions": count(row["decisions"]),
                "Share": share(row["decisions"], known),
                "Newest": instant(row["newest_at"]),
            }
            for row in found.outcomes.iter_rows(named=True)
        ],
        alt="Outcomes of this device's decisions",
    )


def about(seen: Known) -> None:
    """What the device says of itself."""
    components.section("About", "as its newest decision says")
    said = {
        label: plain(seen.resource.get(name) or "") or NOT_RECORDED
        for name, label in _RESOURCE.items()
    }
    components.facts(said, alt="Firmware, hardware and place of the device")


def _types(seen: Known) -> str:
    return "of " + many(len(seen.types), "type") if len(seen.types) > 1 else seen.types["type"][0]


def _hardware(seen: Known) -> str:
    return seen.resource.get("device.model.identifier") or ""


def _silence(quiet: timedelta, recorded: bool) -> str:
    lasted = duration(quiet.total_seconds())
    return f"it stopped {lasted} before the recording ends" if recorded else f"silent for {lasted}"


def _still(one: Still) -> str:
    return f"{one.name} {'stands' if one.stands else 'stood'} still at {number(one.value)}"


def _stretch(one: Still) -> str:
    return span(one.first_at, one.last_at)


def _shifted(one: Shifted, found: Course) -> str:
    by = signed(one.by, found.units.get(one.name, ""))
    if one.until is not None:
        return f"{one.name} read {by} against the others, {span(one.since, one.until)}"
    return f"{one.name} reads {by} against the others since {one.since:%Y-%m-%d %H:%M} UTC"


def _gated(one: Gated) -> str:
    return (
        f"gate {one.gate} blocks {share(one.blocked, one.asked)} here, "
        f"{share(one.others_blocked, one.others_asked)} elsewhere"
    )


def _gate(row: Mapping[str, Any], more: bool) -> dict[str, str]:
    name = f"**{plain(row['gate'])}** □ more than elsewhere" if more else plain(row["gate"])
    return {
        "Gate": name,
        "Asked": count(row["asked"]),
        "Blocked": f"{count(row['blocked'])}, {share(row['blocked'], row['asked'])}",
        "Changed": count(row["changed"]),
        "Blocked elsewhere": share(row["others_blocked"], row["others_asked"])
        + (f" of {count(row['others_asked'])}" if row["others_asked"] else ""),
    }
