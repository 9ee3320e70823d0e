"""Simulated fleets beside their truth files: what drift names, when, and what it names that never was.

Each store is judged as it was at every midnight since its baseline ended, and two days after each trouble
began. A trouble counts as found where devices, input and kind are all told right; anything else that a
person would be called for is false.
"""

from __future__ import annotations

import argparse
import functools
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import machine

from observability.fleet.world.troubles import BIAS, STUCK, UNIT
from observability.monitor.baseline import Baseline, usual_of
from observability.monitor.quality import Break
from observability.monitor.triage import Trouble, triage, watch_all
from observability.monitor.verdict import Verdict
from observability.store import lake, read_drift

KINDS = (BIAS, STUCK, UNIT)
"""Troubles of inputs; all others, the benign change of load among them, call nobody for an input."""
WITHIN = timedelta(days=2)
DAY = timedelta(days=1)
SEEDS = (3, 5, 7, 11, 13, 17, 23)
QUICK = (21, 4)
"""Days and devices of a quick run of one seed, too small to show how well troubles are found."""

Truth = Mapping[str, Any]
Usual = Callable[[read_drift.DecidedType, timedelta], Baseline]


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found of a store's truth: days of data until each kind was, None where never.

    `named` tells which kinds were right two days after they began; `false` are the troubles that never were.
    """

    days: Mapping[str, float | None]
    named: Mapping[str, bool]
    false: tuple[str, ...]


def main() -> None:
    """Judge each seed and print a table and one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="one small fleet")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--days", type=int, default=42)
    parser.add_argument("--devices", type=int, default=24)
    parser.add_argument("--stores", type=Path, help="a folder in which stores are kept, as s7")
    given = parser.parse_args()
    if given.quick:
        given.seeds, (given.days, given.devices) = given.seeds[:1], QUICK
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.stores or Path(scratch)
        found = {seed: judged(simulated(folder, seed, given)) for seed in given.seeds}
    measured = figures(found)
    if given.quick:
        measured |= dict.fromkeys(key for key in measured if key not in ("seeds", "troubles"))
    machine.report(measured, table(found), "duckdb", "numpy")
    if not given.quick:
        machine.save("monitor_demo", measured)


def simulated(folder: Path, seed: int, given: argparse.Namespace) -> Path:
    """The store of a seed, simulated where it is not kept."""
    store = folder / f"s{seed}"
    if not (store / "truth.json").exists():
        machine.say(f"seed {seed}: simulating {given.days} days of {given.devices} devices")
        size = ("--days", str(given.days), "--devices", str(given.devices))
        command = [sys.executable, "-m", "observability.cli", "simulate", "--store", str(store)]
        subprocess.run([*command, "--seed", str(seed), *size, "--json"], check=True, stdout=2)
    return store


def judged(store: Path) -> Judged:
    """What was found of a store's truth, and what was that never was."""
    truths = json.loads((store / "truth.json").read_text())
    asked = [each for each in truths if each["kind"] in KINDS]
    days: dict[str, float | None] = {each["kind"]: None for each in asked}
    named = dict.fromkeys(days, False)
    false: dict[str, datetime] = {}
    for until, wrong in _each_instant(store, asked):
        begun = [each for each in asked if _at(each["from"]) < until]
        for one in wrong:
            if not any(right(one, each) for each in begun):
                false.setdefault(_said(one), until)
        for each in begun:
            kind, passed = each["kind"], until - _at(each["from"])
            if any(right(one, each) for one in wrong):
                days[kind] = passed / DAY if days[kind] is None else days[kind]
                named[kind] = named[kind] or passed == WITHIN
    said = tuple(f"{text}, first at {at:%m-%d %H:%M}" for text, at in false.items())
    return Judged(days, named, said)


def _each_instant(store: Path, asked: Sequence[Truth]) -> Iterator[tuple[datetime, list[Trouble]]]:
    """What a person would have been called for at each instant."""
    with lake.connect(store) as con:
        types = read_drift.decided_types(con)
        usual = _kept(con, store)
        ends = [usual(each, DAY).last_at for each in types]
        baseline_until = max(end for end in ends if end is not None)
        for until in _instants(asked, baseline_until, max(each.last_at for each in types)):
            machine.say(f"{store.name}: as it was at {until:%Y-%m-%d %H:%M}")
            found = triage(con, watch_all(con, types, usual, until))
            yield until, [one for one in found if one.wrong]


def right(found: Trouble, truth: Truth) -> bool:
    """Whether a trouble tells input, kind and none but devices of the truth."""
    kinds = {
        BIAS: found.verdict is Verdict.DEVICES,
        STUCK: found.broken is Break.STUCK,
        UNIT: found.unit_change is not None
        and (found.unit_change.factor, found.unit_change.offset)
        == (truth["parameters"].get("factor"), truth["parameters"].get("offset")),
    }
    own = set(found.devices) <= set(truth["devices"]) and bool(found.devices)
    return kinds[truth["kind"]] and found.inputs == (truth["input"],) and own


def figures(found: Mapping[int, Judged]) -> dict[str, object]:
    """Over all seeds: troubles, those named right in time, and false ones."""
    named = [right_ for each in found.values() for right_ in each.named.values()]
    slowest = [day for each in found.values() for day in each.days.values() if day is not None]
    return {
        "seeds": len(found),
        "troubles": len(named),
        "named_within_2_days": sum(named),
        "never_named": len(named) - len(slowest),
        "slowest_days": round(max(slowest, default=0.0), 2),
        "false_troubles": sum(len(each.false) for each in found.values()),
    }


def table(found: Mapping[int, Judged]) -> str:
    """A line for each seed: days of data until each kind was named, and what is false."""
    lines = [f"  {'seed':>6} {''.join(f'{kind:>16}' for kind in KINDS)}  false"]
    for seed, each in found.items():
        cells = "".join(f"{_days(each, kind):>16}" for kind in KINDS)
        lines.append(f"  {seed:>6} {cells}  {'; '.join(each.false) or '-'}")
    return "\n".join(["days of data until named right (late: not within 2 days)", *lines])


def _days(judged_: Judged, kind: str) -> str:
    days = judged_.days.get(kind)
    if days is None:
        return "never"
    return f"{days:.2f}{'' if judged_.named[kind] else ' late'}"


def _kept(con: duckdb.DuckDBPyConnection, store: Path) -> Usual:
    """The baselines of a store, each read once."""

    @functools.cache
    def usual(decided: read_drift.DecidedType, width: timedelta) -> Baseline:
        return usual_of(con, store, decided, width)

    return usual


def _instants(truths: Sequence[Truth], baseline_until: datetime, end: datetime) -> list[datetime]:
    """Midnights UTC after the baseline, the end, and two days after each trouble began."""
    first = baseline_until.replace(hour=0, minute=0, second=0, microsecond=0) + DAY
    midnights = [first + n * DAY for n in range(1, (end - first) // DAY + 1)]
    later = {_at(each["from"]) + WITHIN for each in truths}
    return sorted({*midnights, end, *(at for at in later if at < end)})


def _said(one: Trouble) -> str:
    return f"{one.verdict} {', '.join(one.inputs)} on {', '.join(one.devices) or 'the fleet'}"


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


if __name__ == "__main__":
    main()
