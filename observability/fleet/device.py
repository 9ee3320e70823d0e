"""One replayed device: its recorder, its clock, its decision point and what it remembers.

The invariant: a decision sees what the device could see at its instant, and nothing later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import polars as pl

from observability.fleet import memory
from observability.fleet.link import ShipmentError
from observability.fleet.recorded import CONTEXT
from observability.fleet.spec import ReplaySpec
from observability.fleet.uplink import Uplink
from traces import ModelVersion, Outcome
from traces.decision import Scalar
from traces.device import Decided, DecisionPoint, RecordedClock, Recorder

Row = Mapping[str, Any]
_CHECKPOINT_EVERY_S = 24 * 3600.0


class ReplayedDevice:
    """Decides on recorded rows and records what turned out to be true; instants in nanoseconds UTC."""

    def __init__(
        self,
        spec: ReplaySpec,
        device_id: str,
        model: ModelVersion,
        predict: Callable[[Mapping[str, Any]], float],
        uplink: Uplink,
        first_ns: int,
    ) -> None:
        self._spec = spec
        self._clock = RecordedClock(first_ns, boot_id=f"replay-{device_id}")
        self._recorder = Recorder(
            device_id=device_id,
            service=spec.service,
            spool=uplink.spool(device_id, self._clock),
            resource=spec.resource,
            checkpoint_every_s=_CHECKPOINT_EVERY_S,
            clock=self._clock,
        )
        self._point = DecisionPoint(
            spec.decision_type,
            model=model,
            predict=predict,
            threshold=spec.model.threshold,
            actions=(spec.actions.fallback, spec.actions.act),
            gates=spec.gates,
            recorder=self._recorder,
        )
        self._memory = memory.begin(first_ns, spec.actions)

    def decide(self, row: Row, now_ns: int) -> Decided:
        """Decide on a row of recorded.py's frames. Raises ShipmentError where it could not be recorded."""
        self._clock.set(now_ns)
        decided = self._point.decide(
            {name: row[name] for name in self._spec.model.numeric},
            categoricals={name: row[name] for name in self._spec.model.categorical},
            context=self._context(row, now_ns),
        )
        if not decided.decision_id or decided.decision.recommendation is None:
            raise ShipmentError(
                f"a decision at {now_ns} not made or not recorded", "each", "the log says why"
            )
        self._memory = memory.remember(self._memory, decided.decision, self._spec.actions, now_ns)
        return decided

    def learn(self, decision_id: str, label: bool, known_ns: int) -> None:
        """Record what turned out to be true of an earlier decision. Raises ShipmentError likewise."""
        self._clock.set(known_ns)
        trace_id, _, span_id = decision_id.partition("-")
        truth = self._spec.label
        self._recorder.record_outcome(
            Outcome(
                trace_id=trace_id,
                span_id=span_id,
                label=truth.positive if label else truth.negative,
                value=float(label),
                source=truth.source,
                observed_unix_nano=known_ns,
            )
        )
        if self._recorder.failures:
            raise ShipmentError(
                f"an outcome of {decision_id} not recorded", "each", "the log says why"
            )

    def close(self) -> None:
        """Stop recording."""
        self._recorder.shutdown()

    def _context(self, row: Row, now_ns: int) -> Mapping[str, Scalar]:
        remembered = memory.recall(self._memory, self._spec.context, now_ns)
        values = {
            context.name: remembered.get(context.name, row.get(CONTEXT + context.name))
            for context in self._spec.context
        }
        return {name: value for name, value in values.items() if value is not None}


def rows(spec: ReplaySpec, frame: pl.DataFrame) -> Iterator[Row]:
    """The rows as devices take them: missing numbers are NaN, missing levels empty, times in ns."""
    return frame.with_columns(
        pl.col(spec.model.numeric).fill_null(float("nan")),
        pl.col("decided_at").dt.epoch("us") * 1000,
        pl.col("label_known_at").dt.epoch("us") * 1000,
        *(pl.col(name).fill_null("") for name in spec.model.categorical),
    ).iter_rows(named=True)
