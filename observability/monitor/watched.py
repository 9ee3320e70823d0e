"""Which streams of a decision type alarm: each input of each device, and of the fleet, day by day.

Owns how a Drift becomes streams for evidence.py, and what of it is one alarm.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from observability.monitor.calibration import Calibrated, calibrate
from observability.monitor.drift import Drift, spread_out
from observability.monitor.evidence import ALARM, Evidence, evidence
from observability.monitor.matching import same_season

_DAY_S = 86400.0
_OF_STRONGEST = 0.25
_HINT = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """Evidence of all streams of a decision type; stream `place * n_inputs + input`, place 0 the fleet."""

    drift: Drift
    days: Calibrated
    evidence: Evidence

    @property
    def judged(self) -> int:
        """Streams that have enough days to say anything."""
        return sum(not reason for reason in self.evidence.insufficient)

    def alarmed_on(self, device: str | None, name: str) -> tuple[datetime, ...]:
        """The starts of the buckets on which an input of a device (None: the fleet) alarmed."""
        drift = self.drift
        if name not in drift.names or device not in (None, *drift.devices):
            return ()
        stream = drift.place(device) * len(drift.names) + drift.names.index(name)
        starts = drift.starts[drift.after :]
        return tuple(starts[n] for n in np.flatnonzero(self.evidence.alarm[stream]))


@dataclass(frozen=True, slots=True)
class Alarm:
    """One stream that alarmed: `device` (None: the fleet) and input, from `since` up to `to`, UTC.

    `to` is None where its latest day still differs. `psi` is of all its values since then.
    """

    decision_type: str
    device: str | None
    name: str
    since: datetime
    to: datetime | None
    strength: float
    psi: float
    values: int


def watch(drift: Drift) -> Watched | None:
    """Judge every stream on the buckets after the baseline; None where there are no inputs or no buckets.

    A baseline of more than a year and a half is compared season by season.
    """
    usual = spread_out(drift.baseline.cube, drift.devices, drift.width)
    now = drift.now[:, drift.after :]
    if not drift.names or not usual.starts or not now.shape[1]:
        return None
    n_inputs = len(drift.names)
    days = calibrate(
        _streams(usual.counts),
        _streams(now),
        np.concatenate(  # the fleet's streams are features of their own
            [n_inputs + np.arange(n_inputs), np.tile(np.arange(n_inputs), len(drift.devices))]
        ),
        ordered=np.tile(
            [not each.levels for each in drift.baseline.inputs], len(drift.devices) + 1
        ),
        matches=_seasons(usual.starts, drift.starts[drift.after :]),
    )
    return Watched(drift, days, evidence(days, _releases(drift)))


def alarms(watched: Watched) -> tuple[Alarm, ...]:
    """The streams that alarm on any day, those that began first first."""
    found, drift = watched.evidence, watched.drift
    starts = drift.starts[drift.after :]
    listed = []
    for stream in np.flatnonzero(found.alarm.any(axis=1)).tolist():
        last = int(np.flatnonzero(found.alarm[stream])[-1])
        since = _onset(found.strength[stream], int(found.since[stream, last]))
        until = _until(found.e[stream], last)
        place, name = divmod(stream, len(drift.names))
        listed.append(
            Alarm(
                decision_type=drift.decision_type,
                device=drift.devices[place - 1] if place else None,
                name=drift.names[name],
                since=starts[since],
                to=starts[until] if until < len(starts) else None,
                strength=float(found.strength[stream].max()),
                psi=float(found.effect[stream, last]),
                values=int(watched.days.days.values[stream, since:until].sum()),
            )
        )
    return tuple(sorted(listed, key=lambda alarm: (alarm.since, alarm.name, alarm.device or "")))


def _streams(counts: np.ndarray) -> np.ndarray:
    """Counts `(n_places, n_days, n_inputs, n_bins)` as `(n_streams, n_days, n_bins)`."""
    places, days, inputs, bins = counts.shape
    return counts.swapaxes(1, 2).reshape(places * inputs, days, bins)


def _seasons(
    usual: tuple[datetime, ...], now: tuple[datetime, ...]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Which baseline days serve each day, where there is more than one year to choose from."""
    before, after = (np.array([at.timestamp() / _DAY_S for at in days]) for days in (usual, now))
    if before[-1] - before[0] < 1.5 * 365.25:
        return None
    own, served = same_season(before, before), same_season(after, before)
    return own, served


def _releases(drift: Drift) -> np.ndarray:
    """Days `(n_streams, n_days)` on which a device decides by a version that it had not the day before."""
    n_days = len(drift.starts) - drift.after
    reset = np.zeros((len(drift.devices) + 1, n_days), dtype=bool)
    places = {device: place + 1 for place, device in enumerate(drift.devices)}
    day = {start: n for n, start in enumerate(drift.starts)}
    seen: dict[tuple[str, int], set[str]] = {}
    cells = drift.cube.cells.filter(drift.cube.cells["at"].is_not_null())
    for at, device, model in cells.select("at", "device_id", "model").iter_rows():
        seen.setdefault((device, day[at]), set()).add(model)
    for (device, at), models in seen.items():
        before = seen.get((device, at - 1))
        if before is not None and models - before and at >= drift.after:
            reset[places[device], at - drift.after] = True
    return np.repeat(reset, len(drift.names), axis=0)


def _onset(strength: np.ndarray, since: int) -> int:
    """The day on which evidence that began on the day `since` became more than a hint for good."""
    alarm = since + int(np.argmax(strength[since:] >= ALARM))
    hints = np.flatnonzero(strength[since:alarm] < _HINT)
    return min(since + int(hints[-1]) + 1, alarm) if hints.size else since


def _until(e: np.ndarray, since: int) -> int:
    """The day from which on a change is over; `len(e)` where it still stands.

    While it stands its days are about as strong as its strongest. It ends where the sum of what they
    have beyond a quarter of that (as logarithms) is largest, once that much is lost again.
    """
    strength = np.log(np.maximum(e[since:], 1.0))
    ordinary = _OF_STRONGEST * strength.max()
    gathered = (strength - ordinary).cumsum()
    peak = int(np.argmax(gathered))
    return since + peak + 1 if gathered[peak] - gathered[-1] >= ordinary > 0 else len(e)
