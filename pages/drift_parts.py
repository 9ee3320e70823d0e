"""How far inputs lie from their baseline: what moved most, by day, by device, and value by value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import streamlit as st

from observability.figures.heatmap import OF_DEVICES, OF_FLEET, heatmap
from observability.figures.overlay import overlay
from observability.monitor import drift
from observability.monitor.drift import Drift
from observability.monitor.moved import LISTED, Moved
from observability.monitor.psi import FEWEST
from observability.store.read_drift import BINS, DecidedType
from pages import components
from pages.format import count, day, days, many, number, plain, share

TYPE, MODEL, DEVICE, INPUT = "drift_type", "drift_model", "drift_device", "drift_input"
_NAMED = 3
NEVER_ALARMED = (
    "PSI is shown, never alarmed on: sensors repeat themselves, so healthy days differ too. "
    "A proper test comes with monitoring."
)


def ranked(found: Iterable[Sequence[Moved]]) -> tuple[Moved, ...]:
    """What moved most of all decision types."""
    every = [one for of_type in found for one in of_type]
    return tuple(sorted(every, key=lambda one: -one.weight)[:LISTED])


def answer(moved: Sequence[Moved], drifts: Sequence[Drift]) -> str:
    """Which input moved most, since when, and who carries it."""
    if not moved:
        inputs = sum(len(found.names) for found in drifts)
        return (
            f"No input moved beyond what its baseline's own days reach: {many(inputs, 'input')} "
            f"of {many(len(drifts), 'decision type')}"
        )
    top = moved[0]
    return (
        f"{top.name} of {top.decision_type} moved most: {_means(top)}{_who(top, named=1)}"
        f"{_carries(top)}, {_when(top)} (PSI {number(top.psi)}, n\u00a0=\u00a0{count(top.values)})"
    )


def moved_list(moved: Sequence[Moved]) -> None:
    """What moved most, each with the way to its figures."""
    if not moved:
        return
    components.section(
        "Moved most", "usual: the most that the baseline itself reached in as long a time"
    )
    with st.container(border=True, gap="xsmall", key="moved"):
        for place, one in enumerate(moved):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(_line(one), width="stretch")
                st.button(
                    "Show", key=f"show_{place}", type="tertiary", on_click=_choose, args=(one,)
                )


def type_control(types: Sequence[DecidedType], moved: Sequence[Moved]) -> DecidedType:
    """The decision type whose figures are drawn: the chosen one, else that of what moved most."""
    usual = moved[0].decision_type if moved else types[0].decision_type
    names = [decided.decision_type for decided in types]
    chosen = _pick(TYPE, "Decision type", names, usual) or usual
    return next(decided for decided in types if decided.decision_type == chosen)


def model_control(decided: DecidedType) -> str | None:
    """The model version whose decisions count."""
    names = sorted({f"{model.name} {model.version}" for model in decided.models})
    return _pick(MODEL, "Model version", names, "any")


def device_control(shown: Drift) -> str | None:
    """The device whose figures are drawn; None is the fleet."""
    return _pick(DEVICE, "Device", shown.devices, "the whole fleet")


def input_control(shown: Drift, moved: Sequence[Moved], device: str | None) -> str:
    """The input whose values are drawn: the chosen one, else what moved most."""
    of = [one for one in moved if device is None or device in one.devices] or moved
    usual = of[0].name if of else shown.names[0]
    return _pick(INPUT, "Input", shown.names, usual) or usual


def during(shown: Drift, moved: Sequence[Moved], name: str, device: str | None) -> tuple[int, int]:
    """The buckets that count as now: those in which the input moved, else all after the baseline."""
    for one in moved:
        if one.name == name and (device is None or not one.devices or device in one.devices):
            first = shown.starts.index(one.since)
            return first, first + one.buckets
    return shown.after, len(shown.starts)


def inputs(shown: Drift, name: str, device: str | None) -> None:
    """The heatmap of all inputs."""
    whose = "the fleet" if device is None else device
    components.section(f"Inputs of {shown.decision_type} by {_bucket(shown)}", whose)
    components.figure(
        heatmap(
            drift.by_input(shown, device),
            [
                _row(of.name, constant)
                for of, constant in zip(shown.baseline.inputs, shown.constant, strict=True)
            ],
            shown.starts,
            shown.width,
            baseline_until=shown.baseline.last_at,
            chosen=name,
            most=OF_FLEET if device is None else OF_DEVICES,
        ),
        alt=f"PSI of each input of {shown.decision_type} by {_bucket(shown)}, {whose}",
        key="drift_inputs",
    )
    st.caption(f"{_baseline(shown, device)} Grey: fewer than {FEWEST} values.  \n{NEVER_ALARMED}")


def values(shown: Drift, name: str, device: str | None, now: tuple[int, int]) -> None:
    """The overlay of one input."""
    n = shown.names.index(name)
    of, bins = shown.baseline.inputs[n], shown.baseline.bins[n]
    found = drift.overlay(shown, name, device, *now)
    last = shown.starts[now[1] - 1] + shown.width - timedelta(days=1)
    components.section(
        f"{name}: baseline and now",
        f"now: {days(shown.starts[now[0]], last)}, {device or 'the fleet'}",
    )
    components.figure(
        overlay(found, of, bins),
        alt=f"Share of values of {name} by bin, in the baseline and now",
        key="drift_values",
    )
    if bins.constant:
        said = (
            "never recorded" if math.isnan(bins.low) else f"constant at {number(bins.low, of.unit)}"
        )
        st.caption(f"{plain(name)} is {said} in the baseline, so it has no PSI.")
        return
    mean = (
        ""
        if math.isnan(found.mean)
        else f" Mean {number(found.usual_mean, of.unit)} → {number(found.mean, of.unit)}."
    )
    effect = f"fewer than {FEWEST} values" if math.isnan(found.psi) else f"PSI {number(found.psi)}"
    st.caption(f"{effect}.{mean} Missing now: {number(round(100 * found.missing, 2), '%')}.")


def versions(shown: Drift, name: str, device: str | None, now: tuple[int, int]) -> None:
    """The same values by model version."""
    rows = drift.by_version(shown, name, device, *now)
    components.section(f"{name} by model version", f"now, {device or 'the fleet'}")
    components.listing(
        [
            {
                "Model version": plain(row["model"]),
                "PSI": "too few" if math.isnan(row["psi"]) else number(row["psi"]),
                "Values": count(row["values"]),
                "Devices": count(row["devices"]),
            }
            for row in rows.iter_rows(named=True)
        ],
        alt=f"PSI of {name} by model version",
    )


def devices(shown: Drift, name: str, device: str | None) -> None:
    """The heatmap of one input over all devices."""
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
            chosen=device,
        ),
        alt=f"PSI of {name} by device and {_bucket(shown)}",
        key="drift_devices",
    )


def _choose(one: Moved) -> None:
    alone = one.devices[0] if len(one.devices) == 1 else None
    for key, value in (
        (TYPE, one.decision_type), (MODEL, None), (DEVICE, alone), (INPUT, one.name),
    ):  # fmt: skip
        st.session_state[key] = value


def _pick(key: str, label: str, options: Sequence[str], usual: str) -> str | None:
    if st.session_state.get(key) not in (None, *options):
        del st.session_state[key]
    return st.selectbox(label, options, index=None, key=key, bind="query-params", placeholder=usual)


def _line(one: Moved) -> str:
    usual = f", usual up to {number(one.usual)}" if one.usual else ""
    return (
        f"**{plain(one.name)}** of {plain(one.decision_type)} — {plain(_means(one))}"
        f"{plain(_who(one, named=_NAMED))}, {_when(one)}: PSI {number(one.psi)}{usual}, "
        f"n\u00a0=\u00a0{count(one.values)}"
    )


def _who(one: Moved, *, named: int) -> str:
    if not one.devices:
        return "across the fleet" if one.of_devices > 1 else "on the only device"
    if len(one.devices) == 1:
        return f"on {one.devices[0]}, 1 of {many(one.of_devices, 'device')}"
    names = ", ".join(sorted(one.devices)[:named]) + (" …" if len(one.devices) > named else "")
    return f"on {len(one.devices)} of {many(one.of_devices, 'device')}" + (
        f" ({names})" if named > 1 else ""
    )


def _carries(one: Moved) -> str:
    """How much of the fleet's shift it is; others may pull the other way."""
    if not one.devices or not one.share > 0:
        return ""
    verb = "carries" if len(one.devices) == 1 else "carry"
    part = "all" if one.share >= 0.995 else f"{one.share:.0%}"
    return f", which {verb} {part} of the fleet's shift"


