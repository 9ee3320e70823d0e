"""Spans of many devices -> requests of bounded size, in order, none lost.

The SDK's batching processor drops spans when its queue is full; a replay must not. This one keeps
at most one request on its way and one filling up: whoever records faster than the receiver takes, waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from traces.errors import WhenceError

MAX_PENDING = 512


class ShipmentError(WhenceError):
    """A span that could not be recorded, or a receiver that does not take what it is sent."""


class Shipment(SpanProcessor):
    """Collects the ended spans of every recorder that it is given to, and exports them when told.

    `set_time` moves the receiver's clock, nanoseconds since 1970 UTC, before a request goes out.
    `shipped` counts acknowledged spans.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        set_time: Callable[[int], object] = lambda _: None,
        *,
        attempts: int = 3,
    ) -> None:
        self._exporter, self._set_time, self._attempts = exporter, set_time, attempts
        self._pending: list[ReadableSpan] = []
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="shipment")
        self._on_its_way: Future[None] | None = None
        self.shipped = 0

    @property
    def is_full(self) -> bool:
        """Whether `ship` is due."""
        return len(self._pending) >= MAX_PENDING

    def ship(self, now_ns: int) -> None:
        """Send what is pending as one request at `now_ns`, once the one before is acknowledged.

        Raises ShipmentError where that one was not.
        """
        self.finish()
        batch, self._pending = self._pending, []
        if batch:
            self._on_its_way = self._sender.submit(self._export, batch, now_ns)

    def finish(self) -> None:
        """Wait until what was shipped is acknowledged. Raises ShipmentError where it was not."""
        sent, self._on_its_way = self._on_its_way, None
        if sent is not None:
            sent.result()

    def close(self) -> None:
        """Stop sending; what is pending is not sent."""
        self._sender.shutdown()
        self._exporter.shutdown()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing: a span counts when it has ended."""

    def on_end(self, span: ReadableSpan) -> None:
        """Keep an ended span."""
        self._pending.append(span)

    def shutdown(self) -> None:
        """Nothing: many recorders share this processor, and its owner closes it."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 - the SDK's signature
        """Whether nothing is pending; only its owner ships."""
        return not self._pending

    def _export(self, batch: Sequence[ReadableSpan], now_ns: int) -> None:
        # The exporter itself waits and retries where the receiver asks for it.
        self._set_time(now_ns)
        results = (self._exporter.export(batch) for _ in range(self._attempts))
        if SpanExportResult.SUCCESS not in results:
            raise ShipmentError(
                f"no acknowledgement of {len(batch)} spans after {self.shipped}, {self._attempts} times",
                "each request acknowledged",
                "the receiver's log says why",
            )
        self.shipped += len(batch)
