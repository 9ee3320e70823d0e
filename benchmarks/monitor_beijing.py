"""Weeks of the Beijing air stations against the same season of other years: alarms, and shifts found.

The baseline is frozen anew each January with all years until then, as a reference is with a release.
Stations are real, and so are some of their changes: an anemometer that reads 0.65 of what the other
stations do until the end of 2015 reads the same as they do ever after. `weekly_alarm_share` counts such
weeks as alarms all the same; `weekly_alarm_share_unmoved` is of the sensors that keep to the other stations.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from observability.monitor.calibration import calibrate
from observability.monitor.evidence import evidence
from observability.monitor.matching import same_season

SENSORS = ("PM2.5", "PM10", "SO2", "NO2", "CO", "O3", "TEMP", "PRES", "DEWP", "RAIN", "WSPM")
WEEK_HOURS, BINS = 168, 10
BASELINE_WEEKS = (date(2015, 1, 1) - date(2013, 3, 1)).days // 7
SHIFTED_IN = (5, 40, 80)
"""Weeks after the baseline in which a shift begins."""
FOUND_WEEKS = 3
YEAR_WEEKS = 52
AMOUNTS = ("PM2.5", "PM10", "SO2", "NO2", "CO", "O3", "WSPM")
"""Sensors that can be set in ratio to other stations' by week."""
MOVED = 1.2
"""Times the ratio of every half-year before, or less by as much, from which on a sensor has moved."""
KEYS = (
    "weekly_alarm_share", "weekly_alarm_share_unmoved", "sensors_moved", "raised_share", "ever",
    "weekly_alarm_share_frozen_2014",
    "shifts_found_in_3_weeks", "only_that_station",
)  # fmt: skip


def beijing(data: Path | None) -> dict[str, object]:
    """Shares of stream-weeks and of injected shifts; null without the data."""
    if data is None:
        return {f"beijing_{key}": None for key in KEYS}
    hours = read(data / "beijing")
    edges = edges_of(hours)
    counts = counted(hours, edges)
    alarm = alarms(counts, YEAR_WEEKS)
    raised = alarm & ~np.pad(alarm, ((0, 0), (0, 0), (1, 0)))[..., :-1]
    found, named = shifts_found(hours, edges, alarm)
    moved = moved_apart(hours)
    shares = (
        alarm.mean(), alarm[~moved].mean(), moved.mean(), raised.mean(), alarm.any(axis=-1).mean(),
        alarms(counts, counts.shape[2]).mean(), found, named,
    )  # fmt: skip
    return {
        f"beijing_{key}": round(float(share), 4) for key, share in zip(KEYS, shares, strict=True)
    }


def read(folder: Path) -> np.ndarray:
    """Hourly values, `(n_stations, n_sensors, n_hours)`; whole weeks, NaN where missing."""
    columns = [pl.col(name).cast(float) for name in SENSORS]
    stations = [
        pl.read_csv(path, null_values="NA", infer_schema_length=None).select(columns).to_numpy().T
        for path in sorted(folder.glob("PRSA_Data_*.csv"))
    ]
    hours = np.stack(stations)
    return hours[..., : hours.shape[-1] // WEEK_HOURS * WEEK_HOURS]


def edges_of(hours: np.ndarray) -> list[np.ndarray]:
    """Edges of equal count of each sensor, over all stations' baseline."""
    baseline = hours[..., : BASELINE_WEEKS * WEEK_HOURS]
    shares = np.arange(1, BINS) / BINS
    return [np.unique(np.nanquantile(baseline[:, n], shares)) for n in range(len(SENSORS))]


def counted(hours: np.ndarray, edges: list[np.ndarray]) -> np.ndarray:
    """Counts by week, `(n_stations, n_sensors, n_weeks, n_bins)`."""
    weeks = hours.reshape(*hours.shape[:2], -1, WEEK_HOURS)
    out = np.zeros((*weeks.shape[:3], BINS), dtype=np.int64)
    for n, cuts in enumerate(edges):
        bins = np.where(np.isfinite(weeks[:, n]), np.searchsorted(cuts, weeks[:, n]), BINS)
        out[:, n] = (bins[..., None] == np.arange(BINS)).sum(axis=-2)
    return out


def alarms(counts: np.ndarray, every: int) -> np.ndarray:
    """Which weeks after the first baseline alarm, `(n_stations, n_sensors, n_weeks)`.

    The baseline is frozen anew, with all weeks until then, and evidence forgotten, `every` so many weeks.
    """
    stations, sensors, weeks, bins = counts.shape
    flat, days = counts.reshape(-1, weeks, bins), 7 * np.arange(weeks)
    feature = np.tile(np.arange(sensors), stations)
    out = []
    for first in range(BASELINE_WEEKS, weeks, every):
        until = min(first + every, weeks)
        baseline, window = days[:first], days[first:until]
        matches = same_season(baseline, baseline), same_season(window, baseline)
        found = calibrate(flat[:, :first], flat[:, first:until], feature, matches=matches)
        out.append(evidence(found).alarm)
    return np.concatenate(out, axis=1).reshape(stations, sensors, -1)


def moved_apart(hours: np.ndarray) -> np.ndarray:
    """Which sensors left the other stations after the baseline, `(n_stations, n_sensors)`; no alarm is asked.

    By the median over half a year of the weekly mean's ratio to that of the other stations.
    """
    weeks = hours.reshape(*hours.shape[:2], -1, WEEK_HOURS)
    known = np.isfinite(weeks).sum(axis=-1)
    weeks = np.where(known > 0, np.nansum(weeks, axis=-1) / np.maximum(known, 1), np.nan)
    half = YEAR_WEEKS // 2
    starts = range(BASELINE_WEEKS % half, weeks.shape[-1] - half + 1, half)
    first = BASELINE_WEEKS // half
    moved = np.zeros(weeks.shape[:2], dtype=bool)
    for station in range(len(weeks)):
        for n in (SENSORS.index(name) for name in AMOUNTS):
            others = np.nanmedian(np.delete(weeks[:, n], station, axis=0), axis=0)
            ratio = np.log(weeks[station, n] / others)
            course = np.array([np.nanmedian(ratio[start : start + half]) for start in starts])
            steps = [np.abs(course[at] - course[:at]).min() for at in range(first, len(course))]
            moved[station, n] = max(steps) >= np.log(MOVED)
    return moved


def shifts_found(
    hours: np.ndarray, edges: list[np.ndarray], before: np.ndarray
) -> tuple[float, float]:
    """Of one sd added to one sensor of one station: the share found within 3 weeks.

    And of those the share in which no other station begins to alarm. Sensors that alarm anyhow are left out.
    """
    deviation = np.nanstd(hours[..., : BASELINE_WEEKS * WEEK_HOURS], axis=-1)
    found, named = [], []
    for week in SHIFTED_IN:
        soon = slice(week, week + FOUND_WEEKS)
        for station in range(len(hours)):
            moved = hours.copy()
            moved[station, :, (BASELINE_WEEKS + week) * WEEK_HOURS :] += deviation[station][:, None]
            new = (alarms(counted(moved, edges), YEAR_WEEKS) & ~before)[..., soon].any(axis=-1)
            asked = ~before[station, :, soon].any(axis=-1)
            found.extend(new[station, asked])
            named.extend(new[:, asked & new[station]].sum(axis=0) == 1)
    return float(np.mean(found)), float(np.mean(named))
