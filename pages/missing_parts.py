"""Decisions that were due and are not here, in words: of the fleet, and of one device."""

from __future__ import annotations

import polars as pl
import streamlit as st

from observability.monitor.cadence import RULE, Cadence, Reason
from observability.store.read_cadence import LOOK_BACK
from pages import components, tables
from pages.format import count, duration, instant, many, number, plain, share

_SAID: dict[Reason, str] = {
    "never made": "never made",
    "not arrived yet": "made and not received yet",
    "dropped on the device": "dropped on the device",
    "unknown": "of unknown cause",
}
_NAMED = 3
EXPECTED = (
    f"How the expectation was got: of each device and decision type, {RULE.share:.0%} of at least "
    f"{RULE.fewest} gaps between decisions lie within {RULE.spread:.0%} of their median, in this time and "
    f"the {LOOK_BACK.days} days before; a gap of more than {RULE.longer:g} medians had room for more. A "
    "pause that was meant counts too. Where the device numbers its decisions, no missing number in a gap "
    "says that none was made, a missing one that it was made and is not here. Of a silent device nobody "
    "knows: it may be off, or only out of reach."
)


def fleet(found: Cadence) -> str | None:
    """What was due and is not here; the device whose row was opened, if any."""
    components.section("Missing decisions", "by each device's own cadence")
    st.markdown(f"{_shape(found)} {sentence(found)}.")
    if not found.expected.is_empty():
        components.listing(_types(found), alt="Cadence of each decision type over its devices")
    chosen = None
    if found.missed or found.silent:
        shown = tables.missing(found)
        row = components.grid(**shown, key="missing")
        chosen = None if row is None else shown["shown"]["device_id"][row]
        stretches = len(found.missed) + len(found.silent)
        if stretches > tables.MISSING_LISTED:
            st.caption(
                f"{count(tables.MISSING_LISTED)} of {count(stretches)} stretches are listed."
            )
    st.caption(_irregular(found) + EXPECTED)
    return chosen


def device(found: Cadence) -> None:
    """One device's cadence, and what of it is not here."""
    every = [
        f"{plain(row['decision_type'])} every {_every(row['cadence_s'])} "
        f"({share(row['regular'], row['gaps'])} of {many(row['gaps'], 'gap')} regular)"
        for row in found.expected.iter_rows(named=True)
    ]
    if not every:
        st.markdown("Cadence: it decides at no regular times, so none can be said to be missing.")
        return
    st.markdown(f"Cadence: {'; '.join(every)}. {_shape(found)} {sentence(found)}.")
    if found.missed:
        with st.expander(f"{many(len(found.missed), 'gap')} with decisions due"):
            tables_ = tables.missing(found)
            components.grid(**tables_, key="missing")
            st.caption(EXPECTED)


def sentence(found: Cadence) -> str:
    """Is every decision here that was due, as Markdown without its full stop."""
    if found.expected.is_empty() and not found.silent:
        return "No device decides at regular times, so none can be said to be missing"
    counts = {said: found.decisions(reason) for reason, said in _SAID.items()}
    total = sum(counts.values())
    between = "No decision is missing between others"
    if total:
        causes = ", ".join(f"{count(n)} {said}" for said, n in counts.items() if n)
        were = "decision was due and is" if total == 1 else "decisions were due and are"
        between = f"**{count(total)} {were} not here**: {causes}"
    quiet = _silent(found)
    return f"{between}; {quiet}" if quiet else between


def _silent(found: Cadence) -> str:
    names = list(dict.fromkeys(one.device_id for one in found.silent))
    if not names:
        return ""
    due = [one.due for one in found.silent if one.due is not None]
    then = f", {many(sum(due), 'decision')} due since" if due else ""
    if len(names) == 1:
        since = max(one.since for one in found.silent)
        return f"**{plain(names[0])} is silent** since {instant(since)}{then}"
    more = " …" if len(names) > _NAMED else ""
    named = ", ".join(plain(name) for name in names[:_NAMED])
    return f"**{many(len(names), 'device')} are silent**: {named}{more}{then}"


def _shape(found: Cadence) -> str:
    return ":red[■]" if found.missed or found.silent else "●"


def _irregular(found: Cadence) -> str:
    if not found.irregular:
        return ""
    streams = many(found.irregular, "stream")
    return f"Nothing is expected of {streams} (a type on a device) without regular times.  \n"


def _every(seconds: float) -> str:
    """A cadence, without the jitter below a second of what takes many."""
    return duration(round(seconds) if seconds >= 10 else seconds)


def _types(found: Cadence) -> list[dict[str, str]]:
    by_type = found.expected.group_by("decision_type").agg(
        pl.len().alias("devices"),
        pl.col("cadence_s").median().alias("median_s"),
        pl.col("cadence_s").min().alias("least_s"),
        pl.col("cadence_s").max().alias("most_s"),
        pl.col("regular", "gaps").sum(),
    )
    missing = dict.fromkeys(by_type["decision_type"], 0)
    for one in found.missed:
        missing[one.decision_type] += one.decisions
    return [
        {
            "Decision type": plain(row["decision_type"]),
            "Devices with a cadence": count(row["devices"]),
            "Every, median": _every(row["median_s"]),
            "Least to most": f"{_every(row['least_s'])} to {_every(row['most_s'])}",
            "Regular gaps": f"{number(100 * row['regular'] / row['gaps'], '%')} of {count(row['gaps'])}",
            "Due and not here": count(missing[row["decision_type"]]),
        }
        for row in by_type.sort("decision_type").iter_rows(named=True)
    ]
