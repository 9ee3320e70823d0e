"""What of a batch is new: a repeat is dropped, other content under a stored key is a conflict.

Nothing here writes. What was committed has to be told with `remember`, or the next batch is looked up
in vain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from observability.store.refused import Conflict
from observability.store.schema import CONTENT, KEYS
from observability.store.seen import Seen

_RECURRING = ("layouts", "resources", "specs")
"""Tables of few rows, which nearly every batch repeats."""
_NO_HASHES = np.empty(0, np.uint64)
_Digests = dict[tuple[Any, ...], bytes | None]
"""By key; None in tables whose rows have no digest."""


@dataclass(frozen=True, slots=True)
class Sifted:
    """The rows of a table's batch that are new, with their keys' hashes, and what became of the others."""

    fresh: pa.Table
    hashes: np.ndarray
    repeats: int = 0
    conflicts: tuple[Conflict, ...] = ()


class Repeats:
    """Knows which keys are stored; `folder` keeps that for the next process, None does not."""

    def __init__(self, con: duckdb.DuckDBPyConnection, folder: Path | None) -> None:
        self._con, self._folder = con, folder
        self._known: dict[str, set[str]] = {name: set() for name in _RECURRING}
        self._seen: dict[str, Seen] = {}

    def unknown(self, batch: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
        """Without the rows that nearly every batch repeats and that are known to be stored."""
        return {
            name: self._unknown(name, table) if name in _RECURRING else table
            for name, table in batch.items()
        }

    def sift(self, name: str, incoming: pa.Table) -> Sifted:
        """Tell the new rows of one table from those stored or earlier in the batch."""
        if name in _RECURRING:
            self._know(name, incoming)
            return Sifted(self._unknown(name, incoming), _NO_HASHES)
        seen = self._index(name)
        hashes = seen.hashes(incoming)
        perhaps_stored = seen.may_hold(hashes)
        perhaps = perhaps_stored | _doubled(hashes)
        if not perhaps.any():
            return Sifted(incoming, hashes)
        stored = self._stored(name, incoming.filter(pa.array(perhaps_stored)))
        kept, repeats, conflicts = _told_apart(name, incoming, perhaps, stored)
        return Sifted(incoming.filter(pa.array(kept)), hashes[kept], repeats, tuple(conflicts))

    def remember(self, committed: Mapping[str, Sifted]) -> None:
        """These rows are stored now."""
        for name, sifted in committed.items():
            if name in _RECURRING:
                self._known[name].update(sifted.fresh[KEYS[name][0]].to_pylist())
            else:
                self._seen[name].add(sifted.hashes)

    def tables(self) -> tuple[str, ...]:
        """Those whose keys are known here."""
        return tuple(self._seen)

    def learn(self, name: str, keys: pa.Table) -> None:
        """Others have stored rows with these keys."""
        self._seen[name].add(self._seen[name].hashes(keys))

    def save(self) -> None:
        """Keep what is known for the next process. Only where no other process writes. Raises OSError."""
        for seen in self._seen.values():
            seen.save()

    def _index(self, name: str) -> Seen:
        if name not in self._seen:
            self._seen[name] = Seen(self._con, name, KEYS[name], self._folder)
        return self._seen[name]

    def _unknown(self, name: str, incoming: pa.Table) -> pa.Table:
        """The rows of a small table that are not known, each once."""
        known, (key,) = self._known[name], KEYS[name]
        ids = incoming[key].to_pylist()
        first = {one: index for index, one in reversed(list(enumerate(ids))) if one not in known}
        return incoming.take(pa.array(sorted(first.values()), pa.int64()))

    def _know(self, name: str, incoming: pa.Table) -> None:  # noqa: ARG002  DuckDB reads it by its name
        """Take note of those that are stored; others may have stored them."""
        (key,) = KEYS[name]
        query = f"SELECT {key} FROM {name} SEMI JOIN incoming USING ({key})"
        rows = self._con.execute(query).fetchall()
        self._known[name].update(row[0] for row in rows)

    def _stored(self, name: str, perhaps: pa.Table) -> _Digests:
        """Which of these keys are stored, with their digest."""
        if name not in CONTENT or not perhaps.num_rows:
            return self._look_up(name, perhaps) if perhaps.num_rows else {}
        ends = perhaps["end_unix_nano"].to_numpy()
        # A repeat ends when it ended: the files of other times need not be opened.
        found = self._look_up(name, perhaps, f"end_unix_nano BETWEEN {ends.min()} AND {ends.max()}")
        others = [key not in found for key in _keys(name, perhaps)]
        if any(others):
            found |= self._look_up(name, perhaps.filter(pa.array(others)))
        return found

    def _look_up(
        self,
        name: str,
        perhaps: pa.Table,  # noqa: ARG002  DuckDB reads it by its name
        where: str = "true",
    ) -> _Digests:
        keys = KEYS[name]
        columns = ", ".join((*keys, "digest") if name in CONTENT else keys)
        rows = self._con.execute(
            f"SELECT {columns} FROM {name} SEMI JOIN perhaps USING ({', '.join(keys)}) WHERE {where}"
        ).fetchall()
        return {row[: len(keys)]: row[-1] if name in CONTENT else None for row in rows}


def _told_apart(
    name: str, incoming: pa.Table, perhaps: np.ndarray, stored: _Digests
) -> tuple[np.ndarray, int, list[Conflict]]:
    """Which rows are to be kept, (rows,) bool; how many are repeats; and the conflicts."""
    content = name in CONTENT
    kept, repeats, conflicts = ~perhaps, 0, list[Conflict]()
    places = np.flatnonzero(perhaps)
    rows = incoming.take(pa.array(places))
    digests = rows["digest"].to_pylist() if content else [None] * len(places)
    for index, (place, key) in enumerate(zip(places, _keys(name, rows), strict=True)):
        if key not in stored:
            stored[key] = digests[index]
            kept[place] = True
        elif stored[key] == digests[index]:
            repeats += content
        else:
            conflicts.append((name, rows.slice(index, 1).to_pylist()[0]))
    return kept, repeats, conflicts


def _keys(name: str, rows: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(rows[key].to_pylist() for key in KEYS[name]), strict=True))


def _doubled(hashes: np.ndarray) -> np.ndarray:
    """Which are there more than once, (rows,) bool."""
    _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    return counts[inverse] > 1
