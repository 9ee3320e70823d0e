"""One thing that happened, and when the network delivered it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from observability.fleet.world.troubles import OUTAGE, Trouble
from traces import Decision, Outcome

_DRAIN_RATE = 400  # a spool empties this much faster than it was filled
_RECONNECT_NS = 20 * 10**9


@dataclass(frozen=True, slots=True)
class Event:
    """A decision, or an outcome of an earlier one; nanoseconds since 1970 UTC.

    `trace_id` (32 hex) and `span_id` (16 hex) are those of the event's own span. `decided_at_ns` is
    the end of that span: of a decision its instant, of an outcome when it was recorded.
    """

    device_id: str
    trace_id: str
    span_id: str
    started_at_ns: int
    decided_at_ns: int
    delivered_at_ns: int
    body: Decision | Outcome

    @property
    def decision_id(self) -> str:
        """The decision that this is, or that it is about."""
        if isinstance(self.body, Outcome):
            return self.body.decision_id
        return f"{self.trace_id}-{self.span_id}"


def delivered_ns(device_id: str, at_ns: int, takes_ns: int, troubles: Sequence[Trouble]) -> int:
    """When something recorded at `at_ns` arrives; `takes_ns` is the way where the network works."""
    arrives = at_ns + takes_ns
    for trouble in troubles:
        if trouble.kind == OUTAGE and trouble.holds(arrives) and device_id in trouble.devices:
            waited = max(0, at_ns - trouble.begins_ns)
            return trouble.ends_ns + _RECONNECT_NS + waited // _DRAIN_RATE
    return arrives
