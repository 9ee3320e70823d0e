"""When machines fail: episodes of distress, each inside one cell of time.

The invariant: at most one episode a device and cell, wholly inside it, so any instant can be asked
without the past.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from observability.fleet.world.noise import EPISODES, draw

NEEDED_FROM = 0.4  # severity from which acting is right
_FAILS_FROM = 0.7  # peak severity from which the machine fails if nobody acts
_RISE, _FAIL, _FALL = 0.35, 0.6, 0.2  # shares of an episode's length
_KINDS = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """How often and how long one kind of machine is in distress; `tag` tells plans apart."""

    tag: int
    cell_s: float
    probability: float
    shortest_s: float
    longest_s: float


@dataclass(frozen=True, slots=True)
class Distress:
    """The state at given instants; all of shape `(n_instants, n_devices)`.

    `severity` 0..1 with its `kind` 0..2; `onset_s` of the running episode (NaN where none);
    `fails` where the machine would fail within the `step_s` before the instant.
    """

    severity: np.ndarray
    kind: np.ndarray
    onset_s: np.ndarray
    fails: np.ndarray


PUMP = Plan(
    tag=1, cell_s=4 * 86400.0, probability=0.75, shortest_s=3 * 3600.0, longest_s=9 * 3600.0
)
SURGE = Plan(tag=2, cell_s=86400.0, probability=0.7, shortest_s=3600.0, longest_s=4 * 3600.0)


def distress(plan: Plan, path: tuple[int, ...], at_s: np.ndarray, step_s: float) -> Distress:
    """The distress at `at_s`, seconds since the start, shape `(n_instants, n_devices)`."""
    severity, onset = np.zeros_like(at_s), np.full_like(at_s, np.nan)
    kind, fails = np.zeros(at_s.shape, dtype=np.int64), np.zeros(at_s.shape, dtype=bool)
    first, last = int(at_s.min() // plan.cell_s), int(at_s.max() // plan.cell_s)
    for cell in range(first, last + 1):
        random = draw(*path, EPISODES, plan.tag, cell)
        happens, place, length, height = random.random((4, at_s.shape[1]))
        kinds = random.integers(0, _KINDS, at_s.shape[1])
        seconds = plan.shortest_s + length * (plan.longest_s - plan.shortest_s)
        begin = cell * plan.cell_s + place * (plan.cell_s - seconds)
        peak = np.where(happens < plan.probability, 0.45 + 0.55 * height, 0.0)
        risen = (at_s - begin) / (_RISE * seconds)
        fallen = (begin + seconds - at_s) / (_FALL * seconds)
        shape = np.clip(np.minimum(risen, fallen), 0.0, 1.0)
        running = (shape > 0) & (peak > 0)
        severity = np.where(running, peak * shape, severity)
        kind, onset = np.where(running, kinds, kind), np.where(running, begin, onset)
        fail = begin + _FAIL * seconds
        fails |= (peak > _FAILS_FROM) & (at_s >= fail) & (at_s - step_s < fail)
    return Distress(severity, kind, onset, fails)
