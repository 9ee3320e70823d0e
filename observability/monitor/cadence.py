"""Decisions that should have happened and did not, by each device's own cadence.

A device has a cadence of a decision type where its gaps hardly vary. What is missing in a longer gap was
never made, has not arrived yet, or was dropped: its numbers say which, where it numbers what it sends.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import duckdb
import polars as pl

from observability.store import read_cadence
from observability.store.read import Window
from observability.store.read_attention import silent

SPREAD = 0.25
"""A gap is regular within this share of the median gap."""
REGULAR = 0.8
"""A device has a cadence where so many of its gaps are regular,"""
FEWEST_GAPS = 20
"""out of so many at least."""
LONGER = 1.5
"""A gap of more medians than that has room for another decision."""

Reason = Literal["never made", "not arrived yet", "dropped on the device", "unknown"]


@dataclass(frozen=True, slots=True)
class Missed:
    """A gap between two decisions of a device, UTC, and how many decisions it has room for.

    Of a gap's decisions one may have arrived late or be lost, and the others not have been made: the reason
    is the one that explains most, in numbers.
    """

    decision_type: str
    device_id: str
    from_at: datetime
    to_at: datetime
    cadence_s: float
    decisions: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Silent:
    """A device that has been quiet for far longer than is usual for it.

    Whether it decided since, nobody knows: it may be offline. `cadence_s` is None where it has none.
    """

    decision_type: str
    device_id: str
    since: datetime
    quiet_s: float
    cadence_s: float | None


@dataclass(frozen=True, slots=True)
class Cadence:
    """What was expected of a fleet as of `now`, UTC.

    `expected` has decision_type, device_id, cadence_s, gaps and regular of those that have a cadence;
    `irregular` counts types on devices that have none, so nothing is expected of them.
    """

    now: datetime
    expected: pl.DataFrame
    irregular: int
    missed: tuple[Missed, ...]
    silent: tuple[Silent, ...]


def cadence(con: duckdb.DuckDBPyConnection, window: Window, now: datetime) -> Cadence:
    """What did not happen in a window, as known at `now` (UTC); the latest gap first."""
    rhythms = read_cadence.rhythms(con, window, SPREAD)
    regular = (pl.col("gaps") >= FEWEST_GAPS) & (pl.col("regular") >= REGULAR * pl.col("gaps"))
    expected = rhythms.filter(regular)
    gaps = read_cadence.long_gaps(con, expected, window, LONGER)
    found = gaps.join(expected, on=["decision_type", "device_id"], maintain_order="left")
    return Cadence(
        now=now,
        expected=expected.select("decision_type", "device_id", "cadence_s", "gaps", "regular"),
        irregular=rhythms.height - expected.height,
        missed=tuple(map(_missed, reversed(found.to_dicts()))),
        silent=_silent(rhythms.with_columns(has_cadence=regular), window, now),
    )


def _missed(gap: dict) -> Missed:
    room = round(gap["gap_s"] / gap["cadence_s"]) - 1
    counts: dict[Reason, int] = {
        "not arrived yet": min(gap["missing"], room),
        "dropped on the device": min(gap["lost"], room),
    }
    counts["never made"] = room - sum(counts.values())
    reason: Reason = max(counts, key=lambda one: counts[one]) if gap["numbered"] else "unknown"
    return Missed(
        gap["decision_type"],
        gap["device_id"],
        gap["from_at"],
        gap["to_at"],
        gap["cadence_s"],
        room,
        reason,
    )


def _silent(rhythms: pl.DataFrame, window: Window, now: datetime) -> tuple[Silent, ...]:
    """By the rule of the fleet's page, for each decision type."""
    at = min(now, window.end) if window.end else now
    return tuple(
        Silent(
            row["decision_type"],
            row["device_id"],
            row["last_decided_at"],
            (at - row["last_decided_at"]).total_seconds(),
            row["cadence_s"] if row["has_cadence"] else None,
        )
        for row in silent(rhythms, at).iter_rows(named=True)
    )