def _when(one: Moved) -> str:
    return f"since {day(one.since)}" if one.to is None else days(one.since, _last_day(one.to))


def _last_day(end: datetime) -> datetime:
    return end - timedelta(days=1)


def _means(one: Moved) -> str:
    if math.isnan(one.mean):
        return ""
    apart = abs(one.mean - one.usual_mean)
    before = number(one.usual_mean, resolution=apart)
    return f"mean {before} → {number(one.mean, one.unit, resolution=apart)} "


def _beside(shown: Drift) -> str:
    own, every = int(shown.own.sum()), len(shown.devices)
    if own == every:
        return "each beside its own baseline"
    if not own:
        return "beside the fleet's baseline"
    return f"{own} of {every} beside their own baseline, the others beside the fleet's"


def _row(name: str, constant: bool) -> str:
    return f"{name} (constant)" if constant else name


def _bucket(shown: Drift) -> str:
    return "day" if shown.width == timedelta(days=1) else f"{shown.width.days} days"


def _baseline(shown: Drift, device: str | None) -> str:
    usual = shown.baseline
    own = device is not None and shown.own[shown.place(device) - 1]
    rows = int(usual.cube.cells["decisions"].sum())
    source = (
        f"the reference of {plain(usual.model)}"
        if usual.model is not None
        else "the first days of this store, as no reference is registered"
    )
    of = f", of which this device's own {share(_own(shown, device), rows)}" if own else ""
    return (
        f"Baseline: {source}, {many(rows, 'decision')}, {days(usual.first_at, usual.last_at)}{of}; "
        f"{BINS} bins of equal count, frozen with it."
    )


def _own(shown: Drift, device: str | None) -> int:
    cells = shown.baseline.cube.cells
    return int(cells.filter(cells["device_id"] == device)["decisions"].sum())
