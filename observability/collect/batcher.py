"""Group commit: many requests, one transaction, and an answer only when it is durable.

A pipeline of two threads: one decodes all bodies that wait, at once, while the other commits what was
decoded before. An idle receiver commits at once; a busy one as much as came during the last commit.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

from observability.collect.bodies import Accepted, Body, Decoding, Stamp, decode_each
from observability.collect.limits import Limits
from observability.collect.scan.together import decode_together
from observability.collect.scan.warmth import is_warm
from observability.store.write import Batch, Receipt, Writer
from traces.errors import StoreError, WhenceError, first_line

_GROUP_BYTES = 32 << 20
_DECODE_BYTES = 4 << 20
"""Decoded at once: of more, what is made of it no longer fits the processor's cache, and takes new pages."""
_CHUNKS = 16
_log = logging.getLogger("whence.collect")


class QueueFull(WhenceError):
    """More bytes are waiting than the receiver may hold; the sender has to come again."""


class NotDurable(WhenceError):
    """The store did not take the rows: nothing of them is acknowledged."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A request: a body to be decoded, or rows; `done` gets its answer, or the receipt of the rows."""

    item: Body | Batch
    size: int
    done: Future[Any] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class _Ready:
    """Rows to be committed, and the requests that they came with, each with what it is told."""

    batch: Batch
    told: Sequence[tuple[_Waiting, Accepted | None]]


