"""The device side: decide, apply the gates, record, act. Light enough for a small computer."""

from traces.device.clock import Clock, RecordedClock, SystemClock
from traces.device.point import Decided, DecisionPoint
from traces.device.privacy import Privacy
from traces.device.recorder import Recorder

__all__ = [
    "Clock",
    "Decided",
    "DecisionPoint",
    "Privacy",
    "RecordedClock",
    "Recorder",
    "SystemClock",
]
