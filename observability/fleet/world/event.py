"""One thing that happened on a device."""

from __future__ import annotations

from dataclasses import dataclass

from traces import Decision, Outcome


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
    body: Decision | Outcome

    @property
    def decision_id(self) -> str:
        """The decision that this is, or that it is about."""
        if isinstance(self.body, Outcome):
            return self.body.decision_id
        return f"{self.trace_id}-{self.span_id}"
