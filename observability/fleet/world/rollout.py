"""Which model version and which firmware a device runs when.

Owns the plan of releases. Version 1.0.0 runs from the start; the stop model's 1.1.0 comes to the
canaries and is rolled back; the valve model's 1.1.0 comes to one site a day, late in the baseline.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from observability.fleet.world.physics import Machines
from observability.fleet.world.readings import STOP, THROTTLE
from observability.fleet.world.sites import SITES, Device
from observability.fleet.world.troubles import RELEASE, UNIT, Trouble, of_kind

VERSIONS = ("1.0.0", "1.1.0")
_VALVE_RELEASE = 0.5  # share of the days after which the valve's release begins
_FIRMWARE_UPDATE = 0.3  # the same for one site's ordinary update


def released_at(
    type_: str, version: str, troubles: Sequence[Trouble], start: datetime, days: int
) -> datetime | None:
    """When a version first ran in the fleet, UTC; None where it never did."""
    if version == VERSIONS[0]:
        return start
    if type_ == THROTTLE:
        return _valve_release(start, days)
    bad = of_kind(troubles, RELEASE)
    return None if bad is None else bad.begins


def running(
    fleet: Machines,
    type_: str,
    at_ns: np.ndarray,
    troubles: Sequence[Trouble],
    start: datetime,
    days: int,
) -> np.ndarray:
    """The index in VERSIONS that runs at `at_ns`, shape `(n_instants, n_devices)`."""
    if type_ == STOP:
        bad = of_kind(troubles, RELEASE)
        if bad is None:
            return np.zeros(at_ns.shape, dtype=np.int64)
        there = np.array([device.device_id in bad.devices for device in fleet.devices])
        return ((at_ns >= bad.begins_ns) & (at_ns < bad.ends_ns) & there).astype(np.int64)
    first_ns = round(_valve_release(start, days).timestamp()) * 10**9
    return (at_ns >= first_ns + fleet.site * 86400 * 10**9).astype(np.int64)


def firmware_history(
    device: Device, troubles: Sequence[Trouble], start: datetime, days: int
) -> tuple[tuple[datetime, str], ...]:
    """The firmware of a device: from when on, which; oldest first. A change is a boot."""
    history = [(start - timedelta(days=90), device.site.firmware)]
    if device.site == SITES[-1]:
        history.append((start + timedelta(days=days) * _FIRMWARE_UPDATE, "4.2.1"))
    change = of_kind(troubles, UNIT)
    if change is not None and device.device_id in change.devices:
        history.append((change.begins, change.parameters["firmware"]))
        if change.ends is not None:
            history.append((change.ends, change.parameters["repaired_by"]))
    return tuple(history)


def _valve_release(start: datetime, days: int) -> datetime:
    return start + timedelta(days=days) * _VALVE_RELEASE
