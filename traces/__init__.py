"""What happened: the decision as a value, its gates, and its form as an OpenTelemetry span."""

from traces.decision import (
    ChainPosition,
    ClockReading,
    Decision,
    GateVerdict,
    ModelVersion,
    Outcome,
    Recommendation,
    Review,
)
from traces.errors import WhenceError
from traces.gates import Gate
from traces.gates_of_kind import Clamp, HumanGate, Interlock
from traces.gates_over_time import Duration, Hysteresis, Rate

__all__ = [
    "ChainPosition",
    "Clamp",
    "ClockReading",
    "Decision",
    "Duration",
    "Gate",
    "GateVerdict",
    "HumanGate",
    "Hysteresis",
    "Interlock",
    "ModelVersion",
    "Outcome",
    "Rate",
    "Recommendation",
    "Review",
    "WhenceError",
]
