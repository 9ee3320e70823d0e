"""One device's day of one decision type, slot by slot: verdicts, action, outcome.

Owns the context of a decision. The only place where a past action matters for the next one.
"""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from observability.fleet.world import outcomes, policy
from observability.fleet.world.course import Course, Memory
from observability.fleet.world.event import Event
from observability.fleet.world.outcomes import Finding
from observability.fleet.world.readings import STOP, names
from observability.fleet.world.rollout import VERSIONS, firmware_history
from observability.fleet.world.sites import SHIFTS, Device, shift_at
from observability.fleet.world.troubles import RELEASE, SILENT, of_kind
from traces import ClockReading, Decision, GateVerdict, Outcome, Recommendation
from traces.decision import Scalar
from traces.device.ids import timed
from traces.gates import disposition

HEX = 36  # 20 of a trace id, which begins with the time, and 16 of a span id
CHANCES = 7  # three for the person, three for the outcome, one for the span
_SHORTEST_SPAN_NS = 900_000
_SPAN_NS = 2_500_000


@dataclass(frozen=True, slots=True)
class DeviceDay:
    """Lists over the slots of a block. `at_s` and `onset_s` in seconds since the start.

    `chances` holds CHANCES numbers in 0..1 a slot, `deviates` a normal one; `ids` 2 * HEX digits a slot.
    """

    type: str
    device: Device
    at_s: Sequence[float]
    decided_ns: Sequence[int]
    inputs: Sequence[Sequence[float]]
    scores: Sequence[float]
    versions: Sequence[int]
    needed: Sequence[bool]
    onset_s: Sequence[float]
    fails: Sequence[bool]
    tank_level: Sequence[float]
    standby_ready: Sequence[bool]
    chances: Sequence[Sequence[float]]
    deviates: Sequence[float]
    ids: str


