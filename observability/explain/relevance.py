"""What moves and matters: how far each input lies from its baseline, and how much it weighs."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import numpy as np

from observability.explain.importance import Importance
from observability.monitor.drift import Drift
from observability.monitor.evidence import LEAST_EFFECT
from observability.monitor.psi import psi


@dataclass(frozen=True, slots=True)
class Relevance:
    """One input: its PSI, its share of all mean |phi|, and whether it alarmed."""

    name: str
    psi: float
    share: float
    alarmed: bool


@dataclass(frozen=True, slots=True)
class Relevances:
    """The inputs that have both, the largest product of both first; `parts` is how many parts phi has.

    `left_out` are those without PSI or without attributions of their own.
    """

    inputs: tuple[Relevance, ...]
    parts: int
    left_out: tuple[str, ...]

    def moved(self, one: Relevance) -> bool:
        """Whether its effect is one that may matter; never an alarm by itself."""
        return one.psi >= LEAST_EFFECT

    def matters(self, one: Relevance) -> bool:
        """Whether it weighs at least as much as the parts do on average."""
        return one.share * self.parts >= 1

    @property
    def telling(self) -> tuple[Relevance, ...]:
        """Those that alarmed and matter."""
        return tuple(one for one in self.inputs if one.alarmed and self.matters(one))

    @property
    def far(self) -> tuple[Relevance, ...]:
        """Those that lie far from their baseline and matter, whether or not they alarmed."""
        return tuple(one for one in self.inputs if self.moved(one) and self.matters(one))


def relevances(
    drift: Drift, device: str | None, now: tuple[int, int], weights: Importance, alarmed: Set[str]
) -> Relevances:
    """The inputs of a device (None: the fleet) in the buckets `now`, beside the fleet's mean |phi|."""
    place = drift.place(device)
    found = psi(drift.usual[place], drift.now[place, slice(*now)].sum(axis=0))
    effects = np.where(drift.constant, np.nan, found).tolist()
    parts = {of.name: n for n, of in enumerate(weights.of.inputs)}
    placed = [
        Relevance(name, effect, float(weights.shares[parts[name]]), name in alarmed)
        for name, effect in zip(drift.names, effects, strict=True)
        if name in parts and np.isfinite(effect)
    ]
    placed.sort(key=lambda one: -one.share * one.psi)
    known = {one.name for one in placed}
    return Relevances(
        tuple(placed), len(parts), tuple(name for name in drift.names if name not in known)
    )
