"""How far inputs lie from their baseline: by day, by device, and value by value."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import streamlit as st

from observability.figures.heatmap import OF_DEVICES, OF_FLEET, heatmap
from observability.figures.overlay import overlay
from observability.monitor import drift
from observability.monitor.drift import Drift
from observability.monitor.effect import shift_sizes
from observability.monitor.psi import FEWEST
from observability.monitor.triage import Trouble
from observability.monitor.usual_days import usual_days
from observability.monitor.watched import Watched
from observability.store.read_drift import BINS, DecidedType
from pages import components
from pages.format import count, days, many, number, plain, share

TYPE, MODEL, DEVICE, INPUT = "drift_type", "drift_model", "drift_device", "drift_input"
FLEET = "the whole fleet"
NEVER_ALARMED = (
    "PSI is shown, never alarmed on: sensors repeat themselves, so healthy days differ too. "
    "A dot is an alarm."
)


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """What the figures are about: one input of a device (None: the fleet) over the buckets `now`.

    `watched` is None where no day is watched; `troubles` are those of the decision type.
    """

    drift: Drift
    watched: Watched | None
    troubles: tuple[Trouble, ...]
    name: str
    device: str | None
    now: tuple[int, int]

    @property
    def place(self) -> int:
        """Of the input among all."""
        return self.drift.names.index(self.name)


def type_control(types: Sequence[DecidedType], troubles: Sequence[Trouble]) -> DecidedType:
    """The decision type whose figures are drawn: the chosen one, else that of the worst trouble."""
    usual = troubles[0].decision_types[0] if troubles else types[0].decision_type
    names = [decided.decision_type for decided in types]
    chosen = _pick(TYPE, "Decision type", names, usual) or usual
    return next(decided for decided in types if decided.decision_type == chosen)


def model_control(decided: DecidedType) -> str | None:
    """The model version whose decisions count."""
    names = sorted({f"{model.name} {model.version}" for model in decided.models})
    return _pick(MODEL, "Model version", names, "any")


def device_control(shown: Drift, troubles: Sequence[Trouble]) -> str | None:
    """The device whose figures are drawn, the chosen one or that of the worst trouble; None is the fleet."""
    worst = next((one for one in troubles if shown.decision_type in one.decision_types), None)
    alone = worst is not None and len(worst.devices) == 1 and worst.devices[0] in shown.devices
    usual = worst.devices[0] if worst and alone else FLEET
    picked = _pick(DEVICE, "Device", (FLEET, *shown.devices), usual) or usual
    return None if picked == FLEET else picked


def input_control(shown: Drift, troubles: Sequence[Trouble], device: str | None) -> str:
    """The input whose values are drawn: the chosen one, else that of the worst trouble."""
    of = [one for one in troubles if shown.decision_type in one.decision_types]
    of = [one for one in of if device is None or device in one.devices] or of
    usual = of[0].inputs[0] if of else shown.names[0]
    return _pick(INPUT, "Input", shown.names, usual) or usual


def during(
    shown: Drift, troubles: Sequence[Trouble], name: str, device: str | None
) -> tuple[int, int]:
    """The buckets that count as now: those of the input's trouble, else all after the baseline."""
    for one in troubles:
        if name in one.inputs and (device is None or not one.devices or device in one.devices):
            first = bisect.bisect_right(shown.starts, one.since) - 1
            until = (
                len(shown.starts) if one.to is None else bisect.bisect_left(shown.starts, one.to)
            )
            return max(first, 0), max(until, first + 1, 1)
    return shown.after, len(shown.starts)


def inputs(shown: Drift, name: str, device: str | None, watched: Watched | None) -> None:
    """The heatmap of all inputs."""
    whose = whom(device)
    components.section(f"Inputs of {shown.decision_type} by {bucket(shown)}", whose)
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
            alarmed=alarmed(shown, watched, [(device, each) for each in shown.names]),
        ),
        alt=f"PSI of each input of {shown.decision_type} by {bucket(shown)}, {whose}",
        key="drift_inputs",
    )
    grey = f"Grey: fewer than {FEWEST} values.{_astray(shown)}"
    st.caption(f"{_baseline(shown, device)} {grey}  \n{NEVER_ALARMED}")


