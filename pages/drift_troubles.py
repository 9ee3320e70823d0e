"""What is wrong with the inputs, in words: each trouble with its name, its place, its time and its counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import time, timedelta

import streamlit as st

from observability.monitor.calibration import Insufficient
from observability.monitor.quality import Break
from observability.monitor.triage import Trouble
from observability.monitor.verdict import Verdict
from observability.monitor.watched import Watched
from pages import components
from pages.drift_parts import choose
from pages.format import count, day, days, instant, many, number, plain, span

_NAMED = 2
_BROKEN = {
    Break.NULL: "is missing",
    Break.NAN: "is no number",
    Break.STUCK: "stood still",
    Break.CATEGORY: "has unknown categories",
    Break.RANGE: "is far outside the range of its baseline",
}
HOW_SURE = (
    "Alarms are calibrated on how much the baseline's own days differ, by device and input: of simulated "
    "healthy ones at most 3 in 1,000 alarmed within 30 days. PSI is the size of the effect, never the alarm."
)


def answer(troubles: Sequence[Trouble], watched: Sequence[Watched]) -> str:
    """The worst trouble, or that there is none, or why nothing can be said."""
    if not any(each.judged for each in watched):
        return f"Nothing can be judged yet: {_why_not(watched)}"
    wrong = [trouble for trouble in troubles if trouble.wrong]
    if wrong:
        more = f"; {many(len(wrong) - 1, 'more trouble')} below" if len(wrong) > 1 else ""
        return f"{said(wrong[0])}{more}"
    judged = sum(each.judged for each in watched)
    also = f"; {many(len(troubles), 'shift')} of the process below" if troubles else ""
    return f"No input departs from its baseline, {many(judged, 'stream')} judged{also}"


def said(trouble: Trouble) -> str:
    """One trouble in a sentence, with its place, its time and its counts."""
    return f"{_what(trouble)}, {_when(trouble)} ({_evidence(trouble)})"


def trouble_list(troubles: Sequence[Trouble]) -> None:
    """All troubles, each with the way to its figures."""
    if not troubles:
        return
    components.section("Troubles of inputs", "what is wrong first, then what still stands")
    with st.container(border=True, gap="xsmall", key="troubles"):
        for place, trouble in enumerate(troubles):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                line(trouble, stands=trouble.wrong and trouble.to is None)
                st.button(
                    "Show", key=f"show_{place}", type="tertiary", on_click=choose,
                    args=(trouble.decision_types[0], trouble.devices, trouble.inputs[0]),
                )  # fmt: skip
    st.caption(HOW_SURE)


def line(trouble: Trouble, *, stands: bool) -> None:
    """A trouble in a line, marked where a person should look now."""
    shape = ":red[■]" if stands else ":gray[□]"
    st.markdown(
        f"{shape} **{trouble.verdict.capitalize()}** — {plain(said(trouble))}", width="stretch"
    )


def _what(trouble: Trouble) -> str:
    where = _where(trouble)
    if not trouble.wrong:
        names = ", ".join(trouble.inputs[:_NAMED])
        more = " …" if len(trouble.inputs) > _NAMED else ""
        return (
            f"{many(len(trouble.inputs), 'input')} ({names}{more}) moved together {where}: "
            "the process rather than a sensor"
        )
    name = trouble.inputs[0]
    if trouble.verdict is Verdict.UNIT and trouble.unit_change is not None:
        change = trouble.unit_change
        plus = "" if not change.offset else f" plus {number(change.offset)}"
        return f"{name} {where} is in another unit: {number(change.factor)} times what it was{plus}"
    if trouble.broken is not None:
        return f"{name} {where} {_BROKEN[trouble.broken]}"
    return f"{name} {where} shifted{_means(trouble)}"


def _where(trouble: Trouble) -> str:
    devices = trouble.devices
    if not devices:
        return "across the fleet" if trouble.of_devices > 1 else "on the only device"
    if len(devices) == 1:
        return f"on {devices[0]}"
    names = ", ".join(devices[:_NAMED]) + (" …" if len(devices) > _NAMED else "")
    return f"on {len(devices)} of {many(trouble.of_devices, 'device')} ({names})"


def _when(trouble: Trouble) -> str:
    """By day, where it is known to the day; else to the minute."""
    since, to = trouble.since, trouble.to
    whole = all(at is None or at.time() == time() for at in (since, to))
    if to is None:
        return f"since {day(since)}" if whole else f"since {instant(since)}"
    return f"from {days(since, to - timedelta(days=1)) if whole else span(since, to)}"


def _evidence(trouble: Trouble) -> str:
    return f"PSI {number(trouble.psi)}, n\u00a0=\u00a0{count(trouble.values)}"


def _means(trouble: Trouble) -> str:
    if math.isnan(trouble.mean):
        return ""
    apart = abs(trouble.mean - trouble.usual_mean)
    before = number(trouble.usual_mean, resolution=apart)
    return f", mean {before} → {number(trouble.mean, trouble.unit, resolution=apart)}"


def _why_not(watched: Sequence[Watched]) -> str:
    """The commonest reason for which streams cannot be judged."""
    reasons = [
        reason.value
        for each in watched
        for reason in each.evidence.insufficient
        if reason is not Insufficient.NOTHING
    ]
    return max(set(reasons), key=reasons.count) if reasons else "no day since the baseline"
