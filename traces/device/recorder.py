"""Records decisions and outcomes as OpenTelemetry spans.

The invariant: nothing here ever raises into the device's own code, and no decision is sampled away.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from traces.codec import encode_decision
from traces.codec_later import encode_outcome, encode_review
from traces.conventions import (
    DECISION_SPAN_PREFIX,
    DEVICE_ID,
    OUTCOME_SPAN,
    REVIEW_SPAN,
    SCHEMA_URL,
    SCHEMA_VERSION,
    SCOPE_NAME,
)
from traces.decision import Decision, Outcome, Review, Scalar
from traces.device.carried import carried
from traces.device.clock import Clock, SystemClock
from traces.device.privacy import Privacy
from traces.taking import Attributes

_log = logging.getLogger("whence.device")
_NO_LIMITS = SpanLimits(
    max_attributes=SpanLimits.UNSET,
    max_span_attributes=SpanLimits.UNSET,
    max_attribute_length=SpanLimits.UNSET,
    max_span_attribute_length=SpanLimits.UNSET,
)


class Recorder:
    """Turns decisions and outcomes of one device into spans and hands them to an exporter.

    `service` is the deciding program; `resource` holds further resource attributes, such as
    `service.version` (the firmware). Give either an `exporter`, which is batched, or a `processor`.
    `privacy` is applied to what is recorded, before it goes anywhere.
    `failures` counts what could not be recorded; each is also logged as `whence.device`.
    """

    def __init__(
        self,
        *,
        device_id: str,
        service: str,
        exporter: SpanExporter | None = None,
        processor: SpanProcessor | None = None,
        resource: Mapping[str, Scalar] | None = None,
        clock: Clock | None = None,
        privacy: Privacy | None = None,
    ) -> None:
        self.device_id = device_id
        self._privacy = privacy
        self.clock = clock or SystemClock()
        self.failures = 0
        attributes = {"service.name": service, DEVICE_ID: device_id, **(resource or {})}
        self._provider = TracerProvider(
            resource=Resource.create(carried(attributes)), sampler=ALWAYS_ON, span_limits=_NO_LIMITS
        )
        if processor is None and exporter is not None:
            processor = BatchSpanProcessor(exporter)
        if processor is not None:
            self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer(SCOPE_NAME, SCHEMA_VERSION, SCHEMA_URL)

    def record(self, decision: Decision, started_unix_nano: int | None = None) -> str:
        """Record a decision that ends now and return its id; empty where it could not be recorded.

        `started_unix_nano` is when the device began to decide, nanoseconds since 1970 UTC.
        """
        try:
            if self._privacy is not None:
                decision = self._privacy.decision(decision)
            now = self.clock.wall_ns()
            span = self._tracer.start_span(
                DECISION_SPAN_PREFIX + decision.type,
                kind=SpanKind.INTERNAL,
                attributes=carried(encode_decision(decision)),
                start_time=now if started_unix_nano is None else started_unix_nano,
            )
            if "error.type" in decision.extra:
                span.set_status(Status(StatusCode.ERROR))
            span.end(end_time=now)
            context = span.get_span_context()
            if not context.is_valid:
                return ""
            return f"{context.trace_id:032x}-{context.span_id:016x}"
        except Exception:
            self._failed("decision")
            return ""

    def record_outcome(self, outcome: Outcome) -> None:
        """Record what turned out to be true of an earlier decision."""
        try:
            self._record_later(OUTCOME_SPAN, outcome, encode_outcome(outcome))
        except Exception:
            self._failed("outcome")

    def record_review(self, review: Review) -> None:
        """Record what a person said, just now, to a decision that a gate had deferred."""
        try:
            if self._privacy is not None:
                review = self._privacy.review(review)
            self._record_later(REVIEW_SPAN, review, encode_review(review))
        except Exception:
            self._failed("review")

    def _record_later(self, name: str, said: Outcome | Review, attributes: Attributes) -> None:
        """A span of this instant that links to the decision that it is about."""
        about = SpanContext(
            int(said.trace_id, 16),
            int(said.span_id, 16),
            is_remote=True,
            trace_flags=TraceFlags(TraceFlags.SAMPLED),
        )
        now = self.clock.wall_ns()
        span = self._tracer.start_span(
            name,
            kind=SpanKind.INTERNAL,
            attributes=carried(attributes),
            links=[Link(about)],
            start_time=now,
        )
        span.end(end_time=now)

    def flush(self) -> None:
        """Hand over what is pending; returns when the processor has, or has given up."""
        try:
            self._provider.force_flush()
        except Exception:
            self._failed("flush")

    def shutdown(self) -> None:
        """Flush and stop. Recording afterwards has no effect."""
        try:
            self._provider.shutdown()
        except Exception:
            self._failed("shutdown")

    def _failed(self, what: str) -> None:
        self.failures += 1
        _log.warning("%s of device %s not recorded", what, self.device_id, exc_info=True)
