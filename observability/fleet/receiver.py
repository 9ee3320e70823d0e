"""The real receiver on recorded time, in a process of its own: devices and receiver each have a core."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection

from observability.collect.serving import serving
from observability.fleet.link import Link, link_to
from observability.store.location import Store
from traces.device import RecordedClock
from traces.errors import StoreError, WhenceError


@contextlib.contextmanager
def recorded_receiver(store: Store, first_ns: int) -> Iterator[Link]:
    """Receive into a store of recorded time, which begins at `first_ns`, until the block ends.

    Its requests have to say when they are received. Raises StoreError where the store cannot be written,
    such as one that is being served.
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
        yield link_to(store, started)
    finally:
        ours.close()
        process.join()
        process.close()


def _answer(connection: Connection):
    try:
        return connection.recv()
    except EOFError as error:
        raise StoreError("a receiver that ended", "it running", "its own log says why") from error


def _receive(store: Store, first_ns: int, connection: Connection) -> None:
    """The child's life: say where it listens, and end when the sender does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with serving(store, RecordedClock(first_ns)) as url:
            connection.send(url)
            with contextlib.suppress(EOFError):
                connection.recv()
    except WhenceError as error:
        connection.send(WhenceError(error.found, error.expected, error.hint))
