"""What a device did, span by span, into its spool: encoded, numbered, chained, and signed now and then.

The invariant: a span gets its number and is appended in one step, so that numbers have no gaps and
stand in the spool in their order.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import trace

from traces import wire
from traces.chain import CHAIN_ID, CHAIN_PREV, CHAIN_SEQ, span_digest
from traces.checkpoint import checkpoint_attributes, signed
from traces.conventions import CHECKPOINT_SPAN
from traces.device import keys, numbering
from traces.device.carried import carried, text
from traces.device.clock import Clock, SystemClock
from traces.device.frames import Frame, Priority
from traces.device.tombstones import runs
from traces.errors import WrongUse
from traces.template import Encoded, Templates, encode_plainly

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.id_generator import IdGenerator

    from traces.device.spool import Spool

EVERY_SPANS = 256
"""A checkpoint at most that many spans after the one before, itself counted,"""
EVERY_S = 60.0
"""and at most that long after a span that none covers, seconds; a recorder may say otherwise."""

_log = logging.getLogger("whence.device")


class Ids(NamedTuple):
    """A span's place: trace id (16 bytes), span id and its parent's (8 bytes; b"" for none)."""

    trace_id: bytes
    span_id: bytes
    parent: bytes


class Journal:
    """Writes the spans of one device into its spool. Thread-safe. Its methods raise what the spool does.

    Where it is not `chained`, nothing is numbered, digested or signed. `failures` counts checkpoints that
    could not be made or signed: they never cost the span that was due to be covered.
    """

    def __init__(
        self,
        spool: Spool,
        clock: Clock,
        envelope: bytes,
        *,
        chained: bool,
        ids: IdGenerator | None = None,
        checkpoint_every_s: float = EVERY_S,
    ) -> None:
        from traces.device.ids import TimedIds

        self._spool, self._clock, self._envelope = spool, clock, envelope
        self._ids = ids or TimedIds(clock)
        self._every_ns = round(checkpoint_every_s * 10**9)
        self._templates = Templates(digested=chained)
        self._lock, self._writing = threading.RLock(), False
        self._timer: threading.Timer | None = None
        self._lost: list[tuple[int, int]] = []
        self._since, self._covered_at = 0, clock.monotonic_ns()
        self.chained, self.failures = chained, 0
        if chained:
            self._begin_chain(numbering.resume(spool, self._ids))
        else:
            spool.begin(envelope)

    def write(
        self,
        name: str,
        attributes: Mapping[str, Any],
        priority: Priority,
        times: tuple[int, int],
        links: Sequence[tuple[bytes, bytes]] = (),
        *,
        failed: bool = False,
    ) -> Ids:
        """Append one span, child of the current context's span; `times` are start and end, ns UTC."""
        with self._lock:
            if self._writing:
                raise WrongUse("a span recorded by a signal handler while another one was", "not")
            self._writing = True
            try:
                ids = self._child()
                self._append(ids, text(name), attributes, priority, times, links, failed)
                if self.chained:
                    self._note()
            finally:
                self._writing = False
        return ids

    def relay(self, envelope: bytes, spans: Sequence[bytes]) -> None:
        """Append spans of others, with resource and scope of their own. They have no number."""
        with self._lock:
            self._spool.begin(envelope)
            try:
                for span in spans:
                    self._spool.append(Frame(Priority.TELEMETRY, None, b"", span))
            finally:
                self._spool.begin(self._envelope, self._head.chain_id if self.chained else "")

    def checkpoint(self) -> None:
        """State and sign the head of the chain, if there is anything that no checkpoint covers."""
        with self._lock:
            if self._since and not self._writing:
                self._writing = True
                try:
                    self._checkpoint()
                finally:
                    self._writing = False

    def close(self) -> None:
        """A last checkpoint; nothing is timed any more."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        self.checkpoint()

    def _begin_chain(self, position: numbering.Position) -> None:
        self._head, self._uncovered = position.head, position.uncovered
        self._predecessor = position.predecessor
        self._chain_id = wire.attribute(CHAIN_ID, self._head.chain_id)
        self._prev = wire.attribute(CHAIN_PREV, "0" * 64)[:-64]
        self._since = self._head.seq + 1 - self._uncovered - bool(self._uncovered)
        self._spool.begin(self._envelope, self._head.chain_id)
        if self._spool.recorded() != position.kept():
            self._spool.keep(position.kept())

    def _append(
        self,
        ids: Ids,
        name: str,
        attributes: Mapping[str, Any],
        priority: Priority,
        times: tuple[int, int],
        links: Sequence[tuple[bytes, bytes]] = (),
        failed: bool = False,
    ) -> None:
        fields, content = self._encoded(attributes)
        linked = wire.link_fields(links) if links else b""
        if not self.chained:
            span = wire.framed_span(*ids, name, times, fields, linked, failed)
            self._spool.append(Frame(priority, None, b"", span))
            return
        head = self._head
        seq = head.seq + 1
        place = (
            self._chain_id,
            wire.attribute(CHAIN_SEQ, seq),
            self._prev,
            head.link.hex().encode(),
        )
        fields = b"".join((fields, *place))
        span = wire.framed_span(*ids, name, times, fields, linked, failed)
        digest = span_digest(ids.trace_id, ids.span_id, name, *times, content)
        self._spool.append(Frame(priority, seq, digest, span))
        self._head = head.next(digest)

    def _encoded(self, attributes: Mapping[str, Any]) -> Encoded:
        try:
            return self._templates.encode(attributes)
        except Exception:  # a value that no span can carry: as text
            return encode_plainly(carried(attributes))

    def _child(self) -> Ids:
        context = trace.get_current_span().get_span_context()
        span_id = self._ids.generate_span_id().to_bytes(8, "big")
        if context.is_valid:
            trace_id = context.trace_id.to_bytes(16, "big")
            return Ids(trace_id, span_id, context.span_id.to_bytes(8, "big"))
        return Ids(self._ids.generate_trace_id().to_bytes(16, "big"), span_id, b"")

    def _note(self) -> None:
        """Count a span that no checkpoint covers, and make one that is due."""
        now = self._clock.monotonic_ns()
        self._since += 1
        if self._since == 1:
            self._covered_at = now
            self._time()
        if self._since >= EVERY_SPANS - 1 or now - self._covered_at >= self._every_ns:
            try:
                self._checkpoint()
            except Exception:
                self._failed()

    def _checkpoint(self) -> None:
        self._since, self._covered_at = 0, self._clock.monotonic_ns()
        self._lost = runs([*self._lost, *self._spool.lost()])
        head, next_key = self._head, None
        attributes = checkpoint_attributes(
            head, self._uncovered, lost=self._lost, predecessor=self._predecessor
        )
        try:
            attributes, next_key = self._signed(attributes)
        except Exception:
            self._failed()
        now = self._clock.wall_ns()
        ids = Ids(
            self._ids.generate_trace_id().to_bytes(16, "big"),
            self._ids.generate_span_id().to_bytes(8, "big"),
            b"",
        )
        self._append(ids, CHECKPOINT_SPAN, attributes, Priority.IMPORTANT, (now, now))
        self._uncovered, self._lost = head.seq + 1, []
        if self._predecessor or next_key is not None:
            self._spool.seal()  # on the disk before what it says is relied on
        if self._predecessor:
            self._predecessor = ""
            self._spool.keep(numbering.Position(self._head).kept())
        if next_key is not None:
            keys.go_over(self._spool.folder)

    def _signed(
        self, attributes: Mapping[str, Any]
    ) -> tuple[dict[str, Any], keys.SigningKey | None]:
        """The attributes with a signature, if there is a key, and the key that they announce."""
        key = keys.load(self._spool.folder)
        if key is None:
            return dict(attributes), None
        next_key = keys.load(self._spool.folder, keys.NEXT)
        announced = next_key.public if next_key else b""
        out = signed(attributes, self._head.chain_id, key.public, key.sign, announced)
        return out, next_key

    def _time(self) -> None:
        """Have a checkpoint made though nothing more may be recorded; recorded time does not pass."""
        if self._timer is None and isinstance(self._clock, SystemClock):
            self._timer = threading.Timer(self._every_ns / 10**9, self._on_time)
            self._timer.daemon = True
            self._timer.start()

    def _on_time(self) -> None:
        with self._lock:
            self._timer = None
            try:
                self.checkpoint()
            except Exception:
                self._failed()

    def _failed(self) -> None:
        self.failures += 1
        _log.warning("checkpoint of %s not made or not signed", self._spool.folder, exc_info=True)
