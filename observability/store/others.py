"""What other writers committed to a store since this one last looked.

Owns the numbers of the commits that are known here, its own among them, and those of maintenance. Where
nothing newer is, nothing is read.
"""

from __future__ import annotations

import contextlib

import duckdb
import pyarrow as pa

from observability.store import lake


class Forgotten(Exception):
    """The commits since then are no longer told apart: everything has to be read again."""


class Others:
    """The commits to the store of `con`, beyond those that are known.

    To be asked inside a transaction: `look` first, as what it sees is what the others are about.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con
        self._known = self._seen = lake.snapshot_id(con)
        self._own: set[int] = set()

    def look(self) -> bool:
        """Whether this transaction sees commits that are not known."""
        self._seen = lake.snapshot_id(self._con)
        if self._spans():
            self._own |= self._maintained()
        return bool(self._spans())

    def rows(self, table: str, columns: str, where: str = "true") -> pa.Table:
        """What they inserted into a table. Raises Forgotten."""
        spans = " UNION ALL ".join(
            f"SELECT {columns} FROM ducklake_table_insertions("
            f"'{lake.ALIAS}', 'main', '{table}', {first}, {last}) WHERE {where}"
            for first, last in self._spans()
        )
        try:
            return self._con.execute(spans).to_arrow_table()
        except duckdb.InvalidInputException as error:
            raise Forgotten from error

    def know(self) -> None:
        """Everything that `look` saw is known now."""
        self._known = self._seen
        self._own = {number for number in self._own if number > self._known}

    def committed(self) -> None:
        """This connection has committed, and what is known here. Not told so, it is taken in like others'."""
        with contextlib.suppress(duckdb.Error):
            row = self._con.execute(f"FROM {lake.ALIAS}.last_committed_snapshot()").fetchone()
            if row and row[0] is not None:
                self._own.add(row[0])

    def _maintained(self) -> set[int]:
        """The commits since then that moved rows and added none."""
        rows = self._con.execute(
            f"SELECT snapshot_id FROM ducklake_snapshots('{lake.ALIAS}')"
            " WHERE snapshot_id > ? AND commit_message = ?",
            [self._known, lake.MAINTENANCE],
        ).fetchall()
        return {row[0] for row in rows}

    def _spans(self) -> list[tuple[int, int]]:
        """From and to, both included, of the numbers between which no own one lies."""
        spans: list[tuple[int, int]] = []
        for number in range(self._known + 1, self._seen + 1):
            if number in self._own:
                continue
            if spans and spans[-1][1] == number - 1:
                spans[-1] = spans[-1][0], number
            else:
                spans.append((number, number))
        return spans
