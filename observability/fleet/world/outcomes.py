"""What becomes known of a decision, and when.

The rule: a stop or throttle that was executed is looked into later, by an inspection or a pressure
trace; a few are never reported and a few per cent are reported wrongly. Of a device that went on
(run, hold; for whatever reason) nothing is known, unless the machine then fails and nobody has acted
since its distress began: that failure is the outcome of the decision at which it happened.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from observability.fleet.world.readings import STOP, THROTTLE

LABELS = {STOP: ("no_fault", "fault"), THROTTLE: ("no_surge", "surge")}
LONGEST_S = 6 * 86400.0
_UNREPORTED = 0.06
_WRONG = 0.03


@dataclass(frozen=True, slots=True)
class Finding:
    """A label that comes `after_s` seconds after its decision; `needed` is the label as a truth."""

    needed: bool
    source: str
    after_s: float


@dataclass(frozen=True, slots=True)
class _Delay:
    """Lognormal; seconds."""

    source: str
    median_s: float
    sigma: float
    shortest_s: float


_LOOKED_INTO = {
    STOP: (_Delay("inspection", 5 * 3600.0, 1.1, 1200.0), _Delay("workshop", 2 * 86400.0, 0.5, 43200.0)),
    THROTTLE: (_Delay("pressure_trace", 1500.0, 0.6, 300.0), _Delay("shift_log", 43200.0, 0.5, 7200.0)),
}  # fmt: skip
_SLOW_WAY = 0.12
_FAILURE_SOURCE = "protection_relay"


def of_act(type_: str, needed: bool, chance: Sequence[float], deviate: float) -> Finding | None:
    """What is found out about an executed act; None where nobody reports.

    `chance`: three numbers in 0..1; `deviate`: a standard normal number.
    """
    reported, right, way = chance
    if reported < _UNREPORTED:
        return None
    delay = _LOOKED_INTO[type_][way < _SLOW_WAY]
    after_s = max(delay.median_s * math.exp(delay.sigma * deviate), delay.shortest_s)
    return Finding(needed != (right < _WRONG), delay.source, min(after_s, LONGEST_S))


def of_failure(chance: Sequence[float]) -> Finding:
    """A failure is seen within minutes, and without doubt."""
    return Finding(True, _FAILURE_SOURCE, 60.0 + 540.0 * chance[2])
