"""What moved most: which input, on which devices, since when, and how much of it is out of the usual.

A ranking by effect, for the eye: PSI beyond all that the baseline's own days reached over as long a
time. Sensors repeat themselves, so few days never look like four weeks, of the baseline neither.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from observability.monitor.drift import Drift, spread_out
from observability.monitor.psi import carried, psi

LISTED = 6
_USUAL_DAY = 0.90
"""A day counts towards a stretch where its PSI lies above this share of the baseline's days."""
_OF_PEAK = 0.2
"""It counts as moved since a day's PSI is this part of its largest: days just above the usual do not."""
_GROUPS = 2
"""Groups of devices of one input that are listed."""
_FAR = 0.05
"""The least PSI, beyond the usual, that is worth a line."""


@dataclass(frozen=True, slots=True)
class Moved:
    """One input that moved, from `since` up to `to` (None: it still does); times UTC.

    `devices` are those that moved, strongest first; none stands for the fleet as a whole. `psi` is
    that of all their values of that time, `usual` the most that the baseline's own stretches as long
    reached. `share` is the part of the fleet's shift that these devices carry.
    """

    decision_type: str
    name: str
    unit: str
    devices: tuple[str, ...]
    of_devices: int
    buckets: int
    since: datetime
    to: datetime | None
    psi: float
    usual: float
    values: int
    of_values: int
    share: float
    usual_mean: float
    mean: float

    @property
    def weight(self) -> float:
        """PSI beyond the usual, counting more the longer it lasts."""
        return (self.psi - self.usual) * math.sqrt(self.buckets)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """The time in which a place (0: the fleet) lay farthest from its baseline's days."""

    place: int
    first: int
    until: int
    psi: float
    usual: float

    @property
    def beyond(self) -> float:
        return self.psi - self.usual

    def overlaps(self, other: _Stretch) -> bool:
        """Whether they share at least half of the shorter one."""
        common = min(self.until, other.until) - max(self.first, other.first)
        return 2 * common >= min(self.until - self.first, other.until - other.first)


def moved(drift: Drift, listed: int = LISTED) -> tuple[Moved, ...]:
    """What moved most, the farthest and longest beyond its usual first; what did not is left out."""
    if not drift.starts:
        return ()
    days = spread_out(drift.baseline.cube, drift.devices, drift.width).counts
    found = [
        one
        for n in np.flatnonzero(~drift.constant)
        for one in _of_input(drift, int(n), days[:, :, n])
    ]
    return tuple(sorted(found, key=lambda one: -one.weight)[:listed])


def longest_run(beyond: np.ndarray) -> tuple[int, int]:
    """The stretch with the largest sum, as first and until; NaN adds nothing. Kadane's algorithm.

    >>> longest_run(np.array([-1.0, 2.0, -0.5, 3.0, -4.0, 1.0]))
    (1, 4)
    """
    sums = np.concatenate([[0.0], np.cumsum(np.nan_to_num(beyond))])
    lowest = np.minimum.accumulate(sums)
    until = int(np.argmax(sums - lowest))
    first = int(np.flatnonzero(sums[: until + 1] == lowest[until])[-1])
    return first, until


def _of_input(drift: Drift, n: int, days: np.ndarray) -> list[Moved]:
    """The groups of devices that moved in one input, each in a time of its own; `days` are its baseline's."""
    left = sorted(_stretches(drift, n, days, slice(1, None)), key=lambda s: -s.beyond)
    found: list[Moved] = []
    while left and len(found) < _GROUPS:
        top = left[0]
        group = _along(drift, n, top)
        if 2 * len(group) > len(drift.devices) > 1:
            return found + _of_fleet(drift, n, days)
        found.append(_moved(drift, n, top, group))
        left = [s for s in left if not s.overlaps(top)]
    return found or _of_fleet(drift, n, days)


def _of_fleet(drift: Drift, n: int, days: np.ndarray) -> list[Moved]:
    return [_moved(drift, n, s, []) for s in _stretches(drift, n, days, slice(0, 1))]


