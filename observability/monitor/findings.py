"""What is wrong, one finding for each thing that it is about: what an alert is opened for.

A reason stays true while the finding stands: it has times, not ages, and quotes nothing that a device sent
but names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from observability.store.read_attention import silent
from observability.store.read_chains import Chains, troubles
from observability.store.read_faults import Faults, Refused

LOOK_BACK = timedelta(hours=24)
"""Rejects, conflicts and unknown models stand for so long after the last of them."""
FLEET = "fleet"
MEASURES = {
    "silent": "hours without a decision",
    "model": "decisions within 24 h",
    "chain": "spans that do not hold together",
    "reject": "spans within 24 h",
    "conflict": "spans within 24 h",
    "drift": "PSI of an input that is not what it was",
}
"""The kinds of findings, and what a rule's threshold means for each."""
_ODD = ("forks", "broken", "bad_signatures", "strangers")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, since when (UTC; None: not known), and how much of it there is.

    `subject` is the device, model, gate or input that it is about, or `fleet`. `evidence` are numbers by
    name, whose end is their unit: `quiet_s`. `size` is in the measure of the kind. Another `mark` says that
    something new of the same was found.
    """

    kind: str
    subject: str
    title: str
    reason: str
    since: datetime | None
    size: float
    evidence: Mapping[str, float] = field(default_factory=dict)
    decision_type: str = ""
    mark: str = ""


def findings(faults: Faults, now: datetime) -> tuple[Finding, ...]:
    """What is wrong at `now` (UTC); `faults` are those since LOOK_BACK before."""
    return (
        *_silent(faults, now),
        *_models(faults, now),
        *_chains(faults.chains),
        *_refused("reject", "rejected", faults.rejects, now),
        *_refused("conflict", "of other content under a stored id", faults.conflicts, now),
    )


def _silent(faults: Faults, now: datetime) -> Iterator[Finding]:
    for row in silent(faults.pulses, now).iter_rows(named=True):
        last, every_s = row["last_decided_at"], row["mean_interval_s"]
        quiet_s = (now - last).total_seconds()
        yield Finding(
            "silent",
            row["device_id"],
            f"Device {row['device_id']} is silent",
            f"no decision since {_minute(last)}; its {row['decisions_ever']:,} before came every "
            f"{every_s:,.0f} s on average",
            last,
            quiet_s / 3600,
            {
                "quiet_s": quiet_s,
                "mean_interval_s": every_s,
                "decisions_ever": row["decisions_ever"],
            },
        )


def _models(faults: Faults, now: datetime) -> Iterator[Finding]:
    for row in faults.models.iter_rows(named=True):
        why = (
            "its digest differs from the registered artifact"
            if row["other_digest"]
            else "its artifact is not registered"
        )
        yield Finding(
            "model",
            row["model"],
            f"Model {row['model']} is unknown",
            f"{_of(row['decisions'], 'decision')} on {_of(row['devices'], 'device')} "
            f"{_within(now)}; {why}",
            row["first_at"],
            row["decisions"],
            {"decisions": row["decisions"], "devices": row["devices"]},
        )


def _chains(chains: Chains) -> Iterator[Finding]:
    if chains.suspect.is_empty():
        return
    for (device_id,), group in chains.suspect.group_by("device_id", maintain_order=True):
        counts = {name: int(group[name].sum()) for name in _ODD}
        said = [text for row in group.iter_rows(named=True) for text in troubles(row)]
        yield Finding(
            "chain",
            str(device_id),
            f"The record of {device_id} does not hold together",
            "; ".join(said),
            None,
            sum(counts.values()),
            counts,
            mark="; ".join(sorted(said)),
        )


def _refused(kind: str, how: str, found: Refused, now: datetime) -> Iterator[Finding]:
    if found.spans:
        yield Finding(
            kind,
            FLEET,
            f"{'Spans are rejected' if kind == 'reject' else 'Spans conflict'}",
            f"{_of(found.spans, 'span')} {how} {_within(now)}, of "
            f"{_of(found.devices, 'known device')}",
            found.first_at,
            found.spans,
            {"spans": found.spans, "devices": found.devices},
        )


def _within(now: datetime) -> str:
    return f"in the {LOOK_BACK // timedelta(hours=1)} h before {_minute(now)}"


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _of(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
