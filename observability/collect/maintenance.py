"""Maintenance beside the receiver: small files are merged and decisions summed as they come, the rest hourly.

Commits wait while a step runs, so steps are short, and rest between them for longer than each took.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from observability.store import maintain
from observability.store.lake import cursor, snapshot_id
from observability.store.maintain_files import GRACE, MANY, Step, merge, remove
from observability.store.maintain_rollups import ENOUGH, roll_up
from observability.store.worker import pace
from observability.store.write import Writer

_REMOVE_EVERY_S = GRACE.total_seconds() / 2
_WHOLE_EVERY_S = 3600.0
_FIRST_WHOLE_S = 60.0


class Maintenance:
    """Maintains the store of a writer."""

    lease = maintain.LEASE
    every_s = 5.0

    def __init__(self, writer: Writer, stopped: threading.Event) -> None:
        self._writer, self._stopped = writer, stopped
        self._con = cursor(writer.con)
        self._run = maintain.begin(self._con)
        self._seen = snapshot_id(self._con)
        began = time.monotonic()
        self._next_whole, self._next_removal = began + _FIRST_WHOLE_S, began + _REMOVE_EVERY_S

    def run(self, days: int | None) -> maintain.Run:
        """Do all that is to be done now, and keep rows for so many days from now on; None: as before.

        To be called while its worker rests. Raises duckdb.Error, OSError and StoreError.
        """
        with maintain.alone(self._writer):
            run = maintain.begin(self._con, days)
            pace(maintain.steps(self._writer, run), self._stopped)
            maintain.record(self._writer, run)
            self._run = maintain.begin(self._con)
            return run

    def close(self) -> None:
        """Keep a record of what was done, and end reading."""
        self._record()
        self._con.close()

    def is_due(self) -> bool:
        """Whether anything was committed, or its time has come."""
        moment = time.monotonic()
        return moment >= min(self._next_whole, self._next_removal) or self._changed()

    def steps(self) -> Iterator[Step]:
        """The steps that are due now."""
        began = time.monotonic()
        if began >= self._next_whole:
            self._next_whole = began + _WHOLE_EVERY_S
            yield from maintain.steps(self._writer, self._run)
            self._record()
        elif self._changed():
            yield from maintain.counted(merge(self._writer, self._con, MANY), self._run)
            yield from maintain.counted(roll_up(self._writer, self._con, ENOUGH), self._run)
        if began >= self._next_removal:
            self._next_removal = began + _REMOVE_EVERY_S
            yield from maintain.counted(remove(self._writer, self._con, GRACE), self._run)
        self._seen = snapshot_id(self._con)

    def _changed(self) -> bool:
        return snapshot_id(self._con) != self._seen

    def _record(self) -> None:
        if self._run.did_something:
            maintain.record(self._writer, self._run)
            self._run = maintain.begin(self._con)