class Narrator:
    """Tells a DeviceDay."""

    def __init__(self, course: Course, day: DeviceDay) -> None:
        self._day, self._troubles = day, course.troubles
        self._device_id = day.device.device_id
        self._epoch_s = course.epoch_s
        self._names = names(day.type)
        self._fallback, self._act = policy.ACTIONS[day.type]
        self._models = [course.models[day.type, version] for version in VERSIONS]
        self._boots = _boots(course, day.device)
        self._release = of_kind(course.troubles, RELEASE) if day.type == STOP else None
        silent = of_kind(course.troubles, SILENT)
        is_silent = silent is not None and self._device_id in silent.devices
        self._silent_ns = silent.begins_ns if silent is not None and is_silent else math.inf

    def events(self, memory: Memory) -> Iterator[Event]:
        """The decisions in order, each followed by its outcome, if it will have one."""
        day, key = self._day, (self._day.type, self._day.device.index)
        for slot, at_ns in enumerate(day.decided_ns):
            if at_ns >= self._silent_ns:
                return
            acted_s = memory.acted_s.get(key, -math.inf)
            decision, waited_ns = self._decide(slot, at_ns, acted_s)
            event = self._event(slot, at_ns, waited_ns, decision)
            yield event
            acts = decision.action == self._act
            if acts:
                memory.acted_s[key] = day.at_s[slot]
            finding = self._finding(slot, acts, acted_s)
            if finding is not None:
                yield self._outcome(slot, event, finding)

    def _decide(self, slot: int, at_ns: int, acted_s: float) -> tuple[Decision, int]:
        """The decision, and how many nanoseconds it waited for a person."""
        day, model = self._day, self._models[self._day.versions[slot]]
        score = day.scores[slot]
        inputs = dict(zip(self._names, day.inputs[slot], strict=True))
        shift = shift_at(day.device.site, at_ns / 1e9)
        context = self._context(slot, at_ns, shift, acted_s)
        proposed = self._act if score >= model.threshold else self._fallback
        verdicts: tuple[GateVerdict, ...] = ()
        waited_s = 0.0
        if proposed == self._act:
            verdicts, waited_s = self._judge(slot, at_ns, shift, {**context, **inputs})
        if waited_s:
            context["approval_response_s"] = waited_s
        made = disposition(verdicts)
        return Decision(
            type=day.type,
            model=model.version,
            action=proposed if made == "executed" else self._fallback,
            disposition=made,
            recommendation=Recommendation(proposed, score, model.threshold),
            inputs=inputs,
            gates=verdicts,
            context=context,
            clock=self._clock(at_ns),
        ), int(waited_s * 1e9)

    def _judge(
        self, slot: int, at_ns: int, shift: int, observed: Mapping[str, object]
    ) -> tuple[tuple[GateVerdict, ...], float]:
        """All verdicts on an act, and how many seconds a person took (0 where none was asked)."""
        day = self._day
        verdicts = policy.rule_verdicts(day.type, day.device, at_ns, observed, self._troubles)
        asked = day.type == STOP and day.device.critical
        if not asked or any(verdict.verdict != "pass" for verdict in verdicts):
            return verdicts, 0.0
        said = policy.answer(
            day.device, shift, at_ns, day.needed[slot], day.chances[slot][:3], self._troubles
        )
        return (*verdicts, said.verdict), said.response_s

    def _context(self, slot: int, at_ns: int, shift: int, acted_s: float) -> dict[str, Scalar]:
        day, site = self._day, self._day.device.site
        context: dict[str, Scalar] = {
            "site": site.name,
            "shift": SHIFTS[shift],
            "operator": site.operators[shift],
        }
        if day.type == STOP:
            since_min = min((day.at_s[slot] - acted_s) / 60.0, policy.LONGEST_SPACING_MIN)
            context["tank_level"] = day.tank_level[slot]
            context["standby_ready"] = day.standby_ready[slot]
            context["minutes_since_stop"] = round(since_min, 1)
        if self._release is not None and self._release.holds(at_ns):
            context["feature_flag.key"] = f"{day.type}-release"
            arm = "canary" if self._device_id in self._release.devices else "control"
            context["feature_flag.result.variant"] = arm
        return context

    def _event(self, slot: int, at_ns: int, waited_ns: int, decision: Decision) -> Event:
        chances = self._day.chances[slot]
        trace_id, span_id = self._ids(2 * slot, at_ns)
        return Event(
            device_id=self._device_id,
            trace_id=trace_id,
            span_id=span_id,
            started_at_ns=at_ns - _SHORTEST_SPAN_NS - int(_SPAN_NS * chances[6]) - waited_ns,
            decided_at_ns=at_ns,
            body=decision,
        )

    def _finding(self, slot: int, acts: bool, acted_s: float) -> Finding | None:
        day = self._day
        if acts:
            return outcomes.of_act(
                day.type, day.needed[slot], day.chances[slot][3:6], day.deviates[slot]
            )
        if day.fails[slot] and acted_s < day.onset_s[slot]:
            return outcomes.of_failure(day.chances[slot][3:6])
        return None

    def _outcome(self, slot: int, event: Event, finding: Finding) -> Event:
        at_ns = event.decided_at_ns + int(finding.after_s * 1e6) * 1000
        trace_id, span_id = self._ids(2 * slot + 1, at_ns)
        return Event(
            device_id=self._device_id,
            trace_id=trace_id,
            span_id=span_id,
            started_at_ns=at_ns,
            decided_at_ns=at_ns,
            body=Outcome(
                trace_id=event.trace_id,
                span_id=event.span_id,
                label=outcomes.LABELS[self._day.type][finding.needed],
                source=finding.source,
                observed_unix_nano=at_ns,
                value=float(finding.needed),
            ),
        )

    def _ids(self, place: int, at_ns: int) -> tuple[str, str]:
        """The trace id, which begins with the time, and the span id of an event of the day."""
        digits = self._day.ids[place * HEX : (place + 1) * HEX]
        return f"{timed(at_ns, int(digits[:20], 16)):032x}", digits[20:]

    def _clock(self, at_ns: int) -> ClockReading:
        boot_ns, boot_id = next(boot for boot in self._boots if boot[0] <= at_ns)
        return ClockReading(boot_id, at_ns - boot_ns, synced=True)


def _boots(course: Course, device: Device) -> list[tuple[int, str]]:
    """When the device booted (nanoseconds since 1970 UTC) and the boot's id, newest first."""
    history = firmware_history(device, course.troubles, course.start, course.days)
    return [
        (_ns(at), _boot_id(course.fleet.seed, device, number))
        for number, (at, _) in reversed(list(enumerate(history)))
    ]


def _boot_id(seed: int, device: Device, number: int) -> str:
    named = f"{seed}/{device.device_id}/{number}".encode()
    return str(uuid.UUID(bytes=hashlib.blake2b(named, digest_size=16).digest(), version=4))


def _ns(at: datetime) -> int:
    return round(at.timestamp()) * 10**9
