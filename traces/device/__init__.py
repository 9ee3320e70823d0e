"""The device side: decide, apply the gates, record, act. Light enough for a small computer."""

from traces.device.clock import Clock, RecordedClock, SystemClock
from traces.device.point import Decided, DecisionPoint
from traces.device.recorder import Recorder

__all__ = ["Clock", "Decided", "DecisionPoint", "RecordedClock", "Recorder", "SystemClock"]
