"""One run of maintenance: rows expire, what is summed up is made anew, small files merged, old ones removed.

One process at a time maintains a store: who has its lease. Each step is a transaction of its own: a run
may end after any of them, also by a kill, and the next one goes on.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta

import duckdb

from observability.store.lake import ALIAS, cursor
from observability.store.maintain_files import GRACE, STEP_BYTES, Step, merge, remove
from observability.store.maintain_fold import fold
from observability.store.maintain_retention import expire, retention_days
from observability.store.maintain_rollups import roll_up
from observability.store.schema import arrow_table
from observability.store.write import Writer
from traces.errors import StoreError

LEASE = "maintenance"


@dataclass(slots=True)
class Run:
    """What was done since `started_at` (UTC of this machine), in `seconds` of work.

    Rows expired and folded, files merged and removed; bytes are those of the newest commit's files.
    """

    retention_days: int
    bytes_before: int
    bytes_after: int = 0
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    seconds: float = 0.0
    expired: int = 0
    folded: int = 0
    merged: int = 0
    removed: int = 0

    def add(self, step: Step) -> None:
        """Count a step; sums are made of what stays, and are no change to tell of."""
        if step.what != "rolled up":
            setattr(self, step.what, getattr(self, step.what) + step.count)

    @property
    def did_something(self) -> bool:
        """Whether a row or a file went."""
        return any((self.expired, self.folded, self.merged, self.removed))


@contextlib.contextmanager
def alone(writer: Writer) -> Iterator[None]:
    """Let no other process maintain the store meanwhile. Raises StoreError where one does."""
    with writer.lease(LEASE) as is_alone:
        if not is_alone:
            raise StoreError(
                f"{writer.store} maintained by another process", "none", "try again later"
            )
        yield


def begin(con: duckdb.DuckDBPyConnection, days: int | None = None) -> Run:
    """A run that keeps rows for so many days; None is what was stated last."""
    return Run(days or retention_days(con), stored_bytes(con))


def steps(
    writer: Writer, run: Run, grace: timedelta = GRACE, step_bytes: int = STEP_BYTES
) -> Iterator[Step]:
    """Do everything that is to be done, step by step, and count it in `run`.

    `grace` is how long a reader may take over a query; a step merges so many bytes at most. Raises
    duckdb.Error and OSError.
    """
    with cursor(writer.con) as con:
        for part in (
            expire(writer, con, run.retention_days),
            roll_up(writer, con),
            fold(writer, con),
            merge(writer, con, 2, step_bytes),
            remove(writer, con, grace),
        ):
            yield from counted(part, run)


def counted(part: Iterator[Step], run: Run) -> Iterator[Step]:
    """The same steps; each is counted in `run` with the seconds that it took."""
    began = time.monotonic()
    for step in part:
        run.seconds += time.monotonic() - began
        run.add(step)
        yield step
        began = time.monotonic()
    run.seconds += time.monotonic() - began


def record(writer: Writer, run: Run) -> None:
    """Keep what a run did, as a row of `maintenance`. Its retention holds from now on."""
    with cursor(writer.con) as con:
        run.bytes_after = stored_bytes(con)
    writer.write({"maintenance": arrow_table("maintenance", [asdict(run)])})


def stored_bytes(con: duckdb.DuckDBPyConnection) -> int:
    """The bytes of the files that the newest commit names."""
    query = f"""SELECT CAST(coalesce(sum(file_size_bytes + delete_file_size_bytes), 0) AS BIGINT)
        FROM ducklake_table_info('{ALIAS}')"""
    return con.execute(query).fetchall()[0][0]
