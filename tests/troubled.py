"""A small fleet with a biased sensor, a stuck one, two in another unit, and a load that changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from observability.store import lake
from observability.store.append import append
from observability.store.read import frame
from observability.store.schema import arrow_table
from observability.store.write import Writer
from tests.spans import MODEL, batch, decision, decision_span

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

SPEC = "sha256:" + "b" * 64
BASE = -1.0
_INPUTS = "SELECT device_id, decision_id, decision_type, decided_at, inputs FROM decisions"

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


def explained(store: Path) -> Path:
    """Attributions of every decision: of a linear model, to which each input counts in per cent.

    Most of all temperature, ambient not at all.
    """
    with lake.connect(store) as con:
        rows = frame(con, _INPUTS)
        names = [str(name) for name in frame(con, "SELECT names FROM layouts")["names"][0]]
    usual = np.array([USUAL[name] for name in names])
    weights = np.array([{"temperature": 5, "ambient": 0}.get(name, 1) for name in names])
    phi = 100 * weights * (np.array(rows["inputs"].to_list()) / usual - 1)
    written = [
        {
            **row, "spec_id": SPEC, "phi": parts, "se": [], "base": BASE, "output": BASE + sum(parts),
            "residual": 0.0, "weight": 1.0, "status": "ok",
        }
        for row, parts in zip(rows.drop("inputs").to_dicts(), phi.tolist(), strict=True)
    ]  # fmt: skip
    spec = {
        "spec_id": SPEC, "model_digest": MODEL.digest, "artifact": "onnx", "output": "margin",
        "link": "logit", "algorithm": "exact", "library": "numpy 2", "features": names,
        "reference_id": "sha256:" + "d" * 64, "background_rows": 1000, "background_seed": 0,
        "background_from": START, "background_to": START + timedelta(days=1),
    }  # fmt: skip
    append(
        store,
        {
            "specs": arrow_table("specs", [spec]),
            "attributions": arrow_table("attributions", written),
        },
    )
    return store
