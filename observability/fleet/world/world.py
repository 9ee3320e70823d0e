"""A world: a seeded fleet over some weeks, with its truth, its models and everything that happens.

The invariant: the same seed, days, devices and start give the same truth, decisions and ids, on any
run; nothing here reads a clock, the environment or a hash order.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import numpy as np

from observability.fleet.world import rollout, troubles
from observability.fleet.world.chronicle import happen
from observability.fleet.world.course import Course, Memory, Runnable
from observability.fleet.world.event import Event
from observability.fleet.world.physics import machines, simulate
from observability.fleet.world.readings import STOP, TYPES, features, names
from observability.fleet.world.reference import write_reference
from observability.fleet.world.sites import Device, fleet
from observability.fleet.world.trained import (
    THRESHOLD,
    TrainedModel,
    model_version,
    scorer,
    train_artifacts,
)
from observability.fleet.world.troubles import OUTAGE, STUCK, TROUBLED_DAYS, Trouble
from traces.decision import Scalar
from traces.errors import ModelError, WrongUse

SHORTEST_DAYS = 6
_LONGEST_BASELINE_DAYS = 28
_WARM_UP_DAYS = 7  # longer than any outcome takes and any device remembers
_DAY_NS = 86400 * 10**9


class World:
    """A fleet of `devices` over `days` from `start` (with a time zone, whole seconds).

    `troubled=False` gives the same fleet without any trouble. Raises WrongUse for a start without a
    time zone, under 6 days or under 4 devices.
    """

    def __init__(
        self,
        seed: int = 7,
        days: int = 42,
        devices: int = 24,
        *,
        start: datetime,
        troubled: bool = True,
    ) -> None:
        if start.tzinfo is None or start.microsecond:
            raise WrongUse(
                f"start {start.isoformat()}", "whole seconds with a time zone, such as Z"
            )
        if days < SHORTEST_DAYS:
            raise WrongUse(f"{days} days", f"{SHORTEST_DAYS} or more: a baseline, then troubles")
        if seed < 0:
            raise WrongUse(f"seed {seed}", "0 or more")
        self.seed, self.days, self.start = seed, days, start.astimezone(UTC)
        self.devices: tuple[Device, ...] = fleet(devices)
        self._fleet = machines(self.devices, seed)
        planned = troubles.plan(self.devices, self.start, days) if troubled else ()
        self._troubles = tuple(self._completed(trouble) for trouble in planned)

    @property
    def end(self) -> datetime:
        """The instant at which the history ends and the live time begins, UTC."""
        return self.start + timedelta(days=self.days)

    @property
    def baseline_days(self) -> int:
        """How many days from the start are without trouble and make the reference."""
        return min(_LONGEST_BASELINE_DAYS, self.days - min(TROUBLED_DAYS, self.days // 3))

    def truth(self) -> tuple[Trouble, ...]:
        """The troubles, in order of their beginning."""
        return self._troubles

    def truth_json(self) -> str:
        """The text of truth.json."""
        return troubles.truth_json(self._troubles)

    def train(self, folder: Path) -> tuple[TrainedModel, ...]:
        """Two versions of each model, with reference and release; trained once into `folder`."""
        artifacts = train_artifacts(self._fleet, folder)
        first_day = self.start.strftime("%Y%m%dT%H%M%SZ")
        key = f"{self.seed}-{len(self.devices)}-{first_day}-{self.baseline_days}"
        references = {type_: folder / f"{type_}-{key}.parquet" for type_ in TYPES}
        if not all(path.exists() for path in references.values()):
            write_reference(self._fleet, self._epoch_s, self.baseline_days, references)
        return tuple(
            TrainedModel(
                decision_type=type_,
                version=model_version(type_, version, artifact),
                artifact=artifact,
                features=features(type_),
                reference=references[type_],
                threshold=THRESHOLD,
                released_at=rollout.released_at(
                    type_, version, self._troubles, self.start, self.days
                ),
            )
            for (type_, version), artifact in artifacts.items()
        )

    def events(self, models: Iterable[TrainedModel]) -> Iterator[Event]:
        """Everything that happened before the end, in order of `decided_at_ns`."""
        end_ns = self._ns(self.end)
        for event in self._from_day(0, models):
            if event.decided_at_ns >= end_ns:
                return
            yield event

    def live(self, models: Iterable[TrainedModel], since_ns: int) -> Iterator[Event]:
        """Everything that happens from `since_ns` on, in order and without end.

        Exactly what `events` gives, continued: standing troubles stand on, late outcomes come.
        """
        first = max(0, (since_ns - self._ns(self.start)) // _DAY_NS - _WARM_UP_DAYS)
        for event in self._from_day(first, models):
            if event.decided_at_ns >= since_ns:
                yield event

    def network_changes(self) -> tuple[datetime, ...]:
        """When the network of some devices goes or comes back, within the history."""
        outages = [trouble for trouble in self._troubles if trouble.kind == OUTAGE]
        return tuple(at for one in outages for at in (one.begins, one.ends) if at is not None)

    def is_cut_off(self, device_id: str, at: datetime) -> bool:
        """Whether the network of a device is out at an instant."""
        outages = (trouble for trouble in self._troubles if trouble.kind == OUTAGE)
        return any(device_id in one.devices and one.holds(self._ns(at)) for one in outages)

    def resource(self, device_id: str, at: datetime) -> Mapping[str, Scalar]:
        """The resource attributes of a device at an instant; `service.version` is its firmware.

        Raises WrongUse for a device that is not in this world.
        """
        device = next((device for device in self.devices if device.device_id == device_id), None)
        if device is None:
            raise WrongUse(f"device {device_id!r}", "one of this world's devices")
        history = rollout.firmware_history(device, self._troubles, self.start, self.days)
        firmware = [version for since, version in history if since <= at] or [history[0][1]]
        return {
            "service.version": firmware[-1],
            "device.model.identifier": device.site.hardware,
            "deployment.environment.name": "demo",
            "geo.locality.name": device.site.name,
            "geo.country.iso_code": device.site.country,
            "geo.location.lat": device.site.latitude,
            "geo.location.lon": device.site.longitude,
        }

    def _from_day(self, first: int, models: Iterable[TrainedModel]) -> Iterator[Event]:
        """All events of the days from `first` on, in order of time, then of span."""
        course, memory = self._course(models), Memory()
        pending: list[tuple[int, str, str, Event]] = []
        for number in count(first):
            pending.extend(
                (event.decided_at_ns, event.trace_id, event.span_id, event)
                for event in happen(course, number, memory)
            )
            heapq.heapify(pending)
            # Nothing of a later day happens before that day begins.
            next_ns = self._ns(self.start) + (number + 1) * _DAY_NS
            while pending and pending[0][0] < next_ns:
                yield heapq.heappop(pending)[-1]

    def _course(self, models: Iterable[TrainedModel]) -> Course:
        runnable = {
            (model.decision_type, model.version.version): Runnable(
                model.version, scorer(model.decision_type, model.artifact), model.threshold
            )
            for model in models
        }
        lacking = [
            f"{type_} {version}"
            for type_ in TYPES
            for version in rollout.VERSIONS
            if (type_, version) not in runnable
        ]
        if lacking:
            raise ModelError(f"no model {', '.join(lacking)}", "all that train() returns")
        return Course(self._fleet, self.start, self.days, self._troubles, runnable)

    def _completed(self, trouble: Trouble) -> Trouble:
        """A stuck sensor holds what it last read before it stuck."""
        if trouble.kind != STUCK:
            return trouble
        before_ns = trouble.begins_ns - self._ns(self.start)
        block = simulate(self._fleet, self._epoch_s, before_ns // _DAY_NS)
        at = next(d.index for d in self.devices if d.device_id in trouble.devices)
        slot = max(0, int(np.searchsorted(block.decided_ns[STOP][:, at], trouble.begins_ns)) - 1)
        value = block.readings[STOP][slot, at, names(STOP).index(trouble.input or "")]
        return replace(trouble, parameters={**trouble.parameters, "value": round(float(value), 2)})

    @property
    def _epoch_s(self) -> int:
        return round(self.start.timestamp())

    @staticmethod
    def _ns(at: datetime) -> int:
        return round(at.timestamp()) * 10**9
