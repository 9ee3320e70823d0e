"""Spans written through the OpenTelemetry SDK, for who brings an exporter or a processor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from traces.conventions import SCHEMA_URL, SCHEMA_VERSION, SCOPE_NAME

_NO_LIMITS = SpanLimits(
    max_attributes=SpanLimits.UNSET,
    max_span_attributes=SpanLimits.UNSET,
    max_attribute_length=SpanLimits.UNSET,
    max_span_attribute_length=SpanLimits.UNSET,
)


class SdkSpans:
    """A tracer that samples nothing away and drops no attribute."""

    def __init__(
        self,
        resource: Resource,
        ids: IdGenerator,
        exporter: SpanExporter | None,
        processor: SpanProcessor | None,
    ) -> None:
        self._provider = TracerProvider(
            resource=resource, sampler=ALWAYS_ON, span_limits=_NO_LIMITS, id_generator=ids
        )
        if processor is None and exporter is not None:
            processor = BatchSpanProcessor(exporter)
        if processor is not None:
            self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer(SCOPE_NAME, SCHEMA_VERSION, SCHEMA_URL)

    def write(
        self,
        name: str,
        attributes: Mapping[str, Any],
        times: tuple[int, int],
        about: tuple[bytes, bytes] | None = None,
        *,
        failed: bool = False,
    ) -> str:
        """Write one span, `times` start and end in ns UTC; its id, empty where the SDK is disabled.

        `about` is trace id and span id of the span that it links to.
        """
        span = self._tracer.start_span(
            name,
            kind=SpanKind.INTERNAL,
            attributes=attributes,
            links=[_link(*about)] if about else None,
            start_time=times[0],
        )
        if failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end_time=times[1])
        context = span.get_span_context()
        return f"{context.trace_id:032x}-{context.span_id:016x}" if context.is_valid else ""

    def flush(self) -> None:
        """Hand over what is pending."""
        self._provider.force_flush()

    def shutdown(self) -> None:
        """Hand over what is pending and stop."""
        self._provider.shutdown()


def _link(trace_id: bytes, span_id: bytes) -> Link:
    ids = (int.from_bytes(trace_id, "big"), int.from_bytes(span_id, "big"))
    return Link(SpanContext(*ids, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)))
