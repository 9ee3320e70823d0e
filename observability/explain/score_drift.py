"""What moved the scores: the change of the mean output as the sum of the changes of mean attributions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb
import numpy as np

from observability.monitor.contribution import MeanAttribution, score_change
from observability.store.read import Window
from observability.store.read_attributions import extent, mean_parts
from observability.store.read_explained import Explained

FEWEST = 20
"""Explained decisions below which a mean says nothing."""
TOLERANCE = 1e-4
"""Allowed part of a change that the attributions do not make up, as a share of the larger of 1 and the
outputs: phi is stored in single precision."""


@dataclass(frozen=True, slots=True, eq=False)
class Mean:
    """The mean attribution and mean `output` (in the link's unit) of `n` explained decisions of a window."""

    window: Window
    n: int
    output: float
    attribution: MeanAttribution


@dataclass(frozen=True, slots=True, eq=False)
class ScoreDrift:
    """Two means under one spec; `baseline` tells whether the first is of the baseline's time."""

    of: Explained
    before: Mean
    after: Mean
    baseline: bool

    @property
    def change(self) -> float:
        """Of the mean output, in the link's unit."""
        return self.after.output - self.before.output

    @property
    def parts(self) -> np.ndarray:
        """What each input adds to the change, `(n_inputs,)`, in the order of `of.inputs`."""
        return score_change(self.before.attribution, self.after.attribution)

    @property
    def residual(self) -> float:
        """What of the change no input adds."""
        return self.change - float(self.parts.sum())

    @property
    def adds_up(self) -> bool:
        """Whether the parts make up the change."""
        scale = max(1.0, abs(self.before.output), abs(self.after.output))
        return abs(self.residual) <= TOLERANCE * scale


def score_drift(
    con: duckdb.DuckDBPyConnection,
    of: Explained,
    baseline_until: datetime | None,
    now: Window,
    device: str | None = None,
) -> ScoreDrift | None:
    """The change from the baseline's time to `now`, of the fleet or of a device.

    Where too little of the baseline's time is explained, from the first quarter of what is explained
    of `now`. None where either side has fewer than 20 explained decisions.
    """
    ends = [at for at in (baseline_until, now.start) if at is not None]
    before = _mean(con, of, Window(None, min(ends)), device) if ends else None
    if before is not None:
        after = _mean(con, of, now, device)
        return None if after is None else ScoreDrift(of, before, after, baseline=True)
    known = extent(con, of, now)
    if known.first_at is None or known.last_at is None:
        return None
    split = known.first_at + (known.last_at - known.first_at) / 4
    sides = Window(known.first_at, split), Window(split, now.end)
    first, rest = (_mean(con, of, side, device) for side in sides)
    return None if first is None or rest is None else ScoreDrift(of, first, rest, baseline=False)


def _mean(
    con: duckdb.DuckDBPyConnection, of: Explained, window: Window, device: str | None
) -> Mean | None:
    found = mean_parts(con, of, window, device)
    if found["attributions"] < FEWEST:
        return None
    attribution = MeanAttribution(of.spec_id, found["base"], np.array(found["phi"]))
    return Mean(window, found["attributions"], found["output"], attribution)
