"""Recorded time: decisions and outcomes of a whole fleet, in the order in which they happened.

The invariant: an outcome is recorded at the instant from which on it could be known, never before,
and a device's clock stands at the event in hand.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from observability.fleet.device import ReplayedDevice, Row
from observability.fleet.spec import ReplaySpec
from observability.fleet.uplink import Uplink
from traces import Decision, ModelVersion

SENT_TOGETHER = 512
"""Spans that the fleet records before it sends them."""


@dataclass(slots=True)
class Counts:
    """What happened, counted while it does."""

    decisions: int = 0
    outcomes: int = 0
    dispositions: Counter[str] = field(default_factory=Counter)
    blocked_by: Counter[str] = field(default_factory=Counter)

    def add(self, decision: Decision) -> None:
        """Count a decision."""
        self.decisions += 1
        self.dispositions[decision.disposition] += 1
        self.blocked_by.update(gate.name for gate in decision.gates if gate.verdict == "block")


@dataclass(order=True, frozen=True, slots=True)
class _Truth:
    """What will turn out to be true, ordered by when."""

    known_ns: int
    number: int
    device: ReplayedDevice = field(compare=False)
    decision_id: str = field(compare=False)
    label: bool = field(compare=False)


class Timeline:
    """Lives through recorded time; `passed` is called after each event."""

    def __init__(
        self,
        spec: ReplaySpec,
        model: ModelVersion,
        uplink: Uplink,
        passed: Callable[[], object] = lambda: None,
    ) -> None:
        self.counts = Counts()
        self._spec, self._model = spec, model
        self._uplink, self._passed = uplink, passed
        self._pending = 0
        self._devices: dict[str, ReplayedDevice] = {}
        self._ahead: list[_Truth] = []
        self._score = float("nan")
        self._now_ns = 0

    def live(self, scored: Iterable[tuple[Row, float]]) -> None:
        """Decide on each row, in order of time, with its score; returns when all is acknowledged.

        Raises ShipmentError.
        """
        for number, (row, score) in enumerate(scored):
            self._learn(row["decided_at"])
            self._decide(number, row, score)
        self._learn(None)
        for device in self._devices.values():
            device.close()
        self._uplink.send(self._now_ns)
        self._uplink.finish()

    def _decide(self, number: int, row: Row, score: float) -> None:
        now_ns, device_id = row["decided_at"], row["device_id"]
        device = self._devices.get(device_id)
        if device is None:
            device = ReplayedDevice(
                self._spec, device_id, self._model, self._predict, self._uplink, now_ns
            )
            self._devices[device_id] = device
        self._score = score
        decided = device.decide(row, now_ns)
        self.counts.add(decided.decision)
        if row["label"] is not None:
            truth = _Truth(row["label_known_at"], number, device, decided.decision_id, row["label"])
            heapq.heappush(self._ahead, truth)
        self._after(now_ns)

    def _predict(self, inputs: Mapping[str, Any]) -> float:  # noqa: ARG002 - they are the row in hand
        """The model's score of the row in hand: computed before, for all rows in one call."""
        return self._score

    def _learn(self, until_ns: int | None) -> None:
        """Record what has become known by an instant; None: all that ever will."""
        while self._ahead and (until_ns is None or self._ahead[0].known_ns <= until_ns):
            truth = heapq.heappop(self._ahead)
            truth.device.learn(truth.decision_id, truth.label, truth.known_ns)
            self.counts.outcomes += 1
            self._after(truth.known_ns)

    def _after(self, now_ns: int) -> None:
        self._now_ns = now_ns
        self._pending += 1
        if self._pending >= SENT_TOGETHER:
            self._uplink.send(now_ns)
            self._pending = 0
        self._passed()
