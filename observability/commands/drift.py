"""`whence drift`: what is wrong with the inputs, whose it is and since when."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import math
import sys
from datetime import datetime
from typing import Any

import observability
from observability.monitor.baseline import usual_of
from observability.monitor.triage import Trouble, triage, watch_all
from observability.store import lake, read_drift
from observability.store.location import Location
from observability.store.moments import moment
from observability.store.read import Window


def run(arguments: argparse.Namespace) -> int:
    """Print the troubles that lie in the window."""
    store: Location = arguments.store
    with observability.connect(store) as con:
        now = lake.now(con)
        window = Window(moment(arguments.window, now), None)
        usual = functools.partial(usual_of, con, store)
        watched = watch_all(con, read_drift.decided_types(con), usual)
        found = tuple(each for each in triage(con, watched) if each.within(window))
    judged = sum(each.judged for each in watched)
    if arguments.json:
        said = {
            "as_of": now,
            "streams_judged": judged,
            "troubles": [_plain(each) for each in found],
        }
        sys.stdout.write(json.dumps(said, default=_text, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("\n".join(_lines(found, judged, now)) + "\n")
    return 0


def _lines(found: tuple[Trouble, ...], judged: int, now: datetime) -> list[str]:
    plural = "" if len(found) == 1 else "s"
    head = (
        f"{len(found)} trouble{plural} in {judged:,} streams that can be judged, as of {_text(now)}"
    )
    return [head, *map(_line, found)]


def _line(trouble: Trouble) -> str:
    who = ", ".join(trouble.devices) or "the fleet"
    until = f"to {_text(trouble.to)}" if trouble.to else "still"
    mean = (
        "" if math.isnan(trouble.mean) else f", mean {trouble.usual_mean:.4g} -> {trouble.mean:.4g}"
    )
    change = trouble.unit_change
    unit = f", {change.factor:.4g} x + {change.offset:.4g}" if change else ""
    broken = f", {trouble.broken}" if trouble.broken else ""
    together = "" if trouble.wrong else ", together: the process"
    return (
        f"{trouble.verdict}: {', '.join(trouble.inputs)} on {who} "
        f"({len(trouble.devices) or trouble.of_devices} of {trouble.of_devices})"
        f"{broken}{unit}{mean} {trouble.unit}".rstrip()
        + f", since {_text(trouble.since)}, {until}; PSI {trouble.psi:.3g}, n = {trouble.values:,}{together}"
    )


def _plain(trouble: Trouble) -> dict[str, Any]:
    fields = {**dataclasses.asdict(trouble), "wrong": trouble.wrong}
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in fields.items()
    }


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
