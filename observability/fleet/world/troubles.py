"""The troubles that a world has, as its truth file tells them.

Owns where and when each happens. They fall into the last third of the time, 14 days at most, apart
from each other in place, input or time, so that none hides another.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from observability.fleet.world.readings import STOP, THROTTLE
from observability.fleet.world.sites import SHIFTS, SITES, Device

BIAS = "biased_sensor"
STUCK = "stuck_sensor"
UNIT = "unit_change"
LOAD = "load_change"
RELEASE = "bad_release"
GATE = "gate_limit"
OUTAGE = "network_outage"
SILENT = "silent_device"
OPERATOR = "approves_everything"

KINDS = (BIAS, STUCK, UNIT, LOAD, RELEASE, GATE, OUTAGE, SILENT, OPERATOR)
TROUBLED_DAYS = 14
_OUTAGE = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Trouble:
    """One entry of truth.json: in force from `begins` (included) to `ends` (excluded; None = still).

    `input` is None where it is not about one; `parameters` holds what the kind needs, JSON values.
    """

    kind: str
    devices: tuple[str, ...]
    input: str | None
    begins: datetime
    ends: datetime | None
    parameters: Mapping[str, Any]

    @property
    def begins_ns(self) -> int:
        """Nanoseconds since 1970 UTC."""
        return _ns(self.begins)

    @property
    def ends_ns(self) -> int:
        """Nanoseconds since 1970 UTC; the largest int64 where it has no end."""
        return (1 << 63) - 1 if self.ends is None else _ns(self.ends)

    def holds(self, at_ns: int) -> bool:
        """Whether it is in force at an instant."""
        return self.begins_ns <= at_ns < self.ends_ns


def plan(devices: Sequence[Device], start: datetime, days: int) -> tuple[Trouble, ...]:
    """The troubles of a fleet, in order of `begins`."""
    window = min(TROUBLED_DAYS, days // 3)
    opens = start + timedelta(days=days - window)

    def at(day: float) -> datetime:
        moment = opens + timedelta(days=day * window / TROUBLED_DAYS)
        return moment.replace(second=0, microsecond=0)

    cinder, ferraz, karee, vella = (_of_site(devices, place) for place in range(len(SITES)))
    canaries = _ids(device for device in devices if device.canary)
    biased = ferraz[1] if len(ferraz) > 1 else ferraz[0]
    outage = at(8.0)
    stamper = {"gate": "operator_approval", "operator": SITES[0].operators[0], "shift": SHIFTS[0]}
    troubles = (
        Trouble(RELEASE, canaries, None, at(0.2), at(2.5), {
            "decision_type": STOP, "version": "1.1.0", "rolled_back_to": "1.0.0",
            "cause": "planned changeovers at high flow were labelled as faults",
        }),
        Trouble(STUCK, _ids(karee[-1:]), "motor_current", at(2.6), at(5.6), {}),
        Trouble(OPERATOR, _ids(cinder), None, at(3.0), None, {"decision_type": STOP, **stamper}),
        Trouble(GATE, _ids(ferraz), "flow", at(3.5), at(6.5), {
            "decision_type": THROTTLE, "gate": "minimum_flow", "limit": 145.0, "usual_limit": 85.0,
        }),
        Trouble(BIAS, (biased.device_id,), "bearing_temperature", at(4.0), None, {
            "offset": 10.0, "unit": "Cel",
        }),
        Trouble(UNIT, _ids(karee), "ambient_temperature", at(6.0), at(12.0), {
            "factor": 1.8, "offset": 32.0, "unit": "[degF]", "usual_unit": "Cel",
            "firmware": "4.3.0", "repaired_by": "4.3.1",
        }),
        Trouble(LOAD, _ids(vella), None, at(7.0), None, {
            "benign": True, "factor": 1.15, "ramp_hours": round(48.0 * window / TROUBLED_DAYS, 3),
            "cause": "irrigation season",
        }),
        Trouble(OUTAGE, _ids(cinder), None, outage, outage + _OUTAGE, {"hours": 6.0}),
        Trouble(SILENT, _ids(cinder[-1:]), None, at(10.0), None, {}),
    )  # fmt: skip
    return tuple(sorted(troubles, key=lambda trouble: trouble.begins))


def truth_json(troubles: Iterable[Trouble]) -> str:
    """The text of truth.json; times ISO 8601 with Z, `to` null where a trouble still stands."""
    entries = [
        {
            "kind": trouble.kind,
            "devices": list(trouble.devices),
            "input": trouble.input,
            "from": _iso(trouble.begins),
            "to": None if trouble.ends is None else _iso(trouble.ends),
            "parameters": dict(trouble.parameters),
        }
        for trouble in troubles
    ]
    return json.dumps(entries, indent=2, ensure_ascii=False) + "\n"


def of_kind(troubles: Iterable[Trouble], kind: str) -> Trouble | None:
    """The trouble of a kind; None where there is none."""
    return next((trouble for trouble in troubles if trouble.kind == kind), None)


def _of_site(devices: Sequence[Device], place: int) -> list[Device]:
    return [device for device in devices if device.site == SITES[place]]


def _ids(devices: Iterable[Device]) -> tuple[str, ...]:
    return tuple(device.device_id for device in devices)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _ns(at: datetime) -> int:
    return round(at.timestamp()) * 10**9
