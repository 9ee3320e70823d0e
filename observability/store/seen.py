"""Which keys are certainly not stored: an index of their hashes, so that no repeat costs a scan.

Eight bytes a row, in sorted runs of which each is at least twice as long as the next: to add keys and
to look some up stays cheap however many there are. A hit may be chance and has to be looked up; a miss
is sure. The file beside the store only spares reading all keys again; without it they are read.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from observability.store.durable import fsync
from observability.store.lake import snapshot_id

_WORTH_A_FILE = 100_000
"""So many keys read on opening are worth keeping for the next time."""
_STALE = 2
"""Keys of rows long deleted are left out again once they are as many as the rows."""


class Seen:
    """The 64-bit hashes of a table's keys, as this version of DuckDB computes them.

    `folder` keeps them between two processes; None keeps them in memory alone.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        table: str,
        keys: tuple[str, ...],
        folder: Path | None = None,
    ) -> None:
        self._con, self._table, self._folder = con, table, folder
        self._hash = f"hash({', '.join(keys)}) AS hash"
        # Beside the lake a query is planned in a tenth of the time.
        self._beside = duckdb.connect(config={"threads": 1})
        self._runs: list[np.ndarray] = []
        self._upto = self._load()
        if self.catch_up() >= _WORTH_A_FILE:
            self.save()

    def hashes(self, incoming: pa.Table) -> np.ndarray:  # noqa: ARG002  DuckDB reads it by its name
        """The hashes of the rows' keys, (rows,) uint64."""
        rows = self._beside.execute(f"SELECT {self._hash} FROM incoming").fetchnumpy()
        return np.asarray(rows["hash"], dtype=np.uint64)

    def may_hold(self, hashes: np.ndarray) -> np.ndarray:
        """Which of the keys may be stored, (rows,) bool."""
        found = np.zeros(len(hashes), bool)
        for run in self._runs:
            places = np.searchsorted(run, hashes)
            found |= run[np.minimum(places, len(run) - 1)] == hashes
        return found

    def add(self, hashes: np.ndarray) -> None:
        """Remember keys that are now stored."""
        if not len(hashes):
            return
        self._runs.append(np.sort(hashes))
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            both = np.concatenate([self._runs.pop(), self._runs.pop()])
            both.sort(kind="stable")  # two sorted halves: merged in one pass
            once = np.append(True, both[1:] != both[:-1])  # maintenance moves rows: they came again
            self._runs.append(both[once])

    def catch_up(self) -> int:
        """Remember what was committed since the last call, whoever did; returns how many rows."""
        newest = snapshot_id(self._con)
        rows = self._con.execute(
            f"SELECT {self._hash} FROM {self._table} WHERE snapshot_id > ?", [self._upto]
        ).fetchnumpy()
        self.add(np.asarray(rows["hash"], dtype=np.uint64))
        self._upto = newest
        return len(rows["hash"])

    def save(self) -> None:
        """Keep the keys in the folder, durable. Raises OSError.

        To be called only where all that is committed was added: by the one process that writes.
        """
        if self._folder is None:
            return
        self._folder.mkdir(exist_ok=True)
        part = self._folder / f"{self._table}.part"
        with part.open("wb") as file:
            np.save(file, np.sort(np.concatenate([*self._runs, np.empty(0, np.uint64)])))
            file.flush()
            os.fsync(file.fileno())
        kept = self._folder / f"{self._prefix}{snapshot_id(self._con)}.npy"
        part.rename(kept)
        fsync(self._folder)
        for path in self._folder.glob(f"{self._table}-*.npy"):
            if path != kept:
                path.unlink()

    def _load(self) -> int:
        """Take the kept keys where they fit the store; the commit up to which they do, else 0."""
        if self._folder is None:
            return 0
        row = self._con.execute(f"SELECT count(*) FROM {self._table}").fetchone()
        for path in self._folder.glob(f"{self._prefix}*.npy"):
            with contextlib.suppress(OSError, ValueError):  # torn, or none of ours
                upto, run = int(path.stem.rpartition("-")[2]), np.load(path, mmap_mode="r")
                if upto <= snapshot_id(self._con) and row and len(run) <= _STALE * row[0]:
                    self._runs = [run]
                    return upto
        return 0

    @property
    def _prefix(self) -> str:
        return f"{self._table}-{duckdb.__version__}-"