def values(chosen: Chosen) -> None:
    """The overlay of one input."""
    shown, name, device, n = chosen.drift, chosen.name, chosen.device, chosen.place
    of, bins = shown.baseline.inputs[n], shown.baseline.bins[n]
    found = drift.overlay(shown, name, device, *chosen.now)
    components.section(f"{name}: baseline and now", f"now: {when(chosen)}, {whom(device)}")
    components.figure(
        overlay(found, of, bins, usual_days(shown, name, device)),
        alt=f"Share of values of {name} by bin, in the baseline and now",
        key="drift_values",
    )
    mean = (
        ""
        if math.isnan(found.mean)
        else f" Mean {number(found.usual_mean, of.unit)} → {number(found.mean, of.unit)}."
    )
    if bins.constant:
        said = (
            "never recorded" if math.isnan(bins.low) else f"constant at {number(bins.low, of.unit)}"
        )
        st.caption(f"{plain(name)} is {said} in the baseline, so it has no PSI.{mean}")
        return
    effect = f"fewer than {FEWEST} values" if math.isnan(found.psi) else f"PSI {number(found.psi)}"
    st.caption(f"{effect}.{mean} Missing now: {number(round(100 * found.missing, 2), '%')}.")


def sizes(chosen: Chosen) -> None:
    """How large the shift of one input is, by several measures."""
    name = chosen.name
    found = shift_sizes(chosen.drift, name, chosen.device, *chosen.now)
    components.section(f"How far has {name} moved?", f"{whom(chosen.device)}, never alarmed on")
    components.listing(
        [
            {"Measure": measure, "Now": _size(value, unit), "Reads": reads}
            for measure, value, unit, reads in (
                ("PSI", found.psi, "", "0 equal, no upper end"),
                ("Jensen-Shannon distance", found.jensen_shannon, "", "0 equal, 1 nothing shared"),
                ("Kolmogorov-Smirnov", found.kolmogorov_smirnov, "", "largest gap of the shares, 0 to 1"),
                ("Wasserstein", found.wasserstein, found.unit, "mean way of a value, outer bins apart"),
            )
        ],
        alt=f"Effect sizes of {name}",
    )  # fmt: skip


def versions(chosen: Chosen) -> None:
    """The same values by model version."""
    name, device = chosen.name, chosen.device
    rows = drift.by_version(chosen.drift, name, device, *chosen.now)
    components.section(f"{name} by model version", f"now, {whom(device)}")
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


def alarmed(
    shown: Drift, watched: Watched | None, streams: Sequence[tuple[str | None, str]]
) -> np.ndarray:
    """On which buckets the streams (device or None, input) alarmed, `(n_streams, n_buckets)`."""
    marks = np.zeros((len(streams), len(shown.starts)), dtype=bool)
    if watched is None:
        return marks
    at = {start: n for n, start in enumerate(shown.starts)}
    for row, (device, name) in enumerate(streams):
        for start in watched.alarmed_on(device, name):
            if start in at:
                marks[row, at[start]] = True
    return marks


def bucket(shown: Drift) -> str:
    """The length of a bucket in words."""
    return "day" if shown.width == timedelta(days=1) else f"{shown.width.days} days"


def when(chosen: Chosen) -> str:
    """The days that count as now."""
    shown, (first, until) = chosen.drift, chosen.now
    return days(shown.starts[first], shown.starts[until - 1] + shown.width - timedelta(days=1))


def whom(device: str | None) -> str:
    """Whose figures they are."""
    return device or "the fleet"


def choose(decision_type: str, devices: Sequence[str], name: str) -> None:
    """Draw the figures of an input, of the device where it is about one."""
    alone = devices[0] if len(devices) == 1 else FLEET
    for key, value in ((TYPE, decision_type), (MODEL, None), (DEVICE, alone), (INPUT, name)):
        st.session_state[key] = value


def _pick(key: str, label: str, options: Sequence[str], usual: str) -> str | None:
    if st.session_state.get(key) not in (None, *options):
        del st.session_state[key]
    return st.selectbox(label, options, index=None, key=key, bind="query-params", placeholder=usual)


def _size(value: float, unit: str) -> str:
    return "–" if math.isnan(value) else number(value, unit)


def _row(name: str, constant: bool) -> str:
    return f"{name} (constant)" if constant else name


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


def _astray(shown: Drift) -> str:
    if not shown.astray:
        return ""
    return f" Left out: {many(shown.astray, 'decision')} more than a year from all others, by a wrong clock."


def _own(shown: Drift, device: str | None) -> int:
    cells = shown.baseline.cube.cells
    return int(cells.filter(cells["device_id"] == device)["decisions"].sum())
