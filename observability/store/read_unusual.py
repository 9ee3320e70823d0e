"""What of one device departs from the rest of its fleet, and since when.

Owns the rules. Each is about a change or a certainty: machines differ, and a device that always read
higher than the others is no news. They are set for operators to look, not calibrated alarms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import numpy as np
import polars as pl

from observability.store.read_attention import (
    SILENT_AT_LEAST,
    SILENT_DECISIONS,
    SILENT_INTERVALS,
    wilson_low,
)
from observability.store.read_device import Course, Known

OTHERS_AT_LEAST = 20
"""Values of the others that a bucket needs to be compared."""
BUCKETS_AT_LEAST = 10
"""Buckets that an input needs to be judged."""
STILL_AT_LEAST = 20
"""An input stood still when this many values in a row are the same, while those of others vary."""
SHIFTED_SPREADS = 0.4
"""An input shifted when its distance to the others' median changed by this share of their usual range,"""
SHIFTED_DEVIATIONS = 2.5
"""and by this many of its own deviations, on the side of the change that is shorter."""
GATE_JUDGED = 10
"""A gate counts once it was asked this often here and elsewhere,"""
GATE_TIMES = 2.0
"""when it surely (95 %, Wilson) blocks this many times the others' share,"""
GATE_AT_LEAST = 0.05
"""and more than this share."""


@dataclass(frozen=True, slots=True)
class Still:
    """An input that read the same value from `first_at` up to `last_at`, UTC; `stands`: it still does."""

    name: str
    value: float
    first_at: datetime
    last_at: datetime
    stands: bool


@dataclass(frozen=True, slots=True)
class Shifted:
    """An input that reads `by` more (or less) against the others from about `since` (UTC) on.

    `until` is when it came back, None where it has not.
    """

    name: str
    by: float
    since: datetime
    until: datetime | None
    spreads: float


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


def stood_still(found: Course) -> tuple[Still, ...]:
    """The longest stretch in which each input stood still, the newest first."""
    runs = [
        max(stretches, key=lambda still: still.last_at - still.first_at)
        for rows in found.inputs.partition_by("name", maintain_order=True)
        if (stretches := list(_still(rows.to_dicts(), found.bucket_width)))
    ]
    return tuple(sorted(runs, key=lambda still: still.last_at, reverse=True))


def shifted(found: Course) -> tuple[Shifted, ...]:
    """The inputs whose distance to the others changed, the farthest first."""
    every = (_shifted(rows) for rows in found.inputs.partition_by("name", maintain_order=True))
    far = (one for one in every if one is not None and abs(one.spreads) >= SHIFTED_SPREADS)
    return tuple(sorted(far, key=lambda one: -abs(one.spreads)))


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


def _still(rows: Sequence[dict[str, Any]], width: timedelta) -> Iterator[Still]:
    """Of the rows of one input, in order of time; one that never varies is a setting, not a sensor."""
    if not any(row["least"] < row["most"] for row in rows):
        return

    def held(row: dict[str, Any]) -> float | None:
        others_vary = row["others"] and row["low"] < row["high"]
        return row["median"] if row["least"] == row["most"] and others_vary else None

    for value, grouped in groupby(rows, key=held):
        run = list(grouped)
        if value is not None and sum(row["n"] for row in run) >= STILL_AT_LEAST:
            last = run[-1]["bucket"]
            yield Still(
                run[0]["name"], value, run[0]["bucket"], last + width, last == rows[-1]["bucket"]
            )


def _shifted(rows: pl.DataFrame) -> Shifted | None:
    """Where the distance to the others' median is best told in a before and an after."""
    judged = rows.filter(pl.col("others") >= OTHERS_AT_LEAST)
    spread = (judged["high"] - judged["low"]).median() if judged.height else None
    if judged.height < BUCKETS_AT_LEAST or not isinstance(spread, float) or spread <= 0:
        return None
    apart = (judged["median"] - judged["middle"]).to_numpy() / spread
    size = len(apart)
    edge = max(3, size // 10)
    found = max((_split(apart, place) for place in range(edge, size - edge + 1)), default=None)
    if found is None or found[0] < SHIFTED_DEVIATIONS:
        return None
    _, by, place = found
    back = _back(apart, place)
    buckets = judged["bucket"]
    until = None if back is None else buckets[back]
    return Shifted(judged["name"][0], by * spread, buckets[place], until, by)


def _back(apart: np.ndarray, place: int) -> int | None:
    """Where a series that changed at `place` came back, for at least its last three."""
    before, after = np.median(apart[:place]), np.median(apart[place:])
    away = np.flatnonzero(np.abs(apart - after) < np.abs(apart - before))
    last = int(away[-1]) if len(away) else place
    return last + 1 if len(apart) - 1 - last >= 3 else None


def _split(apart: np.ndarray, place: int) -> tuple[float, float, int]:
    """How surely a series differs before and after `place`, by how much, and the place."""
    before, after = np.median(apart[:place]), np.median(apart[place:])
    rest = np.concatenate([apart[:place] - before, apart[place:] - after])
    deviation = 1.4826 * float(np.median(np.abs(rest))) + 1e-9
    by = float(after - before)
    balance = (2 * min(place, len(apart) - place) / len(apart)) ** 0.5
    return abs(by) / deviation * balance, by, place
