"""Spans of many devices -> requests of bounded size, in order, none lost.

The SDK's batching processor drops spans when its queue is full; a replay must not. This one only
collects: whoever drives the clock ships, and waits.
"""

from __future__ import annotations

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from traces.errors import WhenceError

MAX_PENDING = 512


class ShipmentError(WhenceError):
    """A receiver that does not take what it is sent."""


class Shipment(SpanProcessor):
    """Collects the ended spans of every recorder that it is given to, and exports them when told."""

    def __init__(self, exporter: SpanExporter, *, attempts: int = 3) -> None:
        self._exporter = exporter
        self._attempts = attempts
        self._pending: list[ReadableSpan] = []
        self.shipped = 0

    @property
    def is_full(self) -> bool:
        """Whether `ship` is due."""
        return len(self._pending) >= MAX_PENDING

    def ship(self) -> None:
        """Export what is pending, in requests of at most 512 spans; returns when all is acknowledged.

        The exporter itself waits and retries where the receiver asks for it. Raises ShipmentError
        where it gave up as often as `attempts` says; what was not acknowledged stays pending.
        """
        while self._pending:
            batch = self._pending[:MAX_PENDING]
            if not any(self._exporter.export(batch) is SpanExportResult.SUCCESS for _ in range(self._attempts)):
                raise ShipmentError(
                    f"a receiver that took {self.shipped} spans and refused the next {len(batch)}, {self._attempts} times",
                    "each request acknowledged",
                    "its own log says why",
                )
            del self._pending[: len(batch)]
            self.shipped += len(batch)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing: a span counts when it has ended."""

    def on_end(self, span: ReadableSpan) -> None:
        """Keep an ended span."""
        self._pending.append(span)

    def shutdown(self) -> None:
        """Nothing: many recorders share this processor, and its driver closes it."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 - the SDK's signature
        """Whether nothing is pending; only its driver ships."""
        return not self._pending
