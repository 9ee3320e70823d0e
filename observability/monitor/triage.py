"""What is wrong with the inputs, whose it is and since when: alarms with a name, put together.

Alarms of one input on several devices are one trouble, and so are those of both decision types that a
sensor serves. Owns what a person should be called for: one input that departs alone is a sensor's
fault, several that depart together on the same devices are the process that they measure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import duckdb
import numpy as np
import polars as pl

from observability.monitor.calibration import FEWEST_VALUES
from observability.monitor.drift import Drift
from observability.monitor.quality import (
    BREAK_SHARE,
    STUCK_VALUES,
    Break,
    UnitChange,
    longest_unchanged,
    plausible,
    unit_change,
)
from observability.monitor.verdict import Verdict
from observability.monitor.watched import Alarm, Watched, alarms
from observability.store import read_drift
from observability.store.read import Window

TOGETHER = 3
"""Inputs that depart together on the same devices from which on it is the process, not a sensor."""
_QUANTILES = np.linspace(0.05, 0.95, 19)
_BEFORE = timedelta(days=1)
_AT_FIRST = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that happened to `inputs` of `devices` (none: the whole fleet), from `since` up to `to`.

    Times UTC; `to` is None where it still stands. `usual_mean` and `mean` are of the first input over
    `values` recorded values, NaN of categories. `psi` is its effect size, `strength` that of the evidence.
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

    @property
    def wrong(self) -> bool:
        """Whether a person should look now; what several inputs share is the process at work."""
        return len(self.inputs) < TOGETHER

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """What comes first: what is wrong, then what still stands, then the largest effect."""
        return (not self.wrong, self.to is not None, -self.psi)


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What one device recorded of one input, in order of time: before, and since the alarm."""

    before: np.ndarray
    now: np.ndarray
    at: np.ndarray


def triage(con: duckdb.DuckDBPyConnection, watched: Sequence[Watched]) -> tuple[Trouble, ...]:
    """The troubles of all decision types, what a person should look at first first."""
    found = [trouble for each in watched for trouble in _of_type(con, each)]
    joined = _together(_joined(found))
    return tuple(sorted(joined, key=lambda trouble: trouble.rank))


def _of_type(con: duckdb.DuckDBPyConnection, watched: Watched) -> list[Trouble]:
    drift, listed = watched.drift, alarms(watched)
    seen = _seen(con, drift, [alarm for alarm in listed if alarm.device is not None])
    found = [_named(drift, alarm, seen.get((alarm.device, alarm.name))) for alarm in listed]
    own = {one.inputs for one in found if one.devices}
    return [one for one in found if one.devices or one.inputs not in own]


def _seen(
    con: duckdb.DuckDBPyConnection, drift: Drift, listed: Sequence[Alarm]
) -> dict[tuple[str | None, str], _Seen]:
    """The recorded numbers behind the alarms of devices."""
    levels = {each.name for each in drift.baseline.inputs if each.levels}
    asked = [alarm for alarm in listed if alarm.name not in levels]
    names = sorted({alarm.name for alarm in asked})
    devices = sorted({alarm.device for alarm in asked if alarm.device})
    if not asked:
        return {}
    usual = read_drift.recorded(con, drift.baseline.rows, devices, names)
    since = Window(min(alarm.since for alarm in asked) - _BEFORE, None)
    rows = read_drift.of_decisions(con, drift.decision_type, drift.baseline.inputs, since)
    now = read_drift.recorded(con, rows, devices, names)
    found: dict[tuple[str | None, str], _Seen] = {}
    for alarm in asked:
        before = usual.filter(pl.col("device_id") == alarm.device)
        during = now.filter(
            (pl.col("device_id") == alarm.device)
            & (pl.col("decided_at") >= alarm.since - _BEFORE)
            & (pl.col("decided_at") < (alarm.to or drift.starts[-1] + drift.width))
        )
        found[alarm.device, alarm.name] = _Seen(
            before[alarm.name].to_numpy(), during[alarm.name].to_numpy(), _times(during)
        )
    return found


def _named(drift: Drift, alarm: Alarm, seen: _Seen | None) -> Trouble:
    """An alarm as a trouble of one device (or the fleet) and one input."""
    n, place = drift.names.index(alarm.name), drift.place(alarm.device)
    of, bins = drift.baseline.inputs[n], drift.baseline.bins[n]
    since = alarm.since
    broken, conversion = None, None
    if seen is not None:
        conversion = _conversion(seen, alarm)
        broken, since = _broken(seen, alarm, bins.low, bins.high)
        if conversion is not None and broken is Break.RANGE:
            broken, since = None, alarm.since
    during = slice(_bucket(drift, alarm.since), _bucket(drift, alarm.to))
    now, sums = drift.now[place, during, n].sum(), drift.sums[place, during, n].sum()
    return Trouble(
        verdict=_verdict(alarm, broken, conversion),
        decision_types=(alarm.decision_type,),
        inputs=(alarm.name,),
        devices=(alarm.device,) if alarm.device else (),
        of_devices=len(drift.devices),
        since=since,
        to=alarm.to,
        strength=alarm.strength,
        psi=alarm.psi,
        values=alarm.values,
        usual_mean=_mean(drift.usual_sums[place, n], drift.usual[place, n].sum(), bool(of.levels)),
        mean=_mean(sums, now, bool(of.levels)),
        unit=of.unit,
        broken=broken,
        unit_change=conversion,
    )


