"""Group commit: many requests, one transaction, and an answer only when it is durable.

While one commit runs, the next group gathers; an idle receiver commits at once. One thread owns
this, so that commits keep the order of arrival.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import pyarrow as pa

from observability.store.write import Batch, Receipt, Writer
from traces.errors import WhenceError, first_line

_GROUP_BYTES = 32 << 20
_log = logging.getLogger("whence.collect")


class QueueFull(WhenceError):
    """More bytes are waiting than the receiver may hold; the sender has to come again."""


class NotDurable(WhenceError):
    """The store did not take the rows: nothing of them is acknowledged."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    batch: Batch
    size: int
    done: Future[Receipt] = field(default_factory=Future)


class Batcher:
    """Commits what is submitted, in groups, on a thread of its own, until closed."""

    def __init__(self, writer: Writer, queue_bytes: int) -> None:
        self._writer = writer
        self._queue_bytes = queue_bytes
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)
        self._thread.start()

    def submit(self, batch: Batch, size: int) -> Future[Receipt]:
        """Queue a batch that takes `size` bytes. The future is done when the rows are durable.

        Raises QueueFull; the future raises NotDurable.
        """
        waiting = _Waiting(batch, size)
        waiting.done.set_running_or_notify_cancel()  # a sender that leaves must not stop the others
        with self._changed:
            if self._closed or self._bytes + size > self._queue_bytes:
                raise QueueFull(
                    f"{self._bytes} bytes waiting to be stored", f"at most {self._queue_bytes}"
                )
            self._waiting.append(waiting)
            self._bytes += size
            self._changed.notify()
        return waiting.done

    def close(self) -> None:
        """Commit what is queued and stop."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while group := self._next_group():
            self._commit(group)
            with self._changed:
                self._bytes -= sum(waiting.size for waiting in group)

    def _next_group(self) -> list[_Waiting]:
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            group: list[_Waiting] = []
            size = 0
            while self._waiting and (not group or size < _GROUP_BYTES):
                waiting = self._waiting.popleft()
                group.append(waiting)
                size += waiting.size
            return group

    def _commit(self, group: Sequence[_Waiting]) -> None:
        """Commit a group; where it fails, each of it alone, so that one bad batch fails only itself."""
        try:
            receipt = self._writer.write(_merged([waiting.batch for waiting in group]))
        except Exception as error:  # noqa: BLE001  # whatever it is, the thread serves the next group
            if len(group) > 1:
                for waiting in group:
                    self._commit([waiting])
                return
            _log.warning("not stored", exc_info=True)
            group[0].done.set_exception(
                NotDurable(f"a store that did not take the rows: {first_line(error)}", "a commit")
            )
            return
        for waiting in group:
            waiting.done.set_result(receipt)


def _merged(batches: Sequence[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]
    names = dict.fromkeys(name for batch in batches for name in batch)
    return {
        name: pa.concat_tables([batch[name] for batch in batches if name in batch])
        for name in names
    }
