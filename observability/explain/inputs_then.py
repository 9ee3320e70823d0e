"""How far a device's inputs had moved when it decided: its last days beside its model's reference."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb
import numpy as np

from observability.models.registry import RegisteredModel
from observability.monitor.baseline import Baseline, from_reference
from observability.monitor.drift import OWN_BASELINE
from observability.monitor.psi import psi
from observability.store.read_drift import Bins, Input
from observability.store.read_past import Past
from observability.store.stored import StoredDecision

LAST_DAYS = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class InputsThen:
    """The device's `decisions` from `first_at` to `last_at`, UTC: the 7 days before, at most its last 1,000.

    `psi` by input against `baseline_rows` of the reference: the device's own where `own`, else the
    fleet's. NaN where either has too few values, or the reference never saw the input vary.
    """

    psi: Mapping[str, float]
    decisions: int
    first_at: datetime | None
    last_at: datetime | None
    own: bool
    baseline_rows: int


def inputs_then(model: RegisteredModel, stored: StoredDecision, own: Past) -> InputsThen | None:
    """How far the inputs had moved; None where the model has no reference. `own` as `own_past` gives it."""
    if model.reference is None:
        return None
    baseline = _baseline(model)
    times = own.rows["decided_at"]
    recent = own.take((times > stored.decided_at - LAST_DAYS).to_numpy())
    cells = baseline.cube.cells
    of_device = (cells["device_id"] == stored.device_id).fill_null(False).to_numpy()
    is_own = cells.filter(of_device)["decisions"].sum() >= OWN_BASELINE
    chosen = of_device if is_own else np.ones(len(of_device), dtype=bool)
    usual = baseline.cube.counts[chosen].sum(axis=0)
    numbers = dict(zip(stored.decision.inputs, recent.numbers.T, strict=True))
    texts = dict(zip(stored.decision.categoricals, recent.texts.T, strict=True))
    found = {
        one.name: _psi(bins, counts, _values(one, numbers, texts))
        for one, bins, counts in zip(baseline.inputs, baseline.bins, usual, strict=True)
    }
    days = recent.rows["decided_at"].to_list()
    return InputsThen(
        psi=found,
        decisions=len(days),
        first_at=days[-1].astimezone(UTC) if days else None,
        last_at=days[0].astimezone(UTC) if days else None,
        own=is_own,
        baseline_rows=int(cells.filter(chosen)["decisions"].sum()),
    )


@functools.lru_cache(maxsize=8)
def _baseline(model: RegisteredModel) -> Baseline:
    """The baseline of a registered reference, whose path names its content."""
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        return from_reference(con, model)


def _values(
    one: Input, numbers: Mapping[str, np.ndarray], texts: Mapping[str, np.ndarray]
) -> np.ndarray:
    """One input's values as the bins count them: a level is its place from 1, behind them any other."""
    if not one.levels:
        return numbers.get(one.name, np.empty(0))
    place = {level: number + 1.0 for number, level in enumerate(one.levels)}
    said = [text for text in texts.get(one.name, ()) if text]
    return np.array([place.get(text, len(one.levels) + 1.0) for text in said])


def _psi(bins: Bins, usual: np.ndarray, values: np.ndarray) -> float:
    if bins.constant:
        return float("nan")
    counted = np.searchsorted(bins.edges, values[np.isfinite(values)])
    return float(psi(usual, np.bincount(counted, minlength=len(usual))))
