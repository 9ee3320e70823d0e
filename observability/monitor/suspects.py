"""What the values behind an alarm show: a broken sensor, another unit, or neither.

Read for the few streams that alarm only; counts by bin cannot tell these apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb
import numpy as np
import polars as pl

from observability.monitor.drift import Drift
from observability.monitor.matching import FEWEST_VALUES
from observability.monitor.quality import (
    BREAK_SHARE,
    CONVERSIONS,
    STUCK_VALUES,
    Break,
    UnitChange,
    longest_unchanged,
    plausible,
    unit_change,
)
from observability.monitor.watched import Alarm
from observability.store import read_drift
from observability.store.read import Window

_QUANTILES = np.linspace(0.05, 0.95, 19)
_AROUND = timedelta(days=1)
_FIRST_DAYS = ((0, 3), (1, 4), (1, 8))


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What one device recorded of one input, in order of time: before, and since the alarm."""

    before: np.ndarray
    now: np.ndarray
    at: Sequence[datetime]


def recorded_behind(
    con: duckdb.DuckDBPyConnection, drift: Drift, listed: Sequence[Alarm]
) -> Mapping[tuple[str | None, str], Seen]:
    """The recorded numbers behind the alarms of devices."""
    levels = {each.name for each in drift.baseline.inputs if each.levels}
    asked = [alarm for alarm in listed if alarm.name not in levels]
    names = sorted({alarm.name for alarm in asked})
    devices = sorted({alarm.device for alarm in asked if alarm.device})
    if not asked:
        return {}
    usual = read_drift.recorded(con, drift.baseline.rows, devices, names)
    since = Window(min(alarm.since for alarm in asked) - _AROUND, None)
    rows = read_drift.of_decisions(con, drift.decision_type, drift.baseline.inputs, since)
    now = read_drift.recorded(con, rows, devices, names)
    found: dict[tuple[str | None, str], Seen] = {}
    for alarm in asked:
        before = usual.filter(pl.col("device_id") == alarm.device)
        during = now.filter(
            (pl.col("device_id") == alarm.device)
            & (pl.col("decided_at") >= alarm.since - _AROUND)
            & (pl.col("decided_at") < (alarm.to or drift.starts[-1]) + _AROUND)
        )
        found[alarm.device, alarm.name] = Seen(
            before[alarm.name].to_numpy(),
            during[alarm.name].to_numpy(),
            during["decided_at"].to_list(),
        )
    return found


def broken(seen: Seen, low: float, high: float) -> Break | None:
    """How the values are broken; `low` and `high` bound those of the baseline."""
    if len(seen.now) < FEWEST_VALUES:
        return None
    if longest_unchanged(seen.now) >= max(2 * longest_unchanged(seen.before), STUCK_VALUES):
        return Break.STUCK
    least, most = plausible(low, high)
    outside = (seen.now < least) | (seen.now > most)
    shares = {Break.NAN: ~np.isfinite(seen.now), Break.RANGE: outside}
    return next((kind for kind, bad in shares.items() if bad.mean() >= BREAK_SHARE), None)


def stood_still(seen: Seen) -> tuple[datetime, datetime | None]:
    """From when to when the longest run of equal values was recorded; no end where it is the last."""
    return _longest(seen, np.concatenate([[True], seen.now[1:] != seen.now[:-1]]))


def converted(seen: Seen, change: UnitChange) -> tuple[datetime, datetime | None]:
    """From when to when values were in the other unit; no end where the last ones are."""
    usual = float(np.nanmedian(seen.before))
    middle = (usual + change.factor * usual + change.offset) / 2
    other = np.sign(seen.now - middle) != np.sign(usual - middle)
    return _longest(seen, np.concatenate([[True], other[1:] != other[:-1]]), other)


def _longest(
    seen: Seen, begins: np.ndarray, counted: np.ndarray | None = None
) -> tuple[datetime, datetime | None]:
    """From when to when the longest run goes, of those that are `counted`; both `(n_values,)`."""
    starts = np.flatnonzero(begins)
    lengths = np.diff(np.append(starts, len(begins)))
    lengths = lengths if counted is None else np.where(counted[starts], lengths, 0)
    first = int(starts[lengths.argmax()])
    after = first + int(lengths.max())
    return seen.at[first], seen.at[after] if after < len(seen.at) else None


def conversion(seen: Seen, alarm: Alarm) -> UnitChange | None:
    """The change of unit that the first days show; one between known scales before any other factor.

    Evidence may begin to gather a day before the change, and the first days may be odd ones.
    """
    before = seen.before[np.isfinite(seen.before)]
    found = []
    for first, until in _FIRST_DAYS:
        begins, ends = (alarm.since + timedelta(days=day) for day in (first, until))
        during = np.array([begins <= at < ends for at in seen.at], dtype=bool)
        now = seen.now[during & np.isfinite(seen.now)]
        if min(len(before), len(now)) >= FEWEST_VALUES:
            change = unit_change(np.quantile(before, _QUANTILES), np.quantile(now, _QUANTILES))
            found += [] if change is None else [change]
    known = [change for change in found if (change.factor, change.offset) in CONVERSIONS]
    return next(iter(known or found), None)
