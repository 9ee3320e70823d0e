"""Work beside the receiver: a job's steps on a thread of its own, longer at rest than at work.

Of all processes that write to a store one does a job: that which holds its lease. A job that fails is
tried again.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

import duckdb

from observability.store.write import Writer
from traces.errors import WhenceError

_REST = 3
"""At rest for so many times as long as a step took: at most a quarter of one core, and commits come first."""
_log = logging.getLogger("whence.worker")


class Job(Protocol):
    """What is to be done, again and again; all of it may raise duckdb.Error, OSError and WhenceError."""

    lease: str
    every_s: float
    """How long after a turn it is looked again."""

    def is_due(self) -> bool:
        """Whether a turn is worth the lease."""
        ...

    def steps(self) -> Iterator[object]:
        """Do what there is to do; yields wherever others may come first."""
        ...

    def close(self) -> None:
        """Let go of what it reads with."""
        ...


DoneBeside = TypeVar("DoneBeside", bound=Job)
StartJob = Callable[[Writer, threading.Event], DoneBeside]
"""Begins a job for a writer; once the event is set, it ends as soon as it can."""


class Worker(Generic[DoneBeside]):
    """Does a job on a thread of its own until closed."""

    def __init__(self, writer: Writer, start: StartJob[DoneBeside]) -> None:
        self._writer, self._stopped = writer, threading.Event()
        self._turn = threading.Lock()
        self.job = start(writer, self._stopped)
        self._thread = threading.Thread(target=self._work, name=self.job.lease, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after the step that runs; who comes next goes on from there."""
        self._stopped.set()
        self._thread.join()
        self.job.close()

    @contextlib.contextmanager
    def resting(self) -> Iterator[DoneBeside]:
        """The job, of which no turn is taken meanwhile."""
        with self._turn:
            yield self.job

    def _work(self) -> None:
        while not self._stopped.is_set():
            try:
                self._look()
            except (duckdb.Error, OSError, WhenceError):
                _log.warning("%s stopped, and is tried again", self.job.lease, exc_info=True)
            self._stopped.wait(self.job.every_s)

    def _look(self) -> None:
        if self.job.is_due():
            with self._turn, self._writer.lease(self.job.lease) as alone:
                if alone:
                    pace(self.job.steps(), self._stopped)


def pace(steps: Iterable[object], stopped: threading.Event) -> None:
    """Take the steps with rests between them, until stopped."""
    began_s = time.monotonic()
    for _ in steps:
        if stopped.wait(_REST * (time.monotonic() - began_s)):
            return
        began_s = time.monotonic()
