"""What the drift of a fleet says of one device: its troubles, and which of its inputs were judged at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from observability.monitor.triage import Trouble
from observability.monitor.watched import Watched


@dataclass(frozen=True, slots=True)
class OfDevice:
    """`own` are troubles that name the device, `shared` those of the whole fleet.

    `judged` are decision type and input of its streams that have enough days to say anything.
    """

    own: tuple[Trouble, ...]
    shared: tuple[Trouble, ...]
    judged: frozenset[tuple[str, str]]


def of_device(watched: Sequence[Watched], troubles: Sequence[Trouble], device_id: str) -> OfDevice:
    """The part of a triage that is about one device."""
    return OfDevice(
        own=tuple(one for one in troubles if device_id in one.devices),
        shared=tuple(one for one in troubles if not one.devices),
        judged=frozenset(
            (each.drift.decision_type, name)
            for each in watched
            if device_id in each.drift.devices
            for name in each.drift.names
            if _judged(each, device_id, name)
        ),
    )


def _judged(watched: Watched, device_id: str, name: str) -> bool:
    drift = watched.drift
    stream = drift.place(device_id) * len(drift.names) + drift.names.index(name)
    return not watched.evidence.insufficient[stream]
