"""Maintenance beside the receiver: small files are merged and decisions summed as they come, the rest hourly.

Commits wait while a step runs, so steps are short, and rest between them for longer than each took.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator

import duckdb

from observability.store import maintain
from observability.store.lake import cursor, snapshot_id
from observability.store.maintain_files import GRACE, MANY, Step, merge, remove
from observability.store.maintain_rollups import ENOUGH, roll_up
from observability.store.write import Writer
from traces.errors import WhenceError

_LOOK_EVERY_S = 5.0
_REMOVE_EVERY_S = GRACE.total_seconds() / 2
_WHOLE_EVERY_S = 3600.0
_FIRST_WHOLE_S = 60.0
_REST = 3
"""Commits have the store to themselves for so many times as long as a step took."""
_log = logging.getLogger("whence.maintenance")


class Maintenance:
    """Maintains the store of a writer on a thread of its own until closed."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._turn = threading.Lock()
        self._closed = threading.Event()
        self._con = cursor(writer.con)
        self._run = maintain.begin(self._con)
        self._seen = snapshot_id(self._con)
        began = time.monotonic()
        self._next_whole, self._next_removal = began + _FIRST_WHOLE_S, began + _REMOVE_EVERY_S
        self._thread = threading.Thread(target=self._work, name="maintain", daemon=True)
        self._thread.start()

    def run(self, days: int | None) -> maintain.Run:
        """Do all that is to be done now, and keep rows for so many days from now on; None: as before.

        Raises duckdb.Error, OSError and StoreError.
        """
        with self._turn, maintain.alone(self._writer):
            run = maintain.begin(self._con, days)
            self._pace(maintain.steps(self._writer, run))
            maintain.record(self._writer, run)
            self._run = maintain.begin(self._con)
            return run

    def close(self) -> None:
        """Stop after the step that runs, and keep a record of what was done."""
        self._closed.set()
        self._thread.join()
        self._record()
        self._con.close()

    def _work(self) -> None:
        while not self._closed.wait(_LOOK_EVERY_S):
            try:
                with self._turn, self._writer.lease(maintain.LEASE) as alone:
                    if alone:
                        self._pace(self._due())
            except (duckdb.Error, OSError, WhenceError):
                _log.warning("maintenance stopped, and is tried again", exc_info=True)

    def _due(self) -> Iterator[Step]:
        """The steps that are due now."""
        began = time.monotonic()
        if began >= self._next_whole:
            self._next_whole = began + _WHOLE_EVERY_S
            yield from maintain.steps(self._writer, self._run)
            self._record()
        elif snapshot_id(self._con) != self._seen:
            yield from maintain.counted(merge(self._writer, self._con, MANY), self._run)
            yield from maintain.counted(roll_up(self._writer, self._con, ENOUGH), self._run)
        if began >= self._next_removal:
            self._next_removal = began + _REMOVE_EVERY_S
            yield from maintain.counted(remove(self._writer, self._con, GRACE), self._run)
        self._seen = snapshot_id(self._con)

    def _pace(self, steps: Iterable[Step]) -> None:
        """Take the steps, with rests between them."""
        began = time.monotonic()
        for _ in steps:
            if self._closed.wait(_REST * (time.monotonic() - began)):
                return
            began = time.monotonic()

    def _record(self) -> None:
        if self._run.did_something:
            maintain.record(self._writer, self._run)
            self._run = maintain.begin(self._con)
