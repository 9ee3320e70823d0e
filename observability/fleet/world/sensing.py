"""From true readings to what the device is told: sensor troubles and changed demand.

The invariant: a reading differs from the truth only by a trouble of the truth file, on its devices,
its input and in its time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from observability.fleet.world.physics import Block, Machines
from observability.fleet.world.readings import TYPES, as_transmitted, names
from observability.fleet.world.troubles import BIAS, LOAD, STUCK, UNIT, Trouble, of_kind


def demand(
    fleet: Machines, troubles: Sequence[Trouble], epoch_s: int, at_s: np.ndarray
) -> np.ndarray:
    """The factor on the load at `at_s` (seconds since the start), same shape."""
    factor = np.ones_like(at_s)
    change = of_kind(troubles, LOAD)
    if change is not None:
        since_s = at_s + epoch_s - change.begins_ns / 1e9
        ramp = np.clip(since_s / (change.parameters["ramp_hours"] * 3600.0), 0.0, 1.0)
        rise = (change.parameters["factor"] - 1.0) * ramp
        factor += np.where(_on(fleet, change), rise, 0.0)
    return factor


def sensed(fleet: Machines, troubles: Sequence[Trouble], block: Block) -> dict[str, np.ndarray]:
    """What the devices read in a block, per decision type, in the resolution of the sensors.

    Shape `(SLOTS, n_devices, n_inputs)`.
    """
    told = {}
    for type_ in TYPES:
        values = block.readings[type_].copy()
        for trouble in troubles:
            if trouble.kind in (BIAS, STUCK, UNIT) and trouble.input in names(type_):
                _apply(fleet, trouble, block.decided_ns[type_], values, names(type_))
        told[type_] = as_transmitted(type_, values)
    return told


def _apply(
    fleet: Machines, trouble: Trouble, at_ns: np.ndarray, values: np.ndarray, inputs: Sequence[str]
) -> None:
    column = values[:, :, inputs.index(trouble.input or "")]
    in_force = (at_ns >= trouble.begins_ns) & (at_ns < trouble.ends_ns) & _on(fleet, trouble)
    said = trouble.parameters
    if trouble.kind == STUCK:
        column[in_force] = said["value"]
    else:
        column[in_force] = column[in_force] * said.get("factor", 1.0) + said["offset"]


def _on(fleet: Machines, trouble: Trouble) -> np.ndarray:
    return np.array([device.device_id in trouble.devices for device in fleet.devices])
