"""Lets a simulated world live: its devices record and send, first its history and then its present.

The world prescribes what happens, with ids and times; recorder, spool and sender are the product's own.
An outage is one: the sender is not let through, and the spool holds what was decided meanwhile.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from opentelemetry.sdk.trace.id_generator import IdGenerator

from observability.fleet.link import Link, ShipmentError
from observability.fleet.uplink import Uplink
from observability.fleet.world.event import Event
from observability.fleet.world.world import World
from traces import Decision
from traces.decision import Scalar
from traces.device import RecordedClock, Recorder, Spool, keys

_UPLINK_EVERY_S = 900
_RECONNECT_NS = 20 * 10**9
_DAY_NS = 86400 * 10**9
_CHECKPOINT_EVERY_S = 6 * 3600.0
_LIVE_POLL_S = 1.0


class _Ids(IdGenerator):
    """The ids that the world prescribes for its events; all others, such as a checkpoint's, of a seed."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)  # noqa: S311 - the same for the same seed
        self._trace_id: int | None = None
        self._span_id: int | None = None

    def prescribe(self, event: Event) -> None:
        self._trace_id, self._span_id = int(event.trace_id, 16), int(event.span_id, 16)

    def generate_trace_id(self) -> int:
        given, self._trace_id = self._trace_id, None
        return self._random.getrandbits(128) if given is None else given

    def generate_span_id(self) -> int:
        given, self._span_id = self._span_id, None
        return self._random.getrandbits(64) if given is None else given


@dataclass(slots=True)
class _Device:
    clock: RecordedClock
    ids: _Ids
    resource: dict[str, Scalar]
    spool: Spool
    recorder: Recorder


class SimulatedFleet:
    """The devices of a world, with their spools below `folder`. Close it."""

    def __init__(self, world: World, link: Link, folder: Path) -> None:
        self._world, self._uplink = world, Uplink(link, folder)
        self._devices: dict[str, _Device] = {}

    def live_through(
        self, events: Iterable[Event], progress: Callable[[int], object]
    ) -> Counter[str]:
        """Record and send a world's history; returns counts by kind of event.

        It goes day by day, received each quarter of an hour; what an outage held back, when that ends.
        `progress` is told how many spans were acknowledged. Raises ShipmentError where some are not.
        """
        counts: Counter[str] = Counter()
        ends, held_back = self._stretches(), set[str]()
        for at, group in itertools.groupby(
            events, key=lambda event: bisect.bisect_right(ends, event.decided_at_ns)
        ):
            began_ns, end_ns = ends[at - 1], ends[at]
            cut_off = self._cut_off(began_ns)
            if held_back - cut_off:
                progress(self._uplink.send(began_ns + _RECONNECT_NS, cut_off))
            for event in group:
                self._record(event)
                counts["decisions" if isinstance(event.body, Decision) else "outcomes"] += 1
            progress(self._uplink.send(end_ns, cut_off, every_s=_UPLINK_EVERY_S))
            held_back = cut_off
        progress(self._uplink.finish())
        return counts

    def live_on(self, events: Iterator[Event]) -> Iterator[int]:
        """Record a world's present when it happens and send it; yields acknowledged spans. Endless."""
        pending = next(events)
        while True:
            now = time.time_ns()
            while pending.decided_at_ns <= now:
                self._record(pending)
                pending = next(events)
            self._uplink.send(None, self._cut_off(now))
            yield self._uplink.finish()
            time.sleep(_LIVE_POLL_S)

    def close(self) -> None:
        """Stop. What was not sent is lost with the spools' folder."""
        self._uplink.close()

    def _record(self, event: Event) -> None:
        device = self._device(event)
        device.clock.set(event.decided_at_ns)
        device.ids.prescribe(event)
        if isinstance(event.body, Decision):
            device.recorder.record(event.body, event.started_at_ns)
        else:
            device.recorder.record_outcome(event.body)
        if device.recorder.failures:
            raise ShipmentError(
                f"an event of {event.device_id} not recorded", "each", "the log says why"
            )

    def _device(self, event: Event) -> _Device:
        """The device, restarted where its firmware is another one since."""
        at = _instant(event.decided_at_ns)
        resource = dict(self._world.resource(event.device_id, at))
        device = self._devices.get(event.device_id)
        if device is None or device.resource != resource:
            device = self._started(event, resource, device)
            self._devices[event.device_id] = device
        return device

    def _started(
        self, event: Event, resource: dict[str, Scalar], before: _Device | None
    ) -> _Device:
        name = f"{self._world.seed}/{event.device_id}"
        clock = before.clock if before else RecordedClock(event.decided_at_ns, boot_id=name)
        ids = before.ids if before else _Ids(name)
        if before is None:
            spool = self._uplink.spool(event.device_id, clock)
            secret = hashlib.sha256(name.encode()).digest()
            keys.create(spool.folder, Ed25519PrivateKey.from_private_bytes(secret))
        else:
            spool = before.spool
            before.recorder.shutdown()
        recorder = Recorder(
            device_id=event.device_id,
            service="plant",
            spool=spool,
            resource=resource,
            clock=clock,
            ids=ids,
            checkpoint_every_s=_CHECKPOINT_EVERY_S,
        )
        return _Device(clock, ids, resource, spool, recorder)

    def _stretches(self) -> list[int]:
        """Where the days of the history begin and end, and where a network goes or comes back."""
        start, end = _ns(self._world.start), _ns(self._world.end)
        return sorted({*range(start, end, _DAY_NS), end, *map(_ns, self._world.network_changes())})

    def _cut_off(self, at_ns: int) -> set[str]:
        at = _instant(at_ns)
        return {name for name in self._devices if self._world.is_cut_off(name, at)}


def _instant(ns: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1000)


def _ns(at: datetime) -> int:
    return int(at.timestamp()) * 10**9
