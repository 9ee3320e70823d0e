"""Since when an input has moved: its evidence by day, which input moved first, and what was changed then."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import polars as pl
import streamlit as st

from observability.figures.evidence_course import MOST, evidence_course
from observability.monitor.evidence import LEAST_EFFECT, SATURATED
from observability.monitor.stream_evidence import StreamEvidence, input_evidence
from observability.monitor.triage import Trouble
from observability.store.read_changes import MOST_CHANGES, between, in_words, labels
from pages import components
from pages.drift_parts import Chosen, whom
from pages.format import count, day, instant, many, number, plain

_NAMED = 3
_JUST_BEFORE = timedelta(days=2)


def since_when(chosen: Chosen, changes: pl.DataFrame | None) -> None:
    """The evidence of one input beside the `changes` of devices; None where no day is watched."""
    watched, name, device = chosen.watched, chosen.name, chosen.device
    if watched is None or changes is None:
        components.section(f"Since when has {name} moved?")
        st.markdown("No day since the baseline, so nothing can be said yet.")
        return
    found = input_evidence(watched, name)
    stream = found.of(device)
    trouble = next((one for one in chosen.troubles if _about(one, name, device)), None)
    components.section(
        _heading(name, stream, trouble, found.needed), f"evidence by day, {whom(device)}"
    )
    said = f"{_first_moved(chosen.troubles)} {_about_then(trouble, changes)}".strip()
    if said:
        st.markdown(plain(said))
    width = watched.drift.width
    components.figure(
        evidence_course(found, device, width, labels(changes, width)),
        alt=f"Evidence that {name} has moved by day, with what was changed on devices",
        key="drift_evidence",
    )
    resets = " ✕: forgotten, as the device got another model version." if stream.reset.any() else ""
    marks = (
        f"  \n▼ devices got a model version, firmware or gate limit, the first {MOST_CHANGES} of them: "
        "nearness in time is no proof."
        if changes.height
        else ""
    )
    st.caption(
        "Evidence grows on days unlike the baseline's own and shrinks on others. "
        f"From {count(round(found.needed))} on it alarms, if PSI since it began is {LEAST_EFFECT} or more; "
        f"it stops at {count(round(SATURATED * found.needed))}. Thin lines: the other devices and the fleet, "
        f"at most {MOST}.{resets}{marks}"
    )


def _about(one: Trouble, name: str, device: str | None) -> bool:
    return name in one.inputs and (device is None or not one.devices or device in one.devices)


def _heading(name: str, stream: StreamEvidence, trouble: Trouble | None, needed: float) -> str:
    if trouble is not None:
        whose = f" on {_devices(trouble)}" if trouble.devices and not stream.device else ""
        if trouble.to is None:
            return f"{name} has moved{whose} since {day(trouble.since)}"
        return f"{name} moved{whose} from {day(trouble.since)} to {day(trouble.to)}"
    if stream.insufficient:
        return f"Nothing can be said of {name}: {stream.insufficient.value}"
    strongest, alarm = number(stream.strongest), count(round(needed))
    return f"No alarm on {name}: evidence came to {strongest} of the {alarm} that alarm"


def _first_moved(troubles: Sequence[Trouble]) -> str:
    """Which input moved first, and what followed."""
    ordered = sorted(troubles, key=lambda one: one.since)
    if not ordered:
        return ""
    first, rest = ordered[0], ordered[1 : 1 + _NAMED]
    more = len(ordered) - 1 - len(rest)
    then = ", ".join(f"{one.inputs[0]} ({day(one.since)})" for one in rest)
    also = f", {count(more)} more" if more else ""
    followed = f"; then {then}{also}" if rest else ""
    return f"{first.inputs[0]} moved first, on {_devices(first)}, {day(first.since)}{followed}."


def _about_then(trouble: Trouble | None, changes: pl.DataFrame) -> str:
    """What was changed on the trouble's devices from two days before it began to its first day's end."""
    if trouble is None:
        return ""
    since, until = trouble.since - _JUST_BEFORE, trouble.since + timedelta(days=1)
    near = between(changes, since, until, trouble.devices)
    if near.is_empty():
        return f"On {_devices(trouble)} nothing that is recorded was changed about then."
    said = [
        f"{words} ({instant(at)})"
        for words, at in zip(in_words(near), near["changed_at"], strict=True)
    ]
    return f"Changed about then: {'; '.join(said)}."


def _devices(one: Trouble) -> str:
    if len(one.devices) == 1:
        return one.devices[0]
    return many(len(one.devices), "device") if one.devices else "the fleet"
