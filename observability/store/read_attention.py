"""What in a fleet needs a person, each with the counts that say so.

Nothing is listed without evidence. A gate that blocks is a gate at work: it is listed to be looked
at, never as a failure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

import polars as pl

from observability.store.read_chains import Chains, as_text, missing_for, troubles
from observability.store.read_fleet import Fleet
from observability.store.read_habits import ActsOtherwise, acting_otherwise, passing_all

SILENT_INTERVALS = 10
"""A device is silent after this many of its own mean intervals without a decision,"""
SILENT_AT_LEAST = timedelta(minutes=15)
"""and after this time, whatever its interval;"""
SILENT_DECISIONS = 5
"""its interval counts once it has decided this often."""
GATE_SHARE = 0.10
"""A gate is listed when it surely (95 %, Wilson) blocks more than this share of what it judged."""
GATE_JUDGED = 10
"""A gate's share counts once it has judged this often."""
GATES_LISTED = 3
MISSING_AFTER = timedelta(minutes=15)
"""A number is listed as missing when later ones have been here for so long."""
NAMED = 6
"""Silent devices that a reason names at most."""

Kind = Literal[
    "silent", "model", "chain", "reject", "conflict", "version", "limit", "person", "gate"
]


@dataclass(frozen=True, slots=True)
class Concern:
    """One thing to look at. `wrong` tells a fault from a habit; `filters` select its decisions."""

    kind: Kind
    title: str
    reason: str
    wrong: bool
    filters: Mapping[str, str] = field(default_factory=dict)


def concerns(fleet: Fleet, now: datetime, *, recorded: bool) -> tuple[Concern, ...]:
    """What needs attention at `now` (UTC), what is wrong first.

    A device that falls silent is wrong; in recorded time, where each recording just ends, it is
    worth a look while most of the others go on.
    """
    found = (
        *_silent(fleet, now, recorded),
        *_models(fleet.strange_models),
        *_chains(fleet.chains, now),
        *_rejects(fleet.rejects),
        *_conflicts(fleet.conflicts),
        *map(_version, acting_otherwise(fleet.versions)),
        *_limits(fleet.limits),
        *_people(fleet.people),
        *_gates(fleet.gates),
    )
    return tuple(sorted(found, key=lambda concern: not concern.wrong))


def verdict(fleet: Fleet, found: Sequence[Concern], when: str) -> str:
    """Is anything wrong now, in one sentence; `when` ends it, such as "in the last 7 days"."""
    wrong = [concern.title for concern in found if concern.wrong]
    if wrong:
        more = f"; {_of(len(wrong) - 3, 'more thing')} below" if len(wrong) > 3 else ""
        return f"Needs attention: {'; '.join(wrong[:3])}{more}."
    totals = fleet.totals
    if not totals.decisions:
        return f"No device decided {when}, so there is nothing to judge."
    made = f"{_of(totals.devices, 'device')} made {_of(totals.decisions, 'decision')} {when}"
    look = len(found)
    also = f"; {_of(look, 'thing')} to look at" if look else ""
    return f"Nothing is wrong: {made}{also}."


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


def _silent(fleet: Fleet, now: datetime, recorded: bool) -> list[Concern]:
    devices = silent(fleet.devices, now)
    if devices.is_empty() or (recorded and 2 * devices.height > fleet.devices.height):
        return []
    names = devices["device_id"].to_list()
    one = len(names) == 1
    quiet = now - max(devices["last_decided_at"].to_list())
    times = quiet / timedelta(seconds=max(devices["mean_interval_s"][0], 1e-6))
    if recorded:
        title = f"{_of(len(names), 'device')} stopped before the recording ends"
    else:
        title = f"Device {names[0]} is silent" if one else f"{len(names):,} devices are silent"
    reason = (
        f"no decision for {times:,.0f} times its usual interval"
        if one
        else f"no decision for over {SILENT_INTERVALS} times their usual interval: "
        + ", ".join(names[:NAMED])
        + (" …" if len(names) > NAMED else "")
    )
    filters = {"device": names[0]} if one else {}
    return [Concern("silent", title, reason, wrong=not recorded, filters=filters)]


def _models(models: pl.DataFrame) -> list[Concern]:
    found = []
    for row in models.iter_rows(named=True):
        why = (
            "its digest differs from the registered artifact"
            if row["other_digest"]
            else "its artifact is not registered, so nothing of it can be explained"
        )
        reason = f"{_of(row['decisions'], 'decision')} on {_of(row['devices'], 'device')}; {why}"
        title = f"Model {row['model']} is unknown"
        found.append(Concern("model", title, reason, wrong=True, filters={"model": row["model"]}))
    return found


