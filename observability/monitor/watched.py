"""Which streams of a decision type alarm: each input of each device, and of the fleet, day by day.

Owns how a Drift becomes streams for evidence.py, and what of it is one alarm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from observability.monitor.calibration import Calibrated, calibrate
from observability.monitor.contribution import carriers, contributions
from observability.monitor.drift import Drift, spread_out
from observability.monitor.evidence import Evidence, evidence, ranked
from observability.monitor.matching import FEWEST_VALUES, same_season
from observability.monitor.psi import FEWEST, psi
from observability.store.cube import Cube

_DAY_S = 86400.0
_OF_STRONGEST = 0.25
_HINT = 10.0
_ONE_IN_FIVE = 0.2
_ALIKE = 0.25
_MOST_CARRIERS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """Evidence of all streams of a decision type; stream `place * n_inputs + input`, place 0 the fleet.

    `until` is where what was looked at ends, UTC; None: at the newest decision.
    """

    drift: Drift
    days: Calibrated
    evidence: Evidence
    until: datetime | None = None

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

    `to` is None where its latest day still differs. `psi` is of all its values since then. `beside` are
    the device's other inputs that have moved too, as e-BH tells at one false in five: less surely than
    an alarm, and enough to say that this one did not depart alone.
    """

    decision_type: str
    device: str | None
    name: str
    since: datetime
    to: datetime | None
    strength: float
    psi: float
    values: int
    beside: tuple[str, ...] = ()


def watch(drift: Drift, until: datetime | None = None) -> Watched | None:
    """Judge every stream on the buckets after the baseline, up to `until`; None where there is none.

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
    return Watched(drift, days, evidence(days, _releases(drift)), until)


def alarms(watched: Watched) -> tuple[Alarm, ...]:
    """The streams that alarm on any day, those that began first first."""
    found, drift = watched.evidence, watched.drift
    starts = drift.starts[drift.after :]
    listed = []
    for stream in np.flatnonzero(found.alarm.any(axis=1)).tolist():
        last = int(np.flatnonzero(found.alarm[stream])[-1])
        since = _onset(found.strength[stream], int(found.since[stream, last]), found.needed)
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
                beside=_beside(watched, stream) if place else (),
            )
        )
    return tuple(sorted(listed, key=lambda alarm: (alarm.since, alarm.name, alarm.device or "")))


def carriers_of(watched: Watched, alarm: Alarm) -> tuple[Alarm, ...]:
    """The fleet's alarm as one of each device that carries it, at most 20; none where most of them do."""
    drift = watched.drift
    n, first = drift.names.index(alarm.name), drift.starts.index(alarm.since)
    until = drift.starts.index(alarm.to) if alarm.to else None
    now = drift.now[1:, first:until, n].sum(axis=1)
    places = carriers(contributions(drift.usual[1:, n], now))
    if 2 * len(places) > len(drift.devices):
        return ()
    return tuple(
        replace(alarm, device=drift.devices[place], values=int(now[place].sum()))
        for place in places[:_MOST_CARRIERS].tolist()
    )


def stood_still(watched: Watched) -> tuple[Alarm, ...]:
    """Inputs of devices of which all values of a bucket are equal, and never were in the baseline.

    A sensor that stands at a usual value hardly moves the counts; its recorded values tell whether it does.
    """
    drift, found = watched.drift, watched.evidence
    usual = _still(drift.baseline.cube).any(axis=0)
    cells, still = drift.cube.cells, _still(drift.cube) & ~usual
    devices, buckets = set(drift.devices), {at: n for n, at in enumerate(drift.starts)}
    days: dict[tuple[str, int], list[int]] = {}
    for row, n in np.argwhere(still).tolist():
        device, at = cells["device_id"][row], cells["at"][row]
        if device in devices and buckets.get(at, -1) >= drift.after:
            days.setdefault((device, n), []).append(buckets[at])
    listed = []
    for (device, n), on in days.items():
        place, first, until = drift.place(device), min(on), max(on) + 1
        stream = place * len(drift.names) + n
        if found.insufficient[stream]:
            continue
        now = drift.now[place, first:until, n].sum(axis=0)
        listed.append(
            Alarm(
                decision_type=drift.decision_type,
                device=device,
                name=drift.names[n],
                since=drift.starts[first],
                to=drift.starts[until] if until < len(drift.starts) else None,
                strength=float(found.strength[stream].max()),
                psi=float(psi(drift.usual[place, n], FEWEST * now)),  # of however few values
                values=int(now.sum()),
            )
        )
    return tuple(listed)


def _still(cube: Cube) -> np.ndarray:
    """Of which inputs a cell has many values and all are equal, `(n_cells, n_inputs)`."""
    return (cube.counts.sum(axis=-1) >= FEWEST_VALUES) & (cube.lows == cube.highs)


def _beside(watched: Watched, stream: int) -> tuple[str, ...]:
    """The other inputs of an alarming stream's device that have moved while it alarmed.

    By at least a quarter of its effect: a large change of one is not explained by small ones of others.
    """
    found, n_inputs = watched.evidence, len(watched.drift.names)
    place = stream // n_inputs
    own = slice(place * n_inputs, (place + 1) * n_inputs)
    moved: set[int] = set()
    for day in np.flatnonzero(found.alarm[stream]).tolist():
        order, named = ranked(found.strength[own, day], _ONE_IN_FIVE)
        alike = found.effect[own, day] >= _ALIKE * found.effect[stream, day]
        moved.update(n for n in order[:named].tolist() if alike[n])
    return tuple(watched.drift.names[n] for n in sorted(moved - {stream % n_inputs}))


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


def _onset(strength: np.ndarray, since: int, needed: float) -> int:
    """The day on which evidence that began on the day `since` became more than a hint for good."""
    alarm = since + int(np.argmax(strength[since:] >= needed))
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
