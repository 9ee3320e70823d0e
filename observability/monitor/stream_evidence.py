"""The evidence of one input, day by day: of one device or the fleet, and of all devices beside it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from observability.monitor.calibration import Insufficient
from observability.monitor.watched import Watched


@dataclass(frozen=True, slots=True, eq=False)
class StreamEvidence:
    """How strong the evidence is that one input has changed, of `device` (None: the fleet).

    `strength`, `alarm` and `reset` `(n_days,)` as in `Evidence`; NaN where it is `insufficient`.
    """

    device: str | None
    strength: np.ndarray
    alarm: np.ndarray
    reset: np.ndarray
    insufficient: Insufficient

    @property
    def strongest(self) -> float:
        """The most that it came to; 0 where nothing can be said."""
        return float(np.nan_to_num(self.strength).max(initial=0.0))


@dataclass(frozen=True, slots=True, eq=False)
class InputEvidence:
    """One input over the days that begin at `starts` (UTC): the fleet first, then its devices in order.

    `needed` is the strength from which any of them alarms.
    """

    name: str
    needed: float
    starts: tuple[datetime, ...]
    streams: tuple[StreamEvidence, ...]

    def of(self, device: str | None) -> StreamEvidence:
        """The stream of a device; the fleet's for None or one that did not decide."""
        return next((one for one in self.streams if one.device == device), self.streams[0])

    def others(self, device: str | None) -> tuple[StreamEvidence, ...]:
        """All streams but that one, the strongest first; those of which nothing is known are left out."""
        rest = [one for one in self.streams if one is not self.of(device) and not one.insufficient]
        return tuple(sorted(rest, key=lambda one: -one.strongest))


def input_evidence(watched: Watched, name: str) -> InputEvidence:
    """The evidence of one of the inputs that are watched."""
    drift, found = watched.drift, watched.evidence
    n_inputs, first = len(drift.names), drift.names.index(name)
    streams = tuple(
        StreamEvidence(
            device,
            found.strength[place * n_inputs + first],
            found.alarm[place * n_inputs + first],
            found.reset[place * n_inputs + first],
            found.insufficient[place * n_inputs + first],
        )
        for place, device in enumerate((None, *drift.devices))
    )
    return InputEvidence(name, found.needed, drift.starts[drift.after :], streams)
