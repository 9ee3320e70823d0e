"""Spans of the application's own tracer, into the same spool as the decisions."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from traces.device.clock import Clock
from traces.device.journal import Journal

_MOST = 128
_OLDEST_NS = 5 * 10**9


class OtherSpans(SpanProcessor):
    """Collects ended spans and appends them together: the encoder takes as long for one as for many.

    `failed` is told what could not be done; nothing is raised. Spans that were sampled away stay away.
    """

    def __init__(
        self, journal: Journal | None, clock: Clock, failed: Callable[[str], object]
    ) -> None:
        self._journal, self._clock, self._failed = journal, clock, failed
        self._lock = threading.RLock()
        self._pending: list[ReadableSpan] = []
        self._since_ns = 0

    def on_end(self, span: ReadableSpan) -> None:
        """Keep an ended span."""
        try:
            if not span.context or not span.context.trace_flags.sampled:
                return
            with self._lock:
                now = self._clock.monotonic_ns()
                self._since_ns = self._since_ns if self._pending else now
                self._pending.append(span)
                due = len(self._pending) >= _MOST or now - self._since_ns >= _OLDEST_NS
            if due:
                self.force_flush()
        except Exception:
            self._failed("span")

    def shutdown(self) -> None:
        """Append what is pending."""
        self.force_flush()

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 - the SDK's signature
        """Append what is pending; whether that worked."""
        with self._lock:
            pending, self._pending = self._pending, []
        try:
            if pending and self._journal is not None:
                _relay(self._journal, pending)
        except Exception:
            self._failed("span")
            return False
        return self._journal is not None


def _relay(journal: Journal, pending: list[ReadableSpan]) -> None:
    envelopes: dict[bytes, list[bytes]] = defaultdict(list)
    for resource_spans in encode_spans(pending).resource_spans:
        scopes = list(resource_spans.scope_spans)
        for scope_spans in scopes:
            spans = [span.SerializeToString() for span in scope_spans.spans]
            del scope_spans.spans[:]
            del resource_spans.scope_spans[:]
            resource_spans.scope_spans.append(scope_spans)
            envelopes[resource_spans.SerializeToString()] += spans
    for envelope, spans in envelopes.items():
        journal.relay(envelope, spans)
