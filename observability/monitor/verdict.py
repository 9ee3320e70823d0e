"""What an input's trouble is called: the first of an ordered list of explanations that holds.

Broken data explains everything below it, so a break hides drift; a unit change explains a shift; a
shift of inputs explains one of attributions; only what is left is about the world the model learnt.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from observability.monitor.contribution import Contributions, carriers
from observability.monitor.quality import Break, UnitChange

FEW = 0.2
"""Of the fleet: a shift that at most so many devices carry (or one) is theirs, not the fleet's."""


class Verdict(StrEnum):
    """What the trouble is, in the order in which it is asked."""

    BREAK = "data-quality break"
    UNIT = "unit change"
    DEVICES = "device-local shift"
    FLEET = "fleet-wide shift"
    ATTRIBUTION = "attribution shift"
    CONCEPT = "concept shift"
    NONE = "no change"


@dataclass(frozen=True, slots=True, eq=False)
class Signs:
    """What is known of one input: `breaks` that stand, a unit change, and what alarms.

    `fleet`: the fleet as a whole alarms on its values; `alarming`: so many of its devices do, each on
    its own; `parts`: their contributions, all devices'. `attributed`: its attributions alarm.
    `mislabelled`: outcomes no longer follow the scores.
    """

    breaks: Set[Break]
    unit: UnitChange | None
    fleet: bool
    alarming: int
    parts: Contributions
    attributed: bool = False
    mislabelled: bool = False

    @property
    def shifted(self) -> bool:
        """Whether values shifted at all."""
        return self.fleet or self.alarming > 0

    @property
    def local(self) -> bool:
        """Whether few devices carry the shift, or few alarm and the fleet does not."""
        devices = len(self.parts.parts)
        own = not self.fleet and _few(self.alarming, devices)
        return devices > 1 and self.shifted and (own or len(whose(self.parts)) > 0)


def verdict(signs: Signs) -> Verdict:
    """The first explanation that holds. A unit change explains values out of range."""
    explained = {Break.RANGE} if signs.unit else set()
    asked = (
        (Verdict.BREAK, bool(signs.breaks - explained)),
        (Verdict.UNIT, signs.unit is not None),
        (Verdict.DEVICES, signs.local),
        (Verdict.FLEET, signs.shifted),
        (Verdict.ATTRIBUTION, signs.attributed),
        (Verdict.CONCEPT, signs.mislabelled),
    )
    return next((name for name, holds in asked if holds), Verdict.NONE)


def whose(parts: Contributions) -> np.ndarray:
    """The places of the devices whose shift it is, strongest first; none where it is the fleet's."""
    found = carriers(parts)
    return found if _few(len(found), len(parts.parts)) else found[:0]


def _few(count: int, devices: int) -> bool:
    return count <= max(1, FEW * devices)
