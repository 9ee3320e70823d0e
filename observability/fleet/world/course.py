"""All that decides what happens in a world, as one value, and what its devices remember."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from observability.fleet.world.physics import Machines
from observability.fleet.world.trained import Score
from observability.fleet.world.troubles import Trouble
from traces import ModelVersion


@dataclass(frozen=True, slots=True)
class Runnable:
    """A model version that can score; `threshold` on its score."""

    version: ModelVersion
    score: Score
    threshold: float


@dataclass(frozen=True, slots=True)
class Course:
    """`models` holds one of each decision type and version of rollout.VERSIONS."""

    fleet: Machines
    start: datetime
    days: int
    troubles: tuple[Trouble, ...]
    models: Mapping[tuple[str, str], Runnable]

    @property
    def epoch_s(self) -> int:
        """The start in seconds since 1970 UTC."""
        return round(self.start.timestamp())


@dataclass(slots=True)
class Memory:
    """When each device last acted, by (type, device index), in seconds since the start.

    Nothing asks for more than a day of it, so a chronicle that begins a few days early is the same one.
    """

    acted_s: dict[tuple[str, int], float] = field(default_factory=dict)