def _along(drift: Drift, n: int, top: _Stretch) -> list[int]:
    """The places of the devices that lay at least half as far beyond the usual in the same time."""
    now = drift.now[1:, top.first : top.until, n].sum(axis=1)
    beyond = psi(drift.usual[1:, n], now) - top.usual
    beyond[top.place - 1] = np.inf
    order = np.argsort(-np.nan_to_num(beyond, nan=-np.inf))
    return [int(at) + 1 for at in order if 2 * beyond[at] >= top.beyond]


def _stretches(drift: Drift, n: int, days: np.ndarray, places: slice) -> list[_Stretch]:
    """The stretch of each of these places that lies beyond the usual; they share what is usual."""
    usual, now = drift.usual[places, n], drift.now[places, drift.after :, n]
    ordinary = days[places]
    effects = psi(usual[:, None], now)
    limit = _quantile(psi(usual[:, None], ordinary), _USUAL_DAY)
    if np.isnan(limit):
        limit = _quantile(effects, 0.5)
    reach: dict[int, float] = {}
    found = []
    for at, effect in enumerate(effects):
        first, until = _run(effect, limit)
        length = until - first
        if not length:
            continue
        if length not in reach:
            reach[length] = _reach(usual, ordinary, length)
        whole = float(psi(usual[at], now[at, first:until].sum(axis=0)))
        stretch = _Stretch(
            at + (places.start or 0), first + drift.after, until + drift.after, whole, reach[length]
        )
        if stretch.beyond > _FAR:
            found.append(stretch)
    return found


def _run(effect: np.ndarray, limit: float) -> tuple[int, int]:
    """The longest run beyond a limit, from where it reaches a part of its own peak."""
    first, until = longest_run(effect - limit)
    if until == first:
        return first, until
    return longest_run(effect - max(limit, _OF_PEAK * float(np.nanmax(effect[first:until]))))


def _reach(usual: np.ndarray, days: np.ndarray, length: int) -> float:
    """The largest PSI of the baseline's own stretches as long; 0 where it has no days."""
    length = min(length, max(days.shape[1] // 2, 1))
    sums = np.concatenate([np.zeros_like(days[:, :1]), days.cumsum(axis=1)], axis=1)
    windows = sums[:, length:] - sums[:, :-length]
    reached = _quantile(psi(usual[:, None], windows), 1.0)
    return 0.0 if np.isnan(reached) else reached


def _moved(drift: Drift, n: int, top: _Stretch, places: Sequence[int]) -> Moved:
    """A group as one; its time is that of its strongest device."""
    during = slice(top.first, top.until)
    whole = drift.now[1:, during, n].sum(axis=1)
    parts = carried(drift.usual[1:, n], whole)
    of = list(places) or [0]
    usual, now = drift.usual[of, n].sum(axis=0), drift.now[of, during, n].sum(axis=(0, 1))
    levels = bool(drift.baseline.inputs[n].levels)
    return Moved(
        decision_type=drift.decision_type,
        name=drift.names[n],
        unit=drift.baseline.inputs[n].unit,
        devices=tuple(drift.devices[place - 1] for place in places),
        of_devices=len(drift.devices),
        buckets=top.until - top.first,
        since=drift.starts[top.first],
        to=drift.starts[top.until] if top.until < len(drift.starts) else None,
        psi=float(psi(usual, now)),
        usual=top.usual,
        values=int(now.sum()),
        of_values=int(whole.sum()),
        share=float(parts[[place - 1 for place in places]].sum()) if places else 1.0,
        usual_mean=np.nan if levels else float(drift.usual_sums[of, n].sum() / usual.sum()),
        mean=np.nan if levels else float(drift.sums[of, during, n].sum() / now.sum()),
    )


def _quantile(values: np.ndarray, share: float) -> float:
    kept = values[~np.isnan(values)]
    return float(np.quantile(kept, share)) if kept.size else float("nan")
