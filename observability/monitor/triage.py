"""What is wrong with the inputs, whose it is and since when: alarms with a name, put together.

Alarms of one input on several devices are one trouble, and so are those of both decision types that a
sensor serves. Owns what a person should be called for: one input that departs alone is a sensor's
fault, several that depart together on the same devices are the process that they measure.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import duckdb

from observability.monitor.baseline import Baseline
from observability.monitor.drift import Drift, drift, width_for
from observability.monitor.quality import Break, UnitChange
from observability.monitor.suspects import (
    Seen,
    broken,
    conversion,
    recorded_behind,
    unchanged,
)
from observability.monitor.verdict import Verdict
from observability.monitor.watched import Alarm, Watched, alarms, carriers_of, stood_still, watch
from observability.store.read import Window
from observability.store.read_drift import DecidedType

MOST_TYPES = 20
TOGETHER = 3
"""Inputs that depart together on the same devices from which on it is the process, not a sensor."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that happened to `inputs` of `devices` (none: the whole fleet), from `since` up to `to`.

    Times UTC; `to` is None where it still stands. `usual_mean` and `mean` are of the first input over
    `values` recorded values, NaN of categories. `psi` is its effect size, `strength` that of the evidence.
    `beside` are inputs that have moved with it, though none of them alarms.
    """

    verdict: Verdict
    decision_types: tuple[str, ...]
    inputs: tuple[str, ...]
    devices: tuple[str, ...]
    of_devices: int
    since: datetime
    to: datetime | None
    strength: float
    psi: float
    values: int
    usual_mean: float
    mean: float
    unit: str
    broken: Break | None = None
    unit_change: UnitChange | None = None
    beside: tuple[str, ...] = ()

    @property
    def wrong(self) -> bool:
        """Whether a person should look now; what several inputs share is the process at work."""
        return len(self.inputs) < TOGETHER

    def within(self, window: Window) -> bool:
        """Whether any of its time lies in a window."""
        begun = window.end is None or self.since < window.end
        return begun and (self.to is None or window.start is None or self.to > window.start)

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """What comes first: what is wrong, then what still stands, then the largest effect."""
        return (not self.wrong, self.to is not None, -self.psi)


def watch_all(
    con: duckdb.DuckDBPyConnection,
    types: Iterable[DecidedType],
    usual: Callable[[DecidedType, timedelta], Baseline],
    until: datetime | None = None,
) -> tuple[Watched, ...]:
    """Judge all streams from the end of each type's baseline on; `usual` gives it in buckets of a width.

    Of at most `MOST_TYPES` decision types, those with most decisions.
    """
    watched = []
    for decided in sorted(types, key=lambda type_: -type_.decisions)[:MOST_TYPES]:
        width = width_for(decided.last_at - decided.first_at, decided.devices)
        baseline = usual(decided, width)
        since = Window(baseline.last_at, until)
        found = watch(drift(con, baseline, decided.decision_type, since), until)
        watched += [] if found is None else [found]
    return tuple(watched)


def triage(con: duckdb.DuckDBPyConnection, watched: Sequence[Watched]) -> tuple[Trouble, ...]:
    """The troubles of all decision types, what a person should look at first first."""
    found = [trouble for each in watched for trouble in _of_type(con, each)]
    joined = _together(_joined(found))
    return tuple(sorted(joined, key=lambda trouble: trouble.rank))


def _of_type(con: duckdb.DuckDBPyConnection, watched: Watched) -> list[Trouble]:
    """The troubles of a type: its alarms, and what else the recorded values of few devices explain."""
    listed = alarms(watched)
    own = {(alarm.device, alarm.name) for alarm in listed if alarm.device}
    alone = [each for each in listed if each.name not in {name for _, name in own}]
    suspected = [part for alarm in alone for part in carriers_of(watched, alarm)]
    still = [each for each in stood_still(watched) if (each.device, each.name) not in own]
    asked = [*(alarm for alarm in listed if alarm.device), *suspected, *still]
    seen = recorded_behind(con, watched, asked)

    def named(alarm: Alarm) -> Trouble:
        return _named(watched.drift, alarm, seen.get((alarm.device, alarm.name)))

    faults = [one for one in map(named, (*suspected, *still)) if one.broken or one.unit_change]
    explained = {name for _, name in own} | {one.inputs[0] for one in faults}
    return faults + [named(each) for each in listed if each.device or each.name not in explained]


def _named(drift: Drift, alarm: Alarm, seen: Seen | None) -> Trouble:
    """An alarm as a trouble of one device (or the fleet) and one input."""
    n, place = drift.names.index(alarm.name), drift.place(alarm.device)
    of, bins = drift.baseline.inputs[n], drift.baseline.bins[n]
    since, to = alarm.since, alarm.to
    fault, unit = None, None
    if seen is not None:
        fault, converted = broken(seen, bins.low, bins.high), conversion(seen)
        if fault is Break.STUCK:
            since, to = unchanged(seen)
        elif converted is not None and fault in (None, Break.RANGE):
            fault, unit = None, converted.change
            since, to = converted.since, converted.to
    first = bisect.bisect_right(drift.starts, since) - 1
    during = slice(first, len(drift.starts) if to is None else bisect.bisect_left(drift.starts, to))
    now, sums = drift.now[place, during, n].sum(), drift.sums[place, during, n].sum()
    return Trouble(
        verdict=_verdict(alarm, fault, unit),
        decision_types=(alarm.decision_type,),
        inputs=(alarm.name,),
        devices=(alarm.device,) if alarm.device else (),
        of_devices=len(drift.devices),
        since=since,
        to=to,
        strength=alarm.strength,
        psi=alarm.psi,
        values=alarm.values,
        usual_mean=_mean(drift.usual_sums[place, n], drift.usual[place, n].sum(), bool(of.levels)),
        mean=_mean(sums, now, bool(of.levels)),
        unit=of.unit,
        broken=fault,
        unit_change=unit,
        beside=alarm.beside,
    )


def _verdict(alarm: Alarm, fault: Break | None, unit: UnitChange | None) -> Verdict:
    if fault is not None:
        return Verdict.BREAK
    if unit is not None:
        return Verdict.UNIT
    return Verdict.FLEET if alarm.device is None else Verdict.DEVICES


def _joined(found: Iterable[Trouble]) -> list[Trouble]:
    """Troubles of one name and one input at one time as one, over devices and decision types.

    Values far outside their range on one device are in the unit that another one shows.
    """

    def alike(one: Trouble, other: Trouble) -> bool:
        same = (one.verdict, one.broken) == (other.verdict, other.broken)
        names = {one.verdict, other.verdict} == {Verdict.UNIT, Verdict.BREAK}
        unit = names and Break.RANGE in (one.broken, other.broken)
        return (
            (same or unit)
            and one.inputs == other.inputs
            and bool(one.devices) == bool(other.devices)
            and _overlap(one, other)
        )

    return [_one_of(group) for group in _groups(list(found), alike)]


def _together(found: Iterable[Trouble]) -> list[Trouble]:
    """Shifts of several inputs on the same devices at one time as one."""

    def shift(one: Trouble) -> bool:
        return one.verdict in (Verdict.DEVICES, Verdict.FLEET) or one.broken is Break.RANGE

    def alike(one: Trouble, other: Trouble) -> bool:
        if not (shift(one) and shift(other) and _overlap(one, other)):
            return False
        common = set(one.devices) & set(other.devices)
        return bool(common) or not (one.devices or other.devices)

    listed = []
    for group in _groups(list(found), alike):
        whole = [replace(one, inputs=_united(one.inputs, one.beside)) for one in group]
        process = len({name for one in whole for name in one.inputs}) >= TOGETHER
        listed += [_one_of(whole)] if process else group
    return listed


def _united(*names: Iterable[str]) -> tuple[str, ...]:
    """Each name once, in the order found."""
    return tuple(dict.fromkeys(name for each in names for name in each))


def _groups(found: list[Trouble], alike: Callable[[Trouble, Trouble], bool]) -> list[list[Trouble]]:
    """Those that are alike directly or through others, each group in the order found."""
    groups: list[list[Trouble]] = []
    for one in found:
        near = [group for group in groups if any(alike(one, other) for other in group)]
        groups = [group for group in groups if group not in near]
        groups.append([*(other for group in near for other in group), one])
    return groups


def _one_of(group: Sequence[Trouble]) -> Trouble:
    """A group as one trouble, in the figures of its strongest member."""
    top = max(group, key=lambda one: (one.unit_change is not None, one.psi))
    ends = [one.to for one in group if one.to is not None]
    devices = sorted({device for one in group for device in one.devices})
    inputs = _united(top.inputs[:1], sorted({name for one in group for name in one.inputs}))
    verdict, broken = top.verdict, top.broken
    if len(inputs) >= TOGETHER:
        verdict, broken = (Verdict.DEVICES if devices else Verdict.FLEET), None
    if verdict is Verdict.DEVICES and 2 * len(devices) > top.of_devices:
        verdict = Verdict.FLEET
    return replace(
        top,
        verdict=verdict,
        broken=broken,
        decision_types=tuple(sorted({type_ for one in group for type_ in one.decision_types})),
        inputs=inputs,
        beside=_united(*(one.beside for one in group)),
        devices=tuple(devices),
        since=top.since,
        to=max(ends) if 2 * len(ends) > len(group) else None,
        strength=max(one.strength for one in group),
        values=sum(one.values for one in group if one.inputs[0] == top.inputs[0]),
    )


def _overlap(one: Trouble, other: Trouble) -> bool:
    return (one.to is None or other.since < one.to) and (other.to is None or one.since < other.to)


def _mean(total: float, count: float, levels: bool) -> float:
    return float("nan") if levels or not count else float(total / count)
