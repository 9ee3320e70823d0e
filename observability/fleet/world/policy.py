"""Between recommendation and action: the rule gates, and the person on duty.

Owns every limit and how operators answer. A person is asked about the stop of a critical pump, and
only where every rule has passed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from observability.fleet.world.readings import STOP, THROTTLE
from observability.fleet.world.sites import SHIFTS, Device
from observability.fleet.world.troubles import GATE, OPERATOR, Trouble
from traces import Gate, GateVerdict

ACTIONS = {STOP: ("run", "stop"), THROTTLE: ("hold", "throttle")}
APPROVAL = "operator_approval"
LONGEST_SPACING_MIN = 1440.0  # `minutes_since_stop` counts no further

GATES: dict[str, tuple[Gate, ...]] = {
    STOP: (
        Gate("tank_reserve", "tank_level", ">=", 38.0, ("stop",)),
        Gate("standby_ready", "standby_ready", "==", 1.0, ("stop",)),
        Gate("restart_spacing", "minutes_since_stop", ">=", 30.0, ("stop",)),
    ),
    THROTTLE: (
        Gate("minimum_flow", "flow", ">=", 85.0, ("throttle",)),
        Gate("valve_range", "valve_position", ">=", 50.0, ("throttle",)),
        Gate("downstream_pressure", "outlet_pressure", ">=", 2.9, ("throttle",)),
    ),
}

_ANSWER_LIMIT_S = 600.0
_UNANSWERED = {"day": 0.03, "late": 0.05, "night": 0.5}
_APPROVED = {True: 0.85, False: 0.25}  # by whether the machine is in distress
_REASONS = (
    "local gauge reads normal",
    "batch must finish first",
    "no noise or heat at the pump",
    "standby set is being inspected",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person said, and after how many seconds."""

    verdict: GateVerdict
    response_s: float


def rule_verdicts(
    type_: str,
    device: Device,
    at_ns: int,
    observed: Mapping[str, object],
    troubles: Sequence[Trouble],
) -> tuple[GateVerdict, ...]:
    """The verdicts on a recommended act (not on the fallback, which no gate guards)."""
    return tuple(_gate(gate, device, at_ns, troubles).judge(observed) for gate in GATES[type_])


def answer(
    device: Device,
    shift: int,
    at_ns: int,
    needed: bool,
    chance: Sequence[float],
    troubles: Sequence[Trouble],
) -> Answer:
    """What the operator on duty says to a stop.

    `needed` is whether the machine is in distress; `chance` holds three numbers in 0..1: whether
    anyone answers, what, and how fast.
    """
    attention, judgement, haste = chance
    if _approves_everything(device, shift, at_ns, troubles):
        return Answer(GateVerdict(APPROVAL, "human", "pass"), round(3.0 + 5.0 * haste, 1))
    if attention < _UNANSWERED[SHIFTS[shift]]:
        late = GateVerdict(APPROVAL, "human", "defer", "no answer within 10 minutes")
        return Answer(late, _ANSWER_LIMIT_S)
    response_s = round(25.0 + 400.0 * haste**2, 1)
    if judgement < _APPROVED[needed]:
        return Answer(GateVerdict(APPROVAL, "human", "pass"), response_s)
    reason = _REASONS[int(haste * 997) % len(_REASONS)]
    return Answer(GateVerdict(APPROVAL, "human", "block", reason), response_s)


def _gate(gate: Gate, device: Device, at_ns: int, troubles: Sequence[Trouble]) -> Gate:
    for trouble in troubles:
        wrong = trouble.kind == GATE and trouble.parameters["gate"] == gate.name
        if wrong and device.device_id in trouble.devices and trouble.holds(at_ns):
            return replace(gate, limit=trouble.parameters["limit"])
    return gate


def _approves_everything(
    device: Device, shift: int, at_ns: int, troubles: Sequence[Trouble]
) -> bool:
    return any(
        trouble.kind == OPERATOR
        and device.device_id in trouble.devices
        and trouble.parameters["shift"] == SHIFTS[shift]
        and trouble.holds(at_ns)
        for trouble in troubles
    )
