"""What happened: the decision as a value, its gates, and its form as an OpenTelemetry span."""

from traces.decision import (
    ChainPosition,
    ClockReading,
    Decision,
    GateVerdict,
    ModelVersion,
    Outcome,
    Recommendation,
)
from traces.errors import WhenceError
from traces.gates import Gate

__all__ = [
    "ChainPosition",
    "ClockReading",
    "Decision",
    "Gate",
    "GateVerdict",
    "ModelVersion",
    "Outcome",
    "Recommendation",
    "WhenceError",
]