def _verdict(alarm: Alarm, broken: Break | None, conversion: UnitChange | None) -> Verdict:
    if broken is not None:
        return Verdict.BREAK
    if conversion is not None:
        return Verdict.UNIT
    return Verdict.FLEET if alarm.device is None else Verdict.DEVICES


def _broken(seen: _Seen, alarm: Alarm, low: float, high: float) -> tuple[Break | None, datetime]:
    """How the values are broken, and since when; the alarm's own time where nothing says it better."""
    if len(seen.now) < FEWEST_VALUES:
        return None, alarm.since
    run = longest_unchanged(seen.now)
    if run >= max(2 * longest_unchanged(seen.before), STUCK_VALUES):
        return Break.STUCK, _began(seen, run)
    worst = plausible(low, high)
    outside = (seen.now < worst[0]) | (seen.now > worst[1])
    for kind, bad in ((Break.NAN, ~np.isfinite(seen.now)), (Break.RANGE, outside)):
        if bad.mean() >= BREAK_SHARE:
            return kind, alarm.since
    return None, alarm.since


def _began(seen: _Seen, run: int) -> datetime:
    """When the longest run of equal values began."""
    starts = np.flatnonzero(np.concatenate([[True], seen.now[1:] != seen.now[:-1]]))
    lengths = np.diff(np.append(starts, len(seen.now)))
    return seen.at[starts[np.flatnonzero(lengths == run)[0]]]


def _conversion(seen: _Seen, alarm: Alarm) -> UnitChange | None:
    """The change of unit that the first values of the alarm show."""
    before = seen.before[np.isfinite(seen.before)]
    until = alarm.since + _AT_FIRST
    during = np.array([alarm.since <= at < until for at in seen.at], dtype=bool)
    now = seen.now[during & np.isfinite(seen.now)]
    if min(len(before), len(now)) < FEWEST_VALUES:
        return None
    return unit_change(np.quantile(before, _QUANTILES), np.quantile(now, _QUANTILES))


def _joined(found: Iterable[Trouble]) -> list[Trouble]:
    """Troubles of one name and one input at one time as one, over devices and decision types."""

    def alike(one: Trouble, other: Trouble) -> bool:
        same = (one.verdict, one.inputs, one.broken) == (other.verdict, other.inputs, other.broken)
        return same and bool(one.devices) == bool(other.devices) and _overlap(one, other)

    return [_one_of(group) for group in _groups(list(found), alike)]


def _together(found: Iterable[Trouble]) -> list[Trouble]:
    """Shifts of several inputs on the same devices at one time as one."""
    shifts = {Verdict.DEVICES, Verdict.FLEET}

    def alike(one: Trouble, other: Trouble) -> bool:
        if not {one.verdict, other.verdict} <= shifts or not _overlap(one, other):
            return False
        common = set(one.devices) & set(other.devices)
        return bool(common) or not (one.devices or other.devices)

    groups = _groups(list(found), alike)
    return [
        one
        for group in groups
        for one in (
            [_one_of(group)] if len({i for each in group for i in each.inputs}) >= TOGETHER else group
        )
    ]


def _groups(
    found: list[Trouble], alike: Callable[[Trouble, Trouble], bool]
) -> list[list[Trouble]]:
    """Those that are alike directly or through others, each group in the order found."""
    groups: list[list[Trouble]] = []
    for one in found:
        near = [group for group in groups if any(alike(one, other) for other in group)]
        groups = [group for group in groups if group not in near]
        groups.append([*(other for group in near for other in group), one])
    return groups


def _one_of(group: Sequence[Trouble]) -> Trouble:
    """A group as one trouble, in the figures of its strongest member."""
    top = max(group, key=lambda one: one.psi)
    ends = [one.to for one in group if one.to is not None]
    devices = sorted({device for one in group for device in one.devices})
    spread = top.verdict is Verdict.DEVICES and 2 * len(devices) > top.of_devices
    inputs = sorted({name for one in group for name in one.inputs}, key=lambda n: n != top.inputs[0])
    return replace(
        top,
        verdict=Verdict.FLEET if spread else top.verdict,
        decision_types=tuple(sorted({type_ for one in group for type_ in one.decision_types})),
        inputs=tuple(inputs),
        devices=tuple(devices),
        since=min(one.since for one in group),
        to=max(ends) if 2 * len(ends) > len(group) else None,
        strength=max(one.strength for one in group),
        values=sum(one.values for one in group if one.inputs == top.inputs),
    )


def _overlap(one: Trouble, other: Trouble) -> bool:
    return (one.to is None or other.since < one.to) and (other.to is None or one.since < other.to)


def _bucket(drift: Drift, at: datetime | None) -> int:
    return len(drift.starts) if at is None else drift.starts.index(at)


def _mean(total: float, count: float, levels: bool) -> float:  # noqa: FBT001
    return float("nan") if levels or not count else float(total / count)


def _times(frame: pl.DataFrame) -> np.ndarray:
    return np.array(frame["decided_at"].to_list(), dtype=object)
