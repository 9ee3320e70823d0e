"""Whose shift it is: each device's and group's exact part of it, and each device by day."""

from __future__ import annotations

import polars as pl
import streamlit as st

from observability.figures.contribution_bars import TOP, contribution_bars
from observability.figures.heatmap import heatmap
from observability.monitor import drift
from observability.monitor.contribution import (
    MOST,
    Contributions,
    carriers,
    grouped,
    of_devices,
)
from observability.monitor.drift import Drift
from pages import components
from pages.drift_parts import Chosen, alarmed, bucket, when
from pages.format import many, number

BY = "drift_by"
_COLUMNS = {"site": "site", "firmware": "firmware", "model version": "model"}
_NAMED = 3


def contributions(chosen: Chosen, stands: pl.DataFrame) -> None:
    """The bars, by device or by what is recorded of devices (`stands`), and what they say in words."""
    shown, name = chosen.drift, chosen.name
    if len(shown.devices) < 2:
        components.section(f"Whose shift of {name} is it?")
        st.markdown("There is one device only, so it is all its own.")
        return
    names, parts = of_devices(shown, name, *chosen.now)
    headline = st.container()
    by = _by_control(stands)
    if by in _COLUMNS:
        place = dict(zip(stands["device_id"], stands[_COLUMNS[by]], strict=True))
        groups = [place.get(each, each) or "not recorded" for each in names]
        names, parts = grouped(parts, groups)
    with headline:
        components.section(_whose(name, names, parts, by), when(chosen))
    if not parts.whole > 0:
        st.markdown("Its values lie in the bins as they did in the baseline.")
        return
    components.figure(
        contribution_bars(names, parts, chosen.device),
        alt=f"Share of each {by} in the shift of {name}",
        key="drift_whose",
    )
    st.caption(
        f"Exact shares of the fleet's shift; all sum to 100 % of {number(parts.whole)} (over bins, the "
        f"squared change of the share by the baseline's share). {_mix(parts)} "
        f"Left of 0: it pulls the fleet back. At most {TOP} are drawn one by one."
    )


def by_day(chosen: Chosen) -> None:
    """The heatmap of one input over all devices."""
    shown, name = chosen.drift, chosen.name
    names, cells = drift.by_device(shown, name, shown.after)
    most = f"; the {len(names)} that moved most" if len(names) < len(shown.devices) else ""
    components.section(f"{name} by device", f"{_beside(shown)}{most}")
    components.figure(
        heatmap(
            cells,
            names,
            shown.starts,
            shown.width,
            baseline_until=shown.baseline.last_at,
            chosen=chosen.device,
            alarmed=alarmed(shown, chosen.watched, [(each, name) for each in names]),
        ),
        alt=f"PSI of {name} by device and {bucket(shown)}",
        key="drift_devices",
    )


def _by_control(stands: pl.DataFrame) -> str:
    """By what the parts are summed: devices, or what is recorded of them and differs."""
    known = [by for by, column in _COLUMNS.items() if stands[column].n_unique() > 1]
    if not known:
        return "device"
    st.segmented_control(
        "Whose, by", ("device", *known), key=BY, default="device", required=True,
        bind="query-params", label_visibility="collapsed",
    )  # fmt: skip
    picked = str(st.session_state.get(BY))
    return picked if picked in known else "device"


def _whose(name: str, names: tuple[str, ...], parts: Contributions, by: str) -> str:
    strongest = [names[place] for place in carriers(parts).tolist()]
    if not strongest:
        return f"{name} has not moved on any {by}"
    carried = min(round(100 * float(parts.shares[carriers(parts)].sum())), 100)
    if len(strongest) <= _NAMED:
        verb = "carries" if len(strongest) == 1 else "carry"
        most = "all" if carried == 100 else number(carried, "%")
        return f"{_and(strongest)} {verb} {most} of the fleet's shift of {name}"
    return (
        f"The shift of {name} is spread: {number(100 * MOST, '%')} of it takes "
        f"{len(strongest)} of {many(len(names), by)}"
    )


def _mix(parts: Contributions) -> str:
    mix = number(round(100 * float(parts.mix.sum()) / parts.whole, 1), "%")
    return f"Mix (who decides how often) is {mix} of it, values that moved are the rest."


def _and(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def _beside(shown: Drift) -> str:
    own, every = int(shown.own.sum()), len(shown.devices)
    if own == every:
        return "each beside its own baseline"
    if not own:
        return "beside the fleet's baseline"
    return f"{own} of {every} beside their own baseline, the others beside the fleet's"