class Batcher:
    """Commits what is submitted, in groups, on threads of its own, until closed."""

    def __init__(
        self,
        writer: Writer,
        queue_bytes: int,
        *,
        stamp: Stamp | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._writer = writer
        self._queue_bytes = queue_bytes
        self._stamp, self._limits = stamp or Stamp("otlp", "unverified"), limits or Limits()
        self._waiting: deque[_Waiting] = deque()
        self._ready: deque[_Ready] = deque()
        self._bytes = 0
        self._closed = self._decoded = False
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=run, name=run.__name__.strip("_"), daemon=True)
            for run in (self._decode_all, self._commit_all)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, batch: Batch, size: int) -> Future[Receipt]:
        """Queue rows that take `size` bytes. The future is done when they are durable.

        Raises QueueFull; the future raises NotDurable.
        """
        return self._enqueue(_Waiting(batch, size))

    def submit_body(self, body: Body) -> Future[Accepted]:
        """Queue a request. The future is done when its spans are durable.

        Raises QueueFull; the future raises NotDurable, or InvalidPayload or TooManySpans where it is refused.
        """
        return self._enqueue(_Waiting(body, len(body.data)))

    def close(self) -> None:
        """Commit what is queued and stop."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _enqueue(self, waiting: _Waiting) -> Future[Any]:
        waiting.done.set_running_or_notify_cancel()  # a sender that leaves must not stop the others
        with self._changed:
            if self._closed or self._bytes + waiting.size > self._queue_bytes:
                raise QueueFull(
                    f"{self._bytes} bytes waiting to be stored", f"at most {self._queue_bytes}"
                )
            self._waiting.append(waiting)
            self._bytes += waiting.size
            self._changed.notify_all()
        return waiting.done

    def _decode_all(self) -> None:
        while group := self._next_group():
            self._decode(group)
        with self._changed:
            self._decoded = True
            self._changed.notify_all()

    def _next_group(self) -> list[_Waiting]:
        with self._changed:
            while not (self._waiting or self._closed) or self._is_far_ahead():
                self._changed.wait()
            group: list[_Waiting] = []
            size = 0
            while self._waiting and (not group or size < _GROUP_BYTES):
                group.append(self._waiting.popleft())
                size += group[-1].size
            return group

    def _is_far_ahead(self) -> bool:
        """Whether the next commit has its fill already."""
        sizes = (waiting.size for ready in self._ready for waiting, _ in ready.told)
        return sum(sizes) >= _GROUP_BYTES

    def _decode(self, group: Sequence[_Waiting]) -> None:
        ready = [
            _Ready(each.item, [(each, None)]) for each in group if isinstance(each.item, Mapping)
        ]
        for members in _parts([each for each in group if isinstance(each.item, Body)]):
            ready += self._tried(members)
        with self._changed:
            self._ready.extend(ready)
            self._changed.notify_all()

    def _tried(self, members: Sequence[_Waiting]) -> list[_Ready]:
        """Bodies decoded at once; where that fails, one by one: a body fails only itself."""
        try:
            return self._decoded_bodies(members)
        except Exception as error:  # noqa: BLE001  # as below
            if len(members) > 1:
                return [ready for each in members for ready in self._tried([each])]
            _log.exception("a body that cannot be decoded")
            self._settle(members[0], error)
            return []

    def _decoded_bodies(self, members: Sequence[_Waiting]) -> list[_Ready]:
        decoding = self._decoding(members)
        told: list[tuple[_Waiting, Accepted | None]] = []
        for each, answer in zip(members, decoding.answers, strict=True):
            if isinstance(answer, WhenceError):
                self._settle(each, answer)
            else:
                told.append((each, answer))
        return [_Ready(decoding.tables(), told)]

    def _decoding(self, members: Sequence[_Waiting]) -> Decoding:
        bodies = [each.item for each in members if isinstance(each.item, Body)]
        decode = decode_together if is_warm() else decode_each
        decoding = decode(bodies, self._stamp, self._limits)
        decoding.correct(bodies, self._writer.chains.last_before)
        decoding.spread(bodies)
        return decoding

    def _commit_all(self) -> None:
        while group := self._next_ready():
            self._commit(group)

    def _next_ready(self) -> list[_Ready]:
        with self._changed:
            while not self._ready and not self._decoded:
                self._changed.wait()
            group = list(self._ready)
            self._ready.clear()
            self._changed.notify_all()
            return group

    def _commit(self, group: Sequence[_Ready]) -> None:
        """Commit a group; where its rows may be why it fails, each request alone: one fails only itself."""
        told = [each for ready in group for each in ready.told]
        try:
            batch = _merged([ready.batch for ready in group])
            receipt = self._writer.write(batch) if batch else Receipt()
        except Exception as error:  # noqa: BLE001  # whatever it is, the thread serves the next group
            if len(told) > 1 and not _is_outage(error):
                for each, _ in told:
                    self._commit_alone(each)
                return
            _log.warning("not stored", exc_info=True)
            for each, _ in told:
                reason = f"a store that did not take the rows: {first_line(error)}"
                self._settle(each, NotDurable(reason, "a commit"))
            return
        for each, answer in told:
            self._settle(each, receipt if answer is None else answer)

    def _commit_alone(self, each: _Waiting) -> None:
        ready = (
            self._decoded_bodies([each])
            if isinstance(each.item, Body)
            else [_Ready(each.item, [(each, None)])]
        )
        self._commit(ready)

    def _settle(self, waiting: _Waiting, result: Accepted | Receipt | Exception) -> None:
        with self._changed:
            self._bytes -= waiting.size
        if isinstance(result, Exception):
            waiting.done.set_exception(result)
        else:
            waiting.done.set_result(result)


def _parts(members: Iterable[_Waiting]) -> Iterator[list[_Waiting]]:
    """In order, as many as are decoded at once."""
    part: list[_Waiting] = []
    size = 0
    for each in members:
        part.append(each)
        size += each.size
        if size >= _DECODE_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _is_outage(error: Exception) -> bool:
    """Whether disk, catalog or network failed, as they would for each request alone."""
    if isinstance(error, duckdb.OutOfMemoryException):
        return False
    return isinstance(error, duckdb.OperationalError | OSError | StoreError)


def _merged(batches: Sequence[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]
    names = dict.fromkeys(name for batch in batches for name in batch)
    return {name: _joined([batch[name] for batch in batches if name in batch]) for name in names}


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    whole = pa.concat_tables(tables)
    return whole if len(tables) < _CHUNKS else whole.combine_chunks()
