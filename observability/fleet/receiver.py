"""The real receiver on recorded time, in a process of its own: devices and receiver each have a core.

The invariant: the receiver's clock stands where the sender last set it, so that received_at is
recorded time too.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from observability.collect.serving import serving
from traces.device import RecordedClock
from traces.errors import StoreError, WhenceError

SetTime = Callable[[int], None]


@contextlib.contextmanager
def recorded_receiver(store: Path, first_ns: int) -> Iterator[tuple[str, SetTime]]:
    """Receive into a store of recorded time until the block ends.

    Yields the base URL and what moves the receiver's clock (nanoseconds since 1970 UTC; returns when
    it has). Raises StoreError where the store cannot be written, such as one that is being served.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_receive, args=(store, first_ns, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        started = _answer(ours)
        if isinstance(started, WhenceError):
            raise StoreError(started.found, started.expected, started.hint)

        def set_time(now_ns: int) -> None:
            ours.send(now_ns)
            _answer(ours)

        yield started, set_time
    finally:
        ours.close()
        process.join()
        process.close()


def _answer(connection: Connection):
    try:
        return connection.recv()
    except EOFError as error:
        raise StoreError("a receiver that ended", "it running", "its own log says why") from error


def _receive(store: Path, first_ns: int, connection: Connection) -> None:
    """The child's life: say where it listens, follow the time, end when the sender does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    clock = RecordedClock(first_ns)
    try:
        with serving(store, clock) as url:
            connection.send(url)
            with contextlib.suppress(EOFError):
                while True:
                    clock.set(connection.recv())
                    connection.send(None)
    except WhenceError as error:
        connection.send(WhenceError(error.found, error.expected, error.hint))