def _chains(found: Chains, now: datetime) -> list[Concern]:
    return [*_suspect(found), *_missing(missing_for(found, now - MISSING_AFTER))]


def _suspect(found: Chains) -> list[Concern]:
    """Chains in which a span was replaced, altered or signed by somebody else."""
    return [
        Concern(
            "chain",
            f"The record of {row['device_id']} does not hold together",
            "; ".join(troubles(row)),
            wrong=True,
            filters={"device": row["device_id"]},
        )
        for row in found.suspect.iter_rows(named=True)
    ]


def _missing(gaps: pl.DataFrame) -> list[Concern]:
    if gaps.is_empty():
        return []
    names = sorted(set(gaps["device_id"].to_list()))
    count = int((gaps["seq_to"] - gaps["seq_from"] + 1).sum())
    verb = "is" if count == 1 else "are"
    who = names[0] if len(names) == 1 else _of(len(names), "device")
    ranges = f"{as_text(gaps.iter_rows(named=True))}, " if len(names) == 1 else ""
    return [
        Concern(
            "chain",
            f"{_of(count, 'number')} {verb} missing from {who}",
            f"{ranges}since {min(gaps['since'].to_list()):%Y-%m-%d %H:%M} UTC; later ones are here",
            wrong=False,
            filters={"device": names[0]} if len(names) == 1 else {},
        )
    ]


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
    reason = "the same id came again with other content; the first is shown"
    return [Concern("conflict", _of(count, "conflicting span"), reason, wrong=True)]


def _version(one: ActsOtherwise) -> Concern:
    more = one.factor > 1
    factor = one.factor if more else 1 / one.factor if one.factor else math.inf
    often = f"{factor:,.1f} times as {'often' if more else 'rarely'}"
    here, before = one.acted / one.decisions, one.acted_before / one.decisions_before
    return Concern(
        "version",
        f"Version {one.model} recommends {one.action} {often}",
        f"{here:.1%} of {one.decisions:,} decisions; with the versions before {before:.1%} of "
        f"{one.decisions_before:,} on the same devices; so on {one.agreeing} of {one.devices}",
        wrong=False,
        filters={"model": one.model},
    )


def _limits(limits: pl.DataFrame) -> list[Concern]:
    """Rules with another limit on the smaller part of the fleet; what all devices have is a policy."""
    found = [
        Concern(
            "limit",
            f"Gate {row['gate']} has another limit on {_of(row['devices'], 'device')}",
            f"{row['limit']:g} instead of {row['usual']:g}, {row['first_at']:%Y-%m-%d %H:%M} to "
            f"{row['last_at']:%Y-%m-%d %H:%M} UTC: {row['blocked']:,} of {row['judged']:,} blocked",
            wrong=False,
            filters={"gate": row["gate"]},
        )
        for row in limits.iter_rows(named=True)
        if 2 * row["devices"] < row["all_devices"]
    ]
    return found[-GATES_LISTED:]


def _people(people: pl.DataFrame) -> list[Concern]:
    return [
        Concern(
            "person",
            f"{one.person} passes everything at {one.gate}",
            f"{one.run:,} of {one.run:,} since {one.since:%Y-%m-%d %H:%M} UTC, each within about "
            f"{one.answer_s:,.1f} s; otherwise {one.others_passed / one.others_judged:.0%} of "
            f"{one.others_judged:,} are passed there, after {one.others_answer_s:,.0f} s (medians)",
            wrong=False,
            filters={"gate": one.gate},
        )
        for one in passing_all(people)
    ]


def _gates(gates: pl.DataFrame) -> list[Concern]:
    found = [
        Concern(
            "gate",
            f"Gate {row['gate']} blocks often",
            f"{row['blocked']:,} of the {row['judged']:,} decisions it judged "
            f"({row['blocked'] / row['judged']:.0%})",
            wrong=False,
            filters={"gate": row["gate"], "disposition": "blocked"},
        )
        for row in gates.iter_rows(named=True)
        if row["judged"] >= GATE_JUDGED and wilson_low(row["blocked"], row["judged"]) > GATE_SHARE
    ]
    return found[:GATES_LISTED]


def _of(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
