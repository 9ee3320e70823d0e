"""The past decisions most like one: what was done then, and what came of it.

Owns what is kept in memory: the newest 50,000 decisions of a type, model version and layout, read once
and extended by what has arrived since.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb
import numpy as np
import polars as pl

from observability.explain.nearest import nearest
from observability.explain.usual import UNKNOWN, UsualRange
from observability.store import lake
from observability.store.location import Store, location_of
from observability.store.read_past import (
    NEWEST_DECISIONS,
    Past,
    newest_labels,
    newest_past,
    past_since,
)
from observability.store.stored import StoredDecision

NAMED = 5
KEPT_VERSIONS = 4
OVERLAP = timedelta(minutes=10)
"""A commit may hold what was received before something that is stored already, but not longer before."""


@dataclass(frozen=True, slots=True)
class PastDecision:
    """An earlier decision; `distance` in IQRs of the device explained, `label` None where none is known.

    Its label is the last that is known now; `decided_at` UTC.
    """

    decision_id: str
    device_id: str
    decided_at: datetime
    distance: float
    action: str
    disposition: str
    label: str | None


@dataclass(frozen=True, slots=True)
class NearestPast:
    """The past decisions nearest in every input, nearest first, `among` those made before and known then.

    They were decided from `first_at` to `last_at`, UTC, None where there are none. Looked at are only
    the `newest` of the type and model version in the store, which begin at `newest_from`.
    """

    decisions: tuple[PastDecision, ...]
    among: int
    first_at: datetime | None
    last_at: datetime | None
    newest: int
    newest_from: datetime | None

    @property
    def is_older(self) -> bool:
        """Whether the decision was made before all that is looked at, so that nothing can be said."""
        return self.among == 0 and self.newest >= NEWEST_DECISIONS


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """Past decisions by time, with their times in us since 1970 and a number for each text.

    `numbers` is column-major, categoricals behind the numbers; `levels` gives a text its number.
    """

    past: Past
    decided_us: np.ndarray
    received_us: np.ndarray
    columns: np.ndarray
    levels: Mapping[str, float]
    commit: int

    @property
    def known_to(self) -> datetime:
        """When the newest of them was received, UTC."""
        return _at(int(self.received_us.max(initial=0)))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNSEEN = -1.0
"""Stands for a text that no past decision has."""
_kept: OrderedDict[tuple[str, ...], _Kept] = OrderedDict()
_lock = threading.Lock()


def nearest_past(
    con: duckdb.DuckDBPyConnection,
    store: Store,
    stored: StoredDecision,
    usual: Mapping[str, UsualRange],
) -> NearestPast:
    """The past decisions most like a stored one, in the IQRs of `usual`, by input."""
    kept = _newest(con, store, stored)
    before = int(np.searchsorted(kept.decided_us, _us(stored.decided_at)))
    known = kept.received_us[:before] <= _us(stored.received_at)
    places = np.arange(before) if known.all() else np.flatnonzero(known)
    columns = kept.columns[:before] if known.all() else kept.columns[places]
    found = nearest(columns, *_row(kept, stored, usual), NAMED)
    chosen = kept.past.rows[places[found.indices]]
    labels = newest_labels(con, chosen["decision_id"].to_list())
    return NearestPast(
        decisions=tuple(
            PastDecision(
                row["decision_id"],
                row["device_id"],
                row["decided_at"].astimezone(UTC),
                float(distance),
                row["action"],
                row["disposition"],
                labels.get((row["device_id"], row["decision_id"])),
            )
            for row, distance in zip(chosen.iter_rows(named=True), found.distances, strict=True)
        ),
        among=len(places),
        first_at=_at(int(kept.decided_us[places[0]])) if len(places) else None,
        last_at=_at(int(kept.decided_us[places[-1]])) if len(places) else None,
        newest=len(kept.decided_us),
        newest_from=_at(int(kept.decided_us[0])) if len(kept.decided_us) else None,
    )


def _row(
    kept: _Kept, stored: StoredDecision, usual: Mapping[str, UsualRange]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The decision's own row, the IQR of each input, and which are categorical; shapes `(n_columns,)`."""
    numbers, texts = stored.decision.inputs, stored.decision.categoricals.values()
    levels = [kept.levels.get(text, _UNSEEN) if text else np.nan for text in texts]
    iqrs = [usual.get(name, UNKNOWN).iqr for name in numbers]
    categorical = np.arange(len(numbers) + len(levels)) >= len(numbers)
    return (
        np.array([*numbers.values(), *levels]),
        np.array([*iqrs, *(np.nan for _ in levels)]),
        categorical,
    )


def _newest(con: duckdb.DuckDBPyConnection, store: Store, stored: StoredDecision) -> _Kept:
    """The newest decisions like one, up to what was received with it."""
    model = stored.decision.model
    where = str(location_of(store))
    key = (where, stored.decision.type, model.name, model.version, stored.layout_id)
    with _lock:
        kept, commit = _kept.get(key), lake.snapshot_id(con)
        if kept is None:
            kept = _ordered(newest_past(con, stored), commit)
        elif kept.commit != commit and stored.received_at > (since := kept.known_to - OVERLAP):
            kept = _ordered(_joined(kept.past, past_since(con, stored, since)), commit)
        _kept[key] = kept
        _kept.move_to_end(key)
        while len(_kept) > KEPT_VERSIONS:
            _kept.popitem(last=False)
        return kept


def _joined(held: Past, new: Past) -> Past:
    rows = pl.concat([held.rows, new.rows])
    first = rows.select(pl.struct("device_id", "decision_id").is_first_distinct()).to_series()
    both = Past(
        rows,
        np.concatenate([held.numbers, new.numbers]),
        np.concatenate([held.texts, new.texts]),
    )
    return both.take(first.to_numpy())


def _ordered(past: Past, commit: int) -> _Kept:
    """The newest of them, by time."""
    order = past.rows.select(pl.arg_sort_by("decided_at", "decision_id")).to_series().to_numpy()
    past = past.take(order[-NEWEST_DECISIONS:].astype(np.intp))
    known = sorted({text for column in past.texts.T for text in column.tolist() if text})
    levels = {text: float(number) for number, text in enumerate(known)}
    texts = [[levels.get(text, np.nan) for text in column.tolist()] for column in past.texts.T]
    columns = np.asfortranarray(np.column_stack([past.numbers, *map(np.array, texts)]))
    times = [past.rows[name].dt.epoch("us").to_numpy() for name in ("decided_at", "received_at")]
    return _Kept(past, times[0], times[1], columns, levels, commit)


def _us(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _at(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)
