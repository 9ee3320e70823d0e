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

from observability.monitor.matching import FEWEST_VALUES
from observability.monitor.quality import (
    BREAK_SHARE,
    STUCK_VALUES,
    Break,
    UnitChange,
    longest_unchanged,
    plausible,
    unit_change,
)
from observability.monitor.watched import Alarm, Watched
from observability.store import read_drift
from observability.store.read import Window

_QUANTILES = np.linspace(0.05, 0.95, 19)
_AROUND = timedelta(days=1)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What one device recorded of one input, in order of time: before, and since the alarm."""

    before: np.ndarray
    now: np.ndarray
    at: Sequence[datetime]


def recorded_behind(
    con: duckdb.DuckDBPyConnection, watched: Watched, listed: Sequence[Alarm]
) -> Mapping[tuple[str | None, str], Seen]:
    """The recorded numbers behind the alarms of devices."""
    drift = watched.drift
    levels = {each.name for each in drift.baseline.inputs if each.levels}
    asked = [alarm for alarm in listed if alarm.name not in levels]
    names = sorted({alarm.name for alarm in asked})
    devices = sorted({alarm.device for alarm in asked if alarm.device})
    if not asked:
        return {}
    usual = read_drift.recorded(con, drift.baseline.rows, devices, names)
    since = Window(min(alarm.since for alarm in asked) - _AROUND, watched.until)
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


def unchanged(seen: Seen) -> tuple[datetime, datetime | None]:
    """From when to when the longest run of equal values was recorded; no end where it is the last."""
    starts = np.flatnonzero(np.concatenate([[True], seen.now[1:] != seen.now[:-1]]))
    lengths = np.diff(np.append(starts, len(seen.now)))
    first, after = int(starts[lengths.argmax()]), int((starts + lengths)[lengths.argmax()])
    return seen.at[first], seen.at[after] if after < len(seen.at) else None


@dataclass(frozen=True, slots=True)
class Conversion:
    """A change of unit, from when to when values were in the other one; no end where the last ones are."""

    change: UnitChange
    since: datetime
    to: datetime | None


def conversion(seen: Seen) -> Conversion | None:
    """The change of unit that the values show in the stretch in which most left the baseline's spread.

    Evidence of a change may begin days before it, with the weather, and last after its repair.
    """
    before = seen.before[np.isfinite(seen.before)]
    if len(before) < FEWEST_VALUES:
        return None
    usual = np.quantile(before, _QUANTILES)
    away = np.abs(seen.now - np.median(before)) > usual[-1] - usual[0]
    first, until = _densest(away)
    now = seen.now[first:until]
    now = now[np.isfinite(now)]
    change = None
    if len(now) >= FEWEST_VALUES:
        change = unit_change(usual, np.quantile(now, _QUANTILES))
    if change is None:
        return None
    return Conversion(change, seen.at[first], seen.at[until] if until < len(seen.at) else None)


def _densest(marked: np.ndarray) -> tuple[int, int]:
    """The stretch, from `first` up to `until`, in which the marked values most outnumber the others.

    >>> _densest(np.array([False, True, True, False, True, False, False, True]))
    (1, 3)
    """
    gathered = np.concatenate([[0], np.where(marked, 1, -1).cumsum()])
    since = np.minimum.accumulate(gathered)
    until = int(np.argmax(gathered - since))
    first = int(np.flatnonzero(gathered[: until + 1] == since[until])[-1])
    return first, until
