"""Records decisions and outcomes as OpenTelemetry spans.

The invariant: nothing here ever raises into the device's own code, and no decision is sampled away.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from traces import wire
from traces.codec import encode_decision
from traces.codec_later import encode_outcome, encode_review
from traces.conventions import DECISION_SPAN_PREFIX, DEVICE_ID, OUTCOME_SPAN, REVIEW_SPAN
from traces.decision import Decision, Outcome, Review, Scalar
from traces.device.carried import carried
from traces.device.clock import Clock, SystemClock
from traces.device.frames import Priority
from traces.device.journal import EVERY_S, Journal
from traces.device.privacy import Privacy
from traces.taking import Attributes

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.sdk.trace.id_generator import IdGenerator

    from traces.device.sdk import SdkSpans
    from traces.device.spool import Spool

_log = logging.getLogger("whence.device")


class Recorder:
    """Turns decisions and outcomes of one device into spans, into a spool that outlives the process.

    `service` is the deciding program; `resource` holds further resource attributes, such as
    `service.version` (the firmware). With a `spool`, spans are numbered and chained unless `chain` is
    false, and signed if the spool's folder has a key, each 256 spans and at least `checkpoint_every_s`.
    `ids` makes trace and span ids instead of the SDK's own. Without a spool, give an `exporter`, which is
    batched, or a `processor`. `privacy` is applied to what is recorded, before it goes anywhere.
    `failures` counts what could not be recorded; each is logged as `whence.device`.
    """

    def __init__(
        self,
        *,
        device_id: str,
        service: str,
        spool: Spool | None = None,
        exporter: SpanExporter | None = None,
        processor: SpanProcessor | None = None,
        resource: Mapping[str, Scalar] | None = None,
        clock: Clock | None = None,
        chain: bool = True,
        ids: IdGenerator | None = None,
        checkpoint_every_s: float = EVERY_S,
        privacy: Privacy | None = None,
    ) -> None:
        from opentelemetry.sdk.resources import Resource

        self.device_id = device_id
        self._privacy = privacy
        self.clock = clock or SystemClock()
        self.resource = Resource.create(
            carried({"service.name": service, DEVICE_ID: device_id, **(resource or {})})
        )
        self._failures = 0
        self._journal: Journal | None = None
        self._sdk: SdkSpans | None = None
        self._processors: list[SpanProcessor] = []
        if spool is None:
            from traces.device.ids import TimedIds
            from traces.device.sdk import SdkSpans

            ids = ids or TimedIds(self.clock)
            self._sdk = SdkSpans(self.resource, ids, exporter, processor)
            return
        try:
            envelope = wire.envelope(self.resource.attributes)
            self._journal = Journal(
                spool,
                self.clock,
                envelope,
                chained=chain,
                ids=ids,
                checkpoint_every_s=checkpoint_every_s,
            )
        except Exception:
            self._failed("anything")

    @property
    def failures(self) -> int:
        """How often something could not be recorded or signed."""
        return self._failures + (self._journal.failures if self._journal else 0)

    def record(self, decision: Decision, started_unix_nano: int | None = None) -> str:
        """Record a decision that ends now and return its id; empty where it could not be recorded.

        `started_unix_nano` is when the device began to decide, nanoseconds since 1970 UTC.
        """
        try:
            if self._privacy is not None:
                decision = self._privacy.decision(decision)
            now = self.clock.wall_ns()
            times = (now if started_unix_nano is None else started_unix_nano, now)
            name, attributes = DECISION_SPAN_PREFIX + decision.type, encode_decision(decision)
            failed = "error.type" in decision.extra
            if self._sdk is not None:
                return self._sdk.write(name, carried(attributes), times, failed=failed)
            if self._journal is None:
                return self._lost("decision")
            ids = self._journal.write(name, attributes, _priority(decision), times, failed=failed)
            return f"{ids.trace_id.hex()}-{ids.span_id.hex()}"
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
        about = (_id(said.trace_id, 16), _id(said.span_id, 8))
        now = self.clock.wall_ns()
        if self._sdk is not None:
            self._sdk.write(name, carried(attributes), (now, now), about)
        elif self._journal is None:
            self._lost(name)
        else:
            self._journal.write(name, attributes, Priority.IMPORTANT, (now, now), [about])

    def checkpoint(self) -> None:
        """Sign what was recorded now, and not only when a checkpoint is due."""
        try:
            if self._journal is not None:
                self._journal.checkpoint()
        except Exception:
            self._failed("checkpoint")

    def span_processor(self) -> SpanProcessor:
        """For the application's own TracerProvider: its spans go into the spool too, without a number.

        They wait in memory until 128 are together or the oldest is 5 s old: a decision does not.
        """
        from traces.device.others import OtherSpans

        processor = OtherSpans(self._journal, self.clock, self._failed)
        self._processors.append(processor)
        return processor

    def flush(self) -> None:
        """Hand over what is pending; returns when that is done, or was given up."""
        try:
            for processor in self._processors:
                processor.force_flush()
            if self._sdk is not None:
                self._sdk.flush()
        except Exception:
            self._failed("flush")

    def shutdown(self) -> None:
        """Flush, sign what was recorded, and stop. The spool stays its owner's."""
        self.flush()
        try:
            if self._journal is not None:
                self._journal.close()
            if self._sdk is not None:
                self._sdk.shutdown()
        except Exception:
            self._failed("shutdown")

    def _lost(self, what: str) -> str:
        self._failures += 1
        _log.warning("%s of device %s not recorded: no spool", what, self.device_id)
        return ""

    def _failed(self, what: str) -> None:
        self._failures += 1
        _log.warning("%s of device %s not recorded", what, self.device_id, exc_info=True)


def _priority(decision: Decision) -> Priority:
    """Whether a decision may be evicted early: one that was plainly executed, with no person asked."""
    if decision.disposition != "executed":
        return Priority.IMPORTANT
    for gate in decision.gates:
        if gate.kind == "human":
            return Priority.IMPORTANT
    return Priority.ROUTINE


def _id(text: str, length: int) -> bytes:
    out = bytes.fromhex(text)
    if len(out) != length:
        raise ValueError(text)
    return out
