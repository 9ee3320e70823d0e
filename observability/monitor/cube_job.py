"""Counts new decisions beside the receiver, and old ones in the bins of a reference that comes late.

Owns which bins a decision type is counted in: those of every registered reference whose model decided it.
What is not counted yet is counted when it is read, so counting waits until it is worth a commit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import duckdb

from observability.models.registry import registered
from observability.monitor.baseline import reference_bins
from observability.store import lake, read_cubes
from observability.store.read_cubes import Counted
from observability.store.write import Writer
from observability.store.write_cubes import advance, fold, freeze

ENOUGH = 20_000
"""Decisions that are worth a pass,"""
_LATEST_S = 3600.0
"""and after how long fewer are."""


class CubeJob:
    """Counts the decisions of a writer's store."""

    lease = "cubes"
    every_s = 5.0

    def __init__(self, writer: Writer, _stopped: threading.Event) -> None:
        self._writer = writer
        self._con = lake.cursor(writer.con)
        self._seen, self._counted, self._references = -1, 0, 0
        self._due_at = time.monotonic()

    def is_due(self) -> bool:
        """Whether enough waits, something waits for long, or a reference is new."""
        seen = lake.snapshot_id(self._con)
        if seen == self._seen and time.monotonic() < self._due_at:
            return False
        self._seen = seen
        waiting = read_cubes.arrived_since(self._con, self._counted)
        late = time.monotonic() >= self._due_at and waiting > 0
        return late or waiting >= ENOUGH or read_cubes.references(self._con) != self._references

    def steps(self) -> Iterator[int]:
        """Count what is there by now, a commit at a time."""
        references, before = read_cubes.references(self._con), self._writer.settled()
        yield from build(self._writer, self._con, before)
        self._references, self._counted = references, before
        self._due_at = time.monotonic() + _LATEST_S

    def close(self) -> None:
        """End reading."""
        self._con.close()


def build(writer: Writer, con: duckdb.DuckDBPyConnection, before: int) -> Iterator[int]:
    """Count all decisions that arrived below `before` (`Writer.settled`); yields after each commit.

    `con` reads beside the writer. Raises duckdb.Error, OSError and WhenceError.
    """
    today = _midnight(lake.now(con))
    for of in _to_count(writer, con):
        yield from advance(writer, con, of, before)
        yield from fold(writer, con, of, today)


def _to_count(writer: Writer, con: duckdb.DuckDBPyConnection) -> list[Counted]:
    """Each decision type in the bins of each reference of a model that decided it; new bins are kept."""
    decided = read_cubes.deciding(con)
    found: dict[tuple[str, str], Counted] = {}
    for model in registered(con, writer.store):
        types = [type_ for type_, version in decided if version == model.version]
        if not types or model.reference_path is None:
            continue
        cut = reference_bins(con, model)
        freeze(writer, cut)
        for type_ in types:
            found[type_, cut.bins_id] = Counted(type_, cut.inputs, cut.bins, cut.bins_id)
    return list(found.values())


def _midnight(at: datetime) -> datetime:
    return at - (at - datetime.min.replace(tzinfo=at.tzinfo)) % timedelta(days=1)
