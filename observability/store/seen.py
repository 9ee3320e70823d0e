"""Which keys are certainly not stored: a filter before the look-up for repeats.

Eight bytes a row in memory, rebuilt when the writer opens. A hit may be chance and has to be looked
up; a miss is sure. So a commit of new rows costs the same however large the table is.
"""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa

_MERGE_AT = 100_000


class Seen:
    """The 64-bit hashes of a table's keys, as DuckDB computes them in this process."""

    def __init__(self, con: duckdb.DuckDBPyConnection, table: str, keys: tuple[str, ...]) -> None:
        self._hash = f"hash({', '.join(keys)})"
        # Beside the lake a query is planned in a tenth of the time.
        self._beside = duckdb.connect(config={"threads": 1})
        rows = con.execute(f"SELECT {self._hash} AS hash FROM {table}").fetchnumpy()
        self._old = np.sort(np.asarray(rows["hash"], dtype=np.uint64))
        self._recent: set[int] = set()

    def may_hold(self, incoming: pa.Table) -> tuple[bool, np.ndarray]:
        """Whether a key of `incoming` may be stored or may be there twice; and their hashes.

        DuckDB finds the table by the name of the variable, which costs less than to register it.
        """
        if not incoming.num_rows:
            return False, np.empty(0, np.uint64)
        rows = self._beside.execute(f"SELECT {self._hash} AS hash FROM incoming").fetchnumpy()
        hashes = np.asarray(rows["hash"], dtype=np.uint64)
        if len(np.unique(hashes)) < len(hashes) or not self._recent.isdisjoint(hashes.tolist()):
            return True, hashes
        places = np.searchsorted(self._old, hashes)
        inside = places < len(self._old)
        return bool((self._old[places[inside]] == hashes[inside]).any()), hashes

    def add(self, hashes: np.ndarray) -> None:
        """Remember keys that are now stored."""
        self._recent.update(hashes.tolist())
        if len(self._recent) > _MERGE_AT:
            recent = np.fromiter(self._recent, np.uint64, len(self._recent))
            self._old = np.sort(np.concatenate([self._old, recent]))
            self._recent.clear()
