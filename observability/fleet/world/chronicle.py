"""One day of a world: readings and scores of all devices at once, then each device's own day."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from observability.fleet.world import noise
from observability.fleet.world.course import Course, Memory
from observability.fleet.world.episodes import NEEDED_FROM
from observability.fleet.world.event import Event
from observability.fleet.world.narrator import CHANCES, HEX, DeviceDay, Narrator
from observability.fleet.world.noise import SLOTS
from observability.fleet.world.physics import Block, instants, simulate
from observability.fleet.world.readings import TYPES
from observability.fleet.world.rollout import VERSIONS, running
from observability.fleet.world.sensing import demand, sensed


def happen(course: Course, number: int, memory: Memory) -> list[Event]:
    """All events that a block's decisions bring (later outcomes too), in no order; moves `memory` on."""
    factor = demand(course.fleet, course.troubles, course.epoch_s, instants(course.fleet, number))
    block = simulate(course.fleet, course.epoch_s, number, demand=factor)
    readings = sensed(course.fleet, course.troubles, block)
    events: list[Event] = []
    for type_ in TYPES:
        for day in _device_days(course, block, type_, readings[type_]):
            events.extend(Narrator(course, day).events(memory))
    return events


def _device_days(
    course: Course, block: Block, type_: str, readings: np.ndarray
) -> Iterator[DeviceDay]:
    """The block by device, as plain lists: per decision they are faster than arrays."""
    fleet, state, kind = course.fleet, block.distress[type_], TYPES.index(type_)
    count, path = len(fleet.devices), (kind, block.number)
    scores, versions = _scored(course, type_, block.decided_ns[type_], readings)
    people = noise.draw(fleet.seed, noise.PEOPLE, *path)
    chances = people.random((count, SLOTS, CHANCES))
    deviates = noise.draw(fleet.seed, noise.OUTCOMES, *path).standard_normal((count, SLOTS))
    width = SLOTS * 2 * HEX
    ids = noise.draw(fleet.seed, noise.IDS, *path).bytes(count * width // 2).hex()
    for at, device in enumerate(fleet.devices):
        yield DeviceDay(
            type=type_,
            device=device,
            at_s=block.at_s[:, at].tolist(),
            decided_ns=block.decided_ns[type_][:, at].tolist(),
            inputs=readings[:, at].tolist(),
            scores=scores[:, at].tolist(),
            versions=versions[:, at].tolist(),
            needed=(state.severity[:, at] > NEEDED_FROM).tolist(),
            onset_s=state.onset_s[:, at].tolist(),
            fails=state.fails[:, at].tolist(),
            tank_level=block.tank_level[:, at].tolist(),
            standby_ready=block.standby_ready[:, at].tolist(),
            chances=chances[at].tolist(),
            deviates=deviates[at].tolist(),
            ids=ids[at * width : (at + 1) * width],
        )


def _scored(
    course: Course, type_: str, decided_ns: np.ndarray, readings: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and the indices of the versions that gave them; each `(SLOTS, n_devices)`."""
    versions = running(course.fleet, type_, decided_ns, course.troubles, course.start, course.days)
    scores = np.empty(versions.shape)
    for at, version in enumerate(VERSIONS):
        chosen = versions == at
        if chosen.any():
            scores[chosen] = course.models[type_, version].score(readings[chosen])
    return scores, versions
