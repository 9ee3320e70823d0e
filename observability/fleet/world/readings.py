"""What each decision type reads: names, units, resolution, and how noisy a sensor is.

Owns the order of the inputs, which is the models' order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from observability.models.features import Feature

STOP, THROTTLE = "pump.stop", "valve.throttle"
TYPES = (STOP, THROTTLE)


@dataclass(frozen=True, slots=True)
class Sensor:
    """One input. `noise` (a standard deviation), `spread` (between devices) and range are in `unit`.

    `actionable`: operators can change it, by a set-point or by what they do to the machine.
    """

    name: str
    unit: str
    decimals: int
    noise: float
    spread: float
    lowest: float = -np.inf
    highest: float = np.inf
    actionable: bool = True


SENSORS: dict[str, tuple[Sensor, ...]] = {
    STOP: (
        Sensor("bearing_temperature", "Cel", 2, 1.2, 1.0),
        Sensor("motor_temperature", "Cel", 2, 1.5, 1.2),
        Sensor("oil_temperature", "Cel", 2, 1.0, 0.8),
        Sensor("ambient_temperature", "Cel", 2, 0.4, 0.2, actionable=False),
        Sensor("vibration_rms", "mm/s", 3, 0.2, 0.12),
        Sensor("vibration_kurtosis", "1", 3, 0.25, 0.08),
        Sensor("suction_pressure", "bar", 3, 0.06, 0.04),
        Sensor("discharge_pressure", "bar", 3, 0.1, 0.08),
        Sensor("flow", "m3/h", 2, 4.0, 2.5),
        Sensor("motor_current", "A", 2, 1.4, 0.8),
        Sensor("speed", "rpm", 1, 7.0, 3.0),
        Sensor("oil_level", "%", 2, 1.0, 1.0),
        Sensor("seal_leakage", "mL/h", 2, 1.6, 0.6, 0.2),
    ),
    THROTTLE: (
        Sensor("inlet_pressure", "bar", 3, 0.12, 0.06),
        Sensor("outlet_pressure", "bar", 3, 0.09, 0.05),
        Sensor("pressure_fluctuation", "bar", 4, 0.04, 0.01, 0.005),
        Sensor("flow", "m3/h", 2, 4.0, 2.5),
        Sensor("valve_position", "%", 2, 2.5, 1.5),
        Sensor("valve_lag", "s", 3, 0.15, 0.1),
        Sensor("tank_level", "%", 2, 1.0, 1.0, 0.0, 100.0),
        Sensor("medium_temperature", "Cel", 2, 0.5, 0.4, actionable=False),
        Sensor("speed", "rpm", 1, 7.0, 3.0),
        Sensor("motor_current", "A", 2, 1.4, 0.8),
        Sensor("vibration_rms", "mm/s", 3, 0.2, 0.12),
        Sensor("demand_forecast", "m3/h", 2, 8.0, 2.0, actionable=False),
    ),
}


def names(type_: str) -> tuple[str, ...]:
    """The inputs of a decision type, in order."""
    return tuple(sensor.name for sensor in SENSORS[type_])


def features(type_: str) -> tuple[Feature, ...]:
    """The same as the features of its models."""
    return tuple(
        Feature(
            sensor.name,
            sensor.unit,
            low=sensor.lowest if np.isfinite(sensor.lowest) else None,
            high=sensor.highest if np.isfinite(sensor.highest) else None,
            actionable=sensor.actionable,
        )
        for sensor in SENSORS[type_]
    )


def in_range(type_: str, values: np.ndarray) -> np.ndarray:
    """Values of shape `(..., n_inputs)` held to what the quantities can be."""
    sensors = SENSORS[type_]
    lowest, highest = [s.lowest for s in sensors], [s.highest for s in sensors]
    return np.clip(values, lowest, highest)


def as_transmitted(type_: str, values: np.ndarray) -> np.ndarray:
    """Readings of shape `(..., n_inputs)` in the resolution in which a sensor sends them."""
    steps = 10.0 ** np.array([sensor.decimals for sensor in SENSORS[type_]])
    return np.round(values * steps) / steps + 0.0  # + 0.0: no negative zero
