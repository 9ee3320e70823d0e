"""A small fleet with a biased sensor, a stuck one, two in another unit, and a load that changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from observability.store.write import Writer
from tests.spans import batch, decision, decision_span

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS, EACH = 36, 24
DEVICES = tuple(f"pump-{n}" for n in range(1, 6))
USUAL = {
    "temperature": 60.0,
    "pressure": 5.0,
    "ambient": 20.0,
    "flow": 120.0,
    "speed": 1400.0,
    "current": 80.0,
}
SHIFTED, CONVERTED, LOADED = 24, 25, 26
STUCK = range(22 * EACH + 5, 25 * EACH + 5)

Change = Callable[[str, int, dict[str, float]], None]


def troubled(device: str, step: int, inputs: dict[str, float]) -> None:
    day = step // EACH
    if device == "pump-2" and day >= SHIFTED:
        inputs["temperature"] += 10
    if device == "pump-3" and step in STUCK:
        inputs["pressure"] = 5.3
    if device in {"pump-1", "pump-4"} and day >= CONVERTED:
        inputs["ambient"] = 1.8 * inputs["ambient"] + 32
    if device == "pump-5" and day >= LOADED:
        for name in ("flow", "speed", "current"):
            inputs[name] *= 1.3


def healthy(device: str, step: int, inputs: dict[str, float]) -> None:
    pass


def recorded(store: Path, change: Change, days: int = DAYS) -> Path:
    """Decisions every hour; sensors repeat themselves, day by day and within a day."""
    random = np.random.default_rng(1)
    with Writer(store) as writer:
        for device in DEVICES:
            drifts = dict.fromkeys(USUAL, 0.0)
            spans = []
            for step in range(days * EACH):
                drifts = {n: 0.8 * at + 0.6 * random.normal() for n, at in drifts.items()}
                inputs = {name: usual * (1 + 0.02 * drifts[name]) for name, usual in USUAL.items()}
                change(device, step, inputs)
                end = int((START + timedelta(hours=step)).timestamp()) * 10**9
                spans.append(
                    decision_span(
                        decision(inputs=inputs, categoricals={}),
                        start_time_unix_nano=end,
                        end_time_unix_nano=end,
                    )
                )
            writer.write(batch(*spans, device=device))
    return store
