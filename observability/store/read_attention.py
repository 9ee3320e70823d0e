"""What in a fleet needs a person, each with the counts that say so. Nothing is listed without evidence.

A gate that blocks is a gate at work: it is listed to be looked at, never as a failure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

import polars as pl

from observability.store.read_fleet import Fleet

SILENT_INTERVALS = 10
"""A device is silent after this many of its own mean intervals without a decision,"""
SILENT_AT_LEAST = timedelta(minutes=15)
"""and after this time, whatever its interval;"""
SILENT_DECISIONS = 5
"""its interval counts once it has decided this often."""
GATE_SHARE = 0.10
"""A gate is listed when it surely (95 %, Wilson) blocks more than this share of what it judged."""
GATES_LISTED = 3

Kind = Literal["silent", "model", "reject", "conflict", "gate"]


@dataclass(frozen=True, slots=True)
class Concern:
    """One thing to look at. `wrong` tells a fault from a habit; `filters` select its decisions."""

    kind: Kind
    title: str
    reason: str
    wrong: bool
    filters: Mapping[str, str] = field(default_factory=dict)


def concerns(fleet: Fleet, now: datetime) -> tuple[Concern, ...]:
    """What needs attention at `now` (UTC), the worst kind first."""
    return (
        *_silent(silent(fleet.devices, now), now),
        *_models(fleet.strange_models),
        *_rejects(fleet.rejects),
        *_conflicts(fleet.conflicts),
        *_gates(fleet.gates),
    )


def silent(devices: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """The rows of `Fleet.devices` that have been quiet for far longer than is usual for them."""
    quiet = (pl.lit(now) - pl.col("last_decided_at")).dt.total_seconds(fractional=True)
    limit = pl.max_horizontal(
        SILENT_INTERVALS * pl.col("mean_interval_s"), pl.lit(SILENT_AT_LEAST.total_seconds())
    )
    return devices.filter((pl.col("decisions_ever") >= SILENT_DECISIONS) & (quiet > limit))


def wilson_low(part: int, whole: int) -> float:
    """Lower end of the 95 % Wilson score interval of part / whole.

    >>> round(wilson_low(3, 10), 3), wilson_low(0, 0)
    (0.108, 0.0)
    """
    if whole == 0:
        return 0.0
    z = 1.96
    share = part / whole
    centre = share + z * z / (2 * whole)
    spread = z * math.sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole))
    return max(0.0, (centre - spread) / (1 + z * z / whole))


def _silent(devices: pl.DataFrame, now: datetime) -> list[Concern]:
    if devices.is_empty():
        return []
    names = devices["device_id"].to_list()
    newest = max(devices["last_decided_at"].to_list())
    reason = f"no decision for more than {SILENT_INTERVALS} times their usual interval"
    if len(names) == 1:
        quiet = round((now - newest) / timedelta(seconds=devices["mean_interval_s"][0]))
        reason = f"no decision for {quiet:,} times its usual interval"
    title = f"Device {names[0]} is silent" if len(names) == 1 else f"{len(names):,} devices are silent"
    listed = "" if len(names) == 1 else f": {', '.join(names[:6])}{' …' if len(names) > 6 else ''}"
    filters = {"device": names[0]} if len(names) == 1 else {}
    return [Concern("silent", title, reason + listed, wrong=True, filters=filters)]


def _models(models: pl.DataFrame) -> list[Concern]:
    found = []
    for row in models.iter_rows(named=True):
        why = (
            "its digest differs from the registered artifact"
            if row["other_digest"]
            else "its artifact is not registered, so they cannot be explained"
        )
        reason = f"{_of(row['decisions'], 'decision')} on {_of(row['devices'], 'device')}; {why}"
        title = f"Model {row['model']} is unknown"
        found.append(Concern("model", title, reason, wrong=True, filters={"model": row["model"]}))
    return found


def _rejects(rejects: pl.DataFrame) -> list[Concern]:
    return [
        Concern(
            "reject",
            f"{_of(row['rejected'], 'span')} rejected",
            f"{row['reason']}; from {_of(row['devices'], 'known device')}",
            wrong=True,
        )
        for row in rejects.iter_rows(named=True)
    ]


def _conflicts(count: int) -> list[Concern]:
    if not count:
        return []
    title = f"{_of(count, 'conflicting span')}"
    return [Concern("conflict", title, "the same id came again with other content; the first is shown", wrong=True)]


def _gates(gates: pl.DataFrame) -> list[Concern]:
    found = [
        Concern(
            "gate",
            f"Gate {row['gate']} blocks often",
            f"{row['blocked']:,} of the {row['judged']:,} decisions it judged ({row['blocked'] / row['judged']:.0%})",
            wrong=False,
            filters={"gate": row["gate"], "disposition": "blocked"},
        )
        for row in gates.iter_rows(named=True)
        if wilson_low(row["blocked"], row["judged"]) > GATE_SHARE
    ]
    return found[:GATES_LISTED]


def _of(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
