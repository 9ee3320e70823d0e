"""The files that a store's tables lie in: small ones are merged, and what no reader can need leaves the disk.

Nothing here changes what a query finds. A step holds up commits while it runs, so each is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import duckdb

from observability.store.lake import ALIAS
from observability.store.schema import KEYS
from observability.store.write import Writer

GRACE = timedelta(minutes=10)
"""How long a reader may take: what it began to read stays on the disk for so long."""
STEP_BYTES = 2 << 20
"""What a step merges at most beside commits, some 10,000 decisions: they wait for so long."""
ALONE_BYTES = 64 << 20
"""What a step merges at most where nobody waits."""
STEP_FILES = 128
MANY = 32
"""So many small files in one folder are merged at once; fewer wait for a whole run."""
_STEP_SNAPSHOTS = 1000

_SORTED_BY = {
    "decisions": "decided_at",
    "attributions": "decided_at",
    "chain_events": "device_id, chain_id, seq_from",
    "cubes": "bins_id, decision_type, starts_at",
}
"""What a query asks for: files whose rows lie apart are skipped. Other tables are in order of receipt."""

_TABLES = " UNION ALL ".join(
    f"SELECT '{table}' AS name, data_file, data_file_size_bytes AS bytes"
    f" FROM ducklake_list_files('{ALIAS}', '{table}')"
    for table in KEYS
)
_SMALL = f"""
SELECT name, list(data_file ORDER BY data_file), list(bytes ORDER BY data_file)
FROM ({_TABLES})
WHERE bytes < ?
GROUP BY name, parse_dirpath(data_file)
HAVING count(*) > 1
ORDER BY name, parse_dirpath(data_file)
"""
_EXPIRED = f"""
SELECT snapshot_id
FROM ducklake_snapshots('{ALIAS}')
QUALIFY lead(snapshot_time) OVER (ORDER BY snapshot_id) < now() - to_seconds(?)
ORDER BY snapshot_id
"""
"""Snapshots that have not been the newest for so long: who began to read one is done with it."""

What = Literal["expired", "rolled up", "folded", "merged", "removed"]


@dataclass(frozen=True, slots=True)
class Step:
    """What one transaction did: rows expired, rolled up or folded, files merged or removed.

    `left` of them are known to be left to do, in this table.
    """

    what: What
    table: str
    count: int
    left: int = 0


@dataclass(frozen=True, slots=True)
class Small:
    """The small files of a table in one folder, more than one, oldest first, and their sizes in bytes.

    Small is what is less than half of a step.
    """

    table: str
    files: Sequence[str]
    sizes: Sequence[int]

    def first(self, step_bytes: int) -> list[str]:
        """As many as one step of so many bytes merges, two at least."""
        total, count = 0, 0
        for size in self.sizes[:STEP_FILES]:
            total += size
            if total > step_bytes:
                break
            count += 1
        return list(self.files[:count])


def small_files(con: duckdb.DuckDBPyConnection, step_bytes: int = STEP_BYTES) -> list[Small]:
    """The folders that have small files to be merged in steps of so many bytes."""
    return [Small(*row) for row in con.execute(_SMALL, [step_bytes // 2]).fetchall()]


def merge(
    writer: Writer,
    con: duckdb.DuckDBPyConnection,
    at_least: int,
    step_bytes: int = STEP_BYTES,
) -> Iterator[Step]:
    """Merge and sort the small files of each folder that has so many. `con` reads beside the writer.

    DuckLake's own merge takes files out of earlier snapshots too: a reader whose list of files was
    half read would miss them. Raises duckdb.Error and OSError, with the step that failed undone.
    """
    while due := _due(con, at_least, step_bytes):
        left = sum(len(small.files) for small in due if small.table == due[0].table)
        files = due[0].first(step_bytes)
        with writer.changing(due[0].table) as writing:
            writing.execute(
                f"CREATE TEMP TABLE stays AS FROM {due[0].table} WHERE list_contains(?, filename)",
                [files],
            )
            replace(writing, due[0].table, files)
        yield Step("merged", due[0].table, len(files), left - len(files))


def remove(writer: Writer, con: duckdb.DuckDBPyConnection, grace: timedelta) -> Iterator[Step]:
    """Remove the files that no snapshot needs which was the newest within `grace`, and strays as old.

    `con` reads beside the writer. Raises duckdb.Error and OSError.
    """
    expired = [row[0] for row in con.execute(_EXPIRED, [grace.total_seconds()]).fetchall()]
    for start in range(0, len(expired), _STEP_SNAPSHOTS):
        versions = expired[start : start + _STEP_SNAPSHOTS]
        with writer.changing() as writing:
            writing.execute(f"CALL ducklake_expire_snapshots('{ALIAS}', versions => ?)", [versions])
    for call, files in (
        ("cleanup_old_files", "cleanup_all => true"),
        ("delete_orphaned_files", f"older_than => now() - to_seconds({grace.total_seconds()})"),
    ):
        with writer.changing() as writing:
            gone = writing.execute(f"CALL ducklake_{call}('{ALIAS}', {files})").fetchall()
        yield Step("removed", "", len(gone))


def replace(con: duckdb.DuckDBPyConnection, table: str, files: Sequence[str]) -> None:
    """Put the rows of the temporary table `stays` in the place of those in these files of a table, sorted.

    Whole files go: a part of one would leave a second file that says which rows no longer count.
    """
    order = _SORTED_BY.get(table, "received_at")
    con.execute(f"DELETE FROM {table} WHERE list_contains(?, filename)", [list(files)])
    con.execute(f"INSERT INTO {table} BY NAME FROM stays ORDER BY {order}")
    con.execute("DROP TABLE stays")


def _due(con: duckdb.DuckDBPyConnection, at_least: int, step_bytes: int) -> list[Small]:
    """The folders whose time has come; a run's own row is no reason for another run."""
    least = {"maintenance": MANY}
    found = small_files(con, step_bytes)
    return [small for small in found if len(small.files) >= least.get(small.table, at_least)]
