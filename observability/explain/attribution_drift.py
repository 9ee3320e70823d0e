"""Whether attributions drift: they are watched as inputs are, day by day against their baseline's days.

Owns what that means beside the inputs' own drift: a shift of inputs explains one of attributions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb

from observability.monitor.baseline import DAY, Baseline
from observability.monitor.drift import compared
from observability.monitor.verdict import Verdict
from observability.monitor.watched import Watched, watch
from observability.store.count import count
from observability.store.cube import summed
from observability.store.read import Window
from observability.store.read_attributions import as_rows
from observability.store.read_drift import equal_count_bins
from observability.store.read_explained import Explained


@dataclass(frozen=True, slots=True)
class AttributionShift:
    """Which inputs' attributions alarm, of a device or the fleet, beside whether the inputs do.

    `reaching`: both do. `alone`: the attributions only. `unfelt`: the input only. `insufficient` says
    why nothing can be judged; empty where it can.
    """

    reaching: tuple[str, ...]
    alone: tuple[str, ...]
    unfelt: tuple[str, ...]
    insufficient: str

    @property
    def verdict(self) -> Verdict:
        """Attribution shift where they moved and no input explains it."""
        shifted = bool(self.reaching or self.unfelt)
        return Verdict.ATTRIBUTION if self.alone and not shifted else Verdict.NONE


def attribution_drift(
    con: duckdb.DuckDBPyConnection, of: Explained, baseline: Window, until: datetime | None
) -> Watched | None:
    """The attributions of each input by device and day, watched from the end of a baseline in the store.

    None where nothing is explained in the baseline's time or after it.
    """
    rows, later = as_rows(of, baseline), as_rows(of, Window(baseline.end, until))
    bins = equal_count_bins(con, rows)
    usual, now = (count(con, each, bins, DAY) for each in (rows, later))
    if usual.cells.is_empty() or now.cells.is_empty():
        return None
    own = Baseline(rows.inputs, bins, usual, DAY, baseline.start, baseline.end, None, rows)
    return watch(compared(own, of.decision_type, summed([now])))


def attribution_shift(
    attributions: Watched | None, inputs: Watched | None, device: str | None
) -> AttributionShift:
    """What alarms, of a device or the fleet; of the fleet's inputs those of any device count too."""
    if attributions is None:
        return AttributionShift(
            (), (), (), "nothing is explained of the baseline's time, or nothing since"
        )
    names = attributions.drift.names
    place = attributions.drift.place(device) * len(names)
    reasons = attributions.evidence.insufficient[place : place + len(names)]
    if all(reasons):
        return AttributionShift((), (), (), max(reasons, key=reasons.count).value)
    moved = {name for name in names if attributions.alarmed_on(device, name)}
    shifted = set() if inputs is None else alarmed(inputs, device)
    return AttributionShift(
        tuple(name for name in names if name in moved & shifted),
        tuple(name for name in names if name in moved - shifted),
        tuple(name for name in names if name in shifted - moved),
        "",
    )


def alarmed(watched: Watched, device: str | None) -> frozenset[str]:
    """The inputs that alarm on a device, or on the fleet or any device of it."""
    names, place = watched.drift.names, watched.drift.place(device)
    marks = watched.evidence.alarm.any(axis=1).reshape(-1, len(names))
    whom = marks[place : place + 1] if place else marks
    return frozenset(name for name, on in zip(names, whom.T, strict=True) if on.any())
