"""From load, weather, wear and distress to what sensors read, one block of a day at a time.

The invariant: a block depends on seed and block number alone. Actions do not feed back: a stop
changes over to the standby set under the same load, and an episode lasts as long as it lasts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from observability.fleet.world import noise
from observability.fleet.world.episodes import PUMP, SURGE, Distress, distress
from observability.fleet.world.noise import SLOTS
from observability.fleet.world.readings import SENSORS, STOP, THROTTLE, TYPES, in_range
from observability.fleet.world.sites import SITES, Device

STEP_S = 900.0
DAY_S = 86400.0
_LONGEST_PHASE_S = 590.0
_LATER_S = {STOP: 0.0, THROTTLE: 300.0}  # the valve decides five minutes after the pump
_JITTER_S = 4.0
_SHARED = {"flow": 0, "motor_current": 1, "speed": 2, "vibration_rms": 3}  # one sensor, read twice


@dataclass(frozen=True, slots=True)
class Machines:
    """What stays the same of each device; arrays of shape `(n_devices,)`, times in seconds.

    `offsets` has shape `(n_devices, n_inputs)` per decision type, in the inputs' units.
    """

    devices: tuple[Device, ...]
    seed: int
    site: np.ndarray
    phase_s: np.ndarray
    level: np.ndarray
    service_s: np.ndarray
    serviced_s: np.ndarray
    offsets: dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Block:
    """One day of all devices: arrays of shape `(SLOTS, n_devices)`, readings with `n_inputs` more.

    `at_s` counts seconds since the start and `decided_ns` nanoseconds since 1970 UTC.
    """

    number: int
    at_s: np.ndarray
    decided_ns: dict[str, np.ndarray]
    readings: dict[str, np.ndarray]
    distress: dict[str, Distress]
    tank_level: np.ndarray
    standby_ready: np.ndarray


@dataclass(frozen=True, slots=True)
class _State:
    load: np.ndarray
    ahead: np.ndarray
    ambient: np.ndarray
    wear: np.ndarray
    oil: np.ndarray
    tank: np.ndarray


def machines(devices: Sequence[Device], seed: int) -> Machines:
    """The fixed properties of the devices, drawn from the seed."""
    random, count = noise.draw(seed, noise.DEVICES), len(devices)
    shared = random.standard_normal((count, len(_SHARED)))
    offsets = {}
    for type_ in TYPES:
        own = random.standard_normal((count, len(SENSORS[type_])))
        for at, sensor in enumerate(SENSORS[type_]):
            if sensor.name in _SHARED:
                own[:, at] = shared[:, _SHARED[sensor.name]]
        offsets[type_] = own * np.array([sensor.spread for sensor in SENSORS[type_]])
    return Machines(
        devices=tuple(devices),
        seed=seed,
        site=np.array([SITES.index(device.site) for device in devices]),
        phase_s=random.uniform(0.0, _LONGEST_PHASE_S, count).round(3),
        level=random.uniform(0.96, 1.04, count),
        service_s=random.uniform(14.0, 24.0, count) * DAY_S,
        serviced_s=random.uniform(0.0, 24.0, count) * DAY_S,
        offsets=offsets,
    )


def instants(machines_: Machines, block: int) -> np.ndarray:
    """Seconds since the start of each slot and device, shape `(SLOTS, n_devices)`, without jitter."""
    slots = (block * SLOTS + np.arange(SLOTS, dtype=np.float64)) * STEP_S
    return slots[:, None] + machines_.phase_s[None, :]


def simulate(
    fleet: Machines, epoch_s: int, block: int, *, stream: int = 0, demand: np.ndarray | None = None
) -> Block:
    """One block of the true readings, before any sensor trouble.

    `epoch_s` is the start in seconds since 1970 UTC; `stream` tells worlds of one seed apart;
    `demand` multiplies the load, shape `(SLOTS, n_devices)`.
    """
    path = (fleet.seed, stream)
    at_s = instants(fleet, block)
    waves = _waves(path, block, fleet)
    state = _state(fleet, epoch_s, at_s, waves, 1.0 if demand is None else demand)
    troubled = {
        STOP: distress(PUMP, path, at_s, STEP_S),
        THROTTLE: distress(SURGE, path, at_s, STEP_S),
    }
    exact = {STOP: _pump(state, troubled[STOP]), THROTTLE: _valve(state, troubled[THROTTLE])}
    readings = {}
    for type_ in TYPES:
        scale = np.array([sensor.noise for sensor in SENSORS[type_]])
        measured = np.stack(exact[type_], axis=-1) + waves.sensors[type_] * scale
        readings[type_] = in_range(type_, measured + fleet.offsets[type_])
    jitter = noise.draw(*path, noise.JITTER, block).random((len(TYPES), *at_s.shape)) * _JITTER_S
    decided = {
        type_: (np.rint((at_s + _LATER_S[type_] + jitter[at]) * 1e6).astype(np.int64)) * 1000
        + epoch_s * 10**9
        for at, type_ in enumerate(TYPES)
    }
    return Block(
        number=block,
        at_s=at_s,
        decided_ns=decided,
        readings=readings,
        distress=troubled,
        tank_level=np.round(state.tank, 1),
        standby_ready=waves.standby > -1.6,
    )


@dataclass(frozen=True, slots=True)
class _Waves:
    """Autocorrelated noise of unit variance, by what it moves; `(SLOTS, n_devices)`, sensors more."""

    weather: np.ndarray
    bustle: np.ndarray
    load: np.ndarray
    tank: np.ndarray
    standby: np.ndarray
    sensors: dict[str, np.ndarray]


def _waves(path: tuple[int, ...], block: int, fleet: Machines) -> _Waves:
    count, sites = len(fleet.devices), len(SITES)
    widths = [len(SENSORS[type_]) for type_ in TYPES]
    parts = [(sites, 0.98), (sites, 0.96), (count, 0.95), (count, 0.97), (count, 0.97)]
    parts += [(count * width, 0.9) for width in widths]
    phi = np.concatenate([np.full(size, value) for size, value in parts])
    series = noise.autocorrelated((*path, noise.SENSORS), block, phi)
    cuts = np.cumsum([size for size, _ in parts])[:-1]
    weather, bustle, load, tank, standby, *sensors = np.split(series, cuts, axis=1)
    return _Waves(
        weather[:, fleet.site],
        bustle[:, fleet.site],
        load,
        tank,
        standby,
        {
            type_: wave.reshape(SLOTS, count, width)
            for type_, wave, width in zip(TYPES, sensors, widths, strict=True)
        },
    )


def _state(
    fleet: Machines, epoch_s: int, at_s: np.ndarray, waves: _Waves, demand: np.ndarray | float
) -> _State:
    sites = [device.site for device in fleet.devices]
    offset_h = np.array([site.utc_offset_h for site in sites])
    local_h = (at_s + epoch_s) / 3600.0 + offset_h
    plant = np.array([site.load for site in sites]) * fleet.level
    rush = 0.035 * waves.load + 0.025 * waves.bustle
    load = np.clip((plant * _usual(local_h) + rush) * demand, 0.2, 1.25)
    ahead = np.clip((plant * _usual(local_h + 1.0) + rush) * demand, 0.2, 1.25)
    year = 2 * np.pi * ((at_s + epoch_s) / (365.2425 * DAY_S) - 200.0 / 365.2425)
    sun = np.cos(2 * np.pi * (local_h - 15.0) / 24.0)
    ambient = (
        np.array([site.ambient_degc for site in sites])
        + np.array([site.seasonal_degc for site in sites]) * np.cos(year)
        + np.array([site.daily_degc for site in sites]) * sun
        + 1.6 * waves.weather
    )
    age = at_s + fleet.serviced_s
    tide = 58.0 + 10.0 * np.sin(2 * np.pi * (local_h - 4.0) / 24.0)
    return _State(
        load=load,
        ahead=ahead,
        ambient=ambient,
        wear=(age / fleet.service_s) % 1.0,
        oil=(age / (fleet.service_s / 3)) % 1.0,
        tank=np.clip(tide + 11.0 * waves.tank, 2.0, 99.0),
    )


def _usual(local_h: np.ndarray) -> np.ndarray:
    """The load of a usual week: two daily peaks, and quieter week-ends; about 0.5 to 1."""
    hour = local_h % 24.0
    peaks = np.exp(-(((hour - 8.0) / 2.6) ** 2)) + 0.85 * np.exp(-(((hour - 18.5) / 3.0) ** 2))
    # 1970-01-01 was a Thursday: days 2 and 3 of the count are the week-end.
    weekend = (np.floor(local_h / 24.0) - 2.0) % 7.0 < 2.0
    return (0.56 + 0.34 * peaks) * np.where(weekend, 0.93, 1.0)


def _pump(s: _State, d: Distress) -> list[np.ndarray]:
    """The inputs of pump.stop in their order: bearing (0), cavitation (1) or seal (2) distress."""
    bearing, cavitation, seal = (np.where(d.kind == kind, d.severity, 0.0) for kind in range(3))
    return [
        s.ambient + 18.0 + 14.0 * s.load + 1.0 * s.wear + 20.0 * bearing + 3.0 * seal,
        s.ambient + 24.0 + 26.0 * s.load + 7.0 * bearing,
        s.ambient + 16.0 + 18.0 * s.load + 6.0 * bearing + 5.0 * seal,
        s.ambient,
        1.6 + 1.0 * s.load + 0.15 * s.wear + 1.1 * bearing + 1.8 * cavitation + 0.4 * seal,
        3.0 + 0.1 * s.wear + 0.8 * bearing + 0.6 * cavitation,
        1.6 - 0.35 * s.load - 0.8 * cavitation,
        6.4 - 1.2 * s.load - 0.9 * cavitation - 0.3 * seal,
        210.0 * s.load * (1.0 - 0.14 * cavitation),
        38.0 + 62.0 * s.load + 5.0 * bearing - 6.0 * cavitation,
        1480.0 * (0.72 + 0.3 * s.load),
        88.0 - 6.0 * s.oil - 12.0 * seal,
        5.0 + 1.0 * s.wear + 42.0 * seal,
    ]


def _valve(s: _State, d: Distress) -> list[np.ndarray]:
    """The inputs of valve.throttle in their order; a surge is stronger where the load is higher."""
    surge = d.severity
    return [
        6.4 - 1.2 * s.load + 1.1 * surge,
        3.6 - 0.8 * s.load + 0.5 * surge,
        0.12 + 0.06 * s.load + 0.34 * surge,
        210.0 * s.load + 22.0 * surge,
        38.0 + 42.0 * s.load - 5.0 * surge,
        1.4 + 0.3 * s.load + 0.7 * surge,
        s.tank + 4.0 * surge,
        12.0 + 0.3 * s.ambient,
        1480.0 * (0.72 + 0.3 * s.load),
        38.0 + 62.0 * s.load,
        1.6 + 1.0 * s.load + 0.15 * s.wear + 0.5 * surge,
        210.0 * s.ahead + 12.0 * surge,
    ]
