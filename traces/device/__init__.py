"""The device side: decide, apply the gates, record, act. Light enough for a small computer."""

from typing import TYPE_CHECKING, Any

from traces.device.clock import Clock, RecordedClock, SystemClock
from traces.device.point import Decided, DecisionPoint
from traces.device.privacy import Privacy
from traces.device.recorder import Recorder
from traces.device.spool import Spool
from traces.device.status import status

if TYPE_CHECKING:
    from traces.device.sender import Sender

__all__ = [
    "Clock",
    "Decided",
    "DecisionPoint",
    "Privacy",
    "RecordedClock",
    "Recorder",
    "Sender",
    "Spool",
    "SystemClock",
    "status",
]


def __getattr__(name: str) -> Any:
    """The sender is imported where it is asked for: it brings HTTP and TLS."""
    if name != "Sender":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from traces.device.sender import Sender

    return Sender
