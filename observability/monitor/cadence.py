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
from observability.store.lake import clock_kind
from observability.store.read import Window
from observability.store.read_attention import silent
from observability.store.read_cadence import Regularity

RULE = Regularity(spread=0.25, share=0.8, fewest=20, longer=1.5)
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

    @property
    def due(self) -> int | None:
        """How many decisions its cadence had room for since; None where it has none."""
        return None if self.cadence_s is None else int(self.quiet_s / self.cadence_s)


@dataclass(frozen=True, slots=True)
class Cadence:
    """What was expected of a fleet as of `now`, UTC.

    `expected` has decision_type, device_id, cadence_s, gaps and regular (so many of them are) of those that
    have a cadence: how sure the expectation is. `irregular` counts types on devices that have none, so
    nothing is expected of them.
    """

    now: datetime
    expected: pl.DataFrame
    irregular: int
    missed: tuple[Missed, ...]
    silent: tuple[Silent, ...]

    def decisions(self, reason: Reason) -> int:
        """How many are missing between others for that reason."""
        return sum(one.decisions for one in self.missed if one.reason == reason)


def cadence(
    con: duckdb.DuckDBPyConnection, window: Window, now: datetime, device_id: str | None = None
) -> Cadence:
    """What did not happen in a window, as known at `now`, UTC; the latest gap first."""
    lasting = read_cadence.lasting(con, window, device_id)
    found = read_cadence.gaps(con, window, RULE, device_id)
    expected = found.filter("has_cadence")
    long_gaps = read_cadence.accounted(con, expected)
    return Cadence(
        now=now,
        expected=expected.select("decision_type", "device_id", "cadence_s", "gaps", "regular"),
        irregular=lasting.height - expected.height,
        missed=tuple(map(_missed, reversed(long_gaps.to_dicts()))),
        silent=_silent(con, lasting, expected, min(now, window.end or now)),
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


def _silent(
    con: duckdb.DuckDBPyConnection, lasting: pl.DataFrame, expected: pl.DataFrame, at: datetime
) -> tuple[Silent, ...]:
    """By the rule of the fleet's page, for each decision type; not where most recordings have just ended."""
    quiet = silent(lasting, at)
    if clock_kind(con) == "recorded" and 2 * quiet.height > lasting.height:
        return ()
    joined = quiet.join(expected, on=["decision_type", "device_id"], how="left")
    return tuple(
        Silent(
            row["decision_type"],
            row["device_id"],
            row["last_decided_at"],
            (at - row["last_decided_at"]).total_seconds(),
            row["cadence_s"],
        )
        for row in joined.sort("last_decided_at", "decision_type", "device_id").iter_rows(
            named=True
        )
    )
