"""What of one device departs from the rest of the fleet, and from when to when.

Owns the rules: a few bars of chance are no departure, and what was always so is told apart from what
began. A gate that blocks more here than elsewhere is at work: something to look at, not a fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Literal

import polars as pl

from observability.store.read_attention import (
    SILENT_AT_LEAST,
    SILENT_DECISIONS,
    SILENT_INTERVALS,
    wilson_low,
)
from observability.store.read_device import Course, Known

BARS_AT_LEAST = 3
"""A departure lasts at least this many buckets that can be judged,"""
OWN_AT_LEAST = 3
"""each with this many values of the device"""
OTHERS_AT_LEAST = 20
"""and this many of the others."""
STILL_AT_LEAST = 20
"""An input stood still when this many values in a row are the same, while those of others vary."""
GATE_JUDGED = 10
"""A gate counts once it was asked this often here and elsewhere,"""
GATE_TIMES = 2.0
"""when it surely (95 %, Wilson) blocks this many times the others' share,"""
GATE_AT_LEAST = 0.05
"""and more than this share."""

How = Literal["above", "below", "still", "usual"]


@dataclass(frozen=True, slots=True)
class Departure:
    """One input away from the others: their 5th to 95th percentile is `low` to `high`, `value` is here.

    It lasts from `first_at` up to `last_at` (UTC). `began`: it was usual before; `stands`: it has not ended.
    """

    name: str
    how: How
    first_at: datetime
    last_at: datetime
    value: float
    low: float
    high: float
    began: bool
    stands: bool


@dataclass(frozen=True, slots=True)
class Gated:
    """A gate that blocks more here than elsewhere."""

    gate: str
    blocked: int
    asked: int
    others_blocked: int
    others_asked: int


def silent_for(seen: Known, now: datetime) -> timedelta | None:
    """How long a device has been quiet, where that is far longer than is usual for it."""
    interval_s = seen.mean_interval_s
    if interval_s is None or sum(seen.types["decisions_ever"]) < SILENT_DECISIONS:
        return None
    quiet = now - seen.last["last_ever_at"]
    limit = max(SILENT_AT_LEAST, SILENT_INTERVALS * timedelta(seconds=interval_s))
    return quiet if quiet > limit else None


def departures(found: Course) -> tuple[Departure, ...]:
    """The longest departure of each input; those that began and stand first, then the longest."""
    every = [
        departure
        for rows in found.inputs.partition_by("name", maintain_order=True)
        if (departure := _longest(rows.to_dicts(), found.bucket_width)) is not None
    ]
    return tuple(
        sorted(
            every, key=lambda d: (not (d.began and d.stands), not d.began, d.first_at - d.last_at)
        )
    )


def gated(gates: pl.DataFrame) -> tuple[Gated, ...]:
    """The rows of `Course.gates` that surely block more here than elsewhere."""
    found = []
    for row in gates.iter_rows(named=True):
        if min(row["asked"], row["others_asked"]) < GATE_JUDGED:
            continue
        elsewhere = row["others_blocked"] / row["others_asked"]
        if wilson_low(row["blocked"], row["asked"]) > max(GATE_AT_LEAST, GATE_TIMES * elsewhere):
            kept = ("gate", "blocked", "asked", "others_blocked", "others_asked")
            found.append(Gated(**{name: row[name] for name in kept}))
    return tuple(found)


def how(row: dict[str, Any]) -> How:
    """Where a device lay in one row of `Course.inputs`."""
    if row["n"] < OWN_AT_LEAST or row["others"] < OTHERS_AT_LEAST:
        return "usual"
    if row["least"] == row["most"] and row["low"] < row["high"]:
        return "still"
    if row["median"] > row["high"]:
        return "above"
    return "below" if row["median"] < row["low"] else "usual"


def _longest(rows: Sequence[dict[str, Any]], width: timedelta) -> Departure | None:
    """Of the rows of one input, in order of time."""
    varies = any(row["least"] < row["most"] for row in rows)
    runs = [
        _departure(kind, run, rows, width)
        for kind, run in _runs(rows)
        if kind != "usual"
        and len(run) >= BARS_AT_LEAST
        and (kind != "still" or (varies and sum(row["n"] for row in run) >= STILL_AT_LEAST))
    ]
    return max(runs, key=lambda d: (d.began, d.last_at - d.first_at), default=None)


def _runs(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[How, list[dict[str, Any]]]]:
    def place(row: dict[str, Any]) -> tuple[How, float | None]:
        kind = how(row)
        return kind, row["median"] if kind == "still" else None

    for (kind, _), run in groupby(rows, key=place):
        yield kind, list(run)


def _departure(
    kind: How, run: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]], width: timedelta
) -> Departure:
    def middle(name: str) -> float:
        return sorted(row[name] for row in run)[len(run) // 2]

    return Departure(
        name=run[0]["name"],
        how=kind,
        first_at=run[0]["bucket"],
        last_at=run[-1]["bucket"] + width,
        value=middle("median"),
        low=middle("low"),
        high=middle("high"),
        began=run[0]["bucket"] > rows[0]["bucket"],
        stands=run[-1]["bucket"] == rows[-1]["bucket"],
    )
