"""What the pages read, cached: one connection for each store, results for each commit of it.

A cached result is keyed by the commit it was read at, so it is never stale, only forgotten.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import duckdb
import streamlit as st

from observability.explain.explain import explain
from observability.explain.explanation import Attributions, Explanation
from observability.models.registry import RegisteredModel
from observability.monitor import baseline, drift
from observability.monitor.alerts import Alert, fold
from observability.monitor.baseline import Baseline
from observability.monitor.delivery import Webhook, webhooks
from observability.monitor.evaluation import Evaluation, evaluate
from observability.monitor.triage import Trouble, triage, watch_all
from observability.monitor.watched import Watched
from observability.store import (
    lake,
    read,
    read_alerts,
    read_chains,
    read_decisions,
    read_device,
    read_drift,
    read_fleet,
    read_health,
    read_surroundings,
)
from observability.store.location import Location, location_here
from observability.store.read import Freshness, Window
from observability.store.read_chains import Chains, Place
from observability.store.read_decisions import Filters, Matching
from observability.store.read_device import Course, Known
from observability.store.read_drift import DecidedType
from observability.store.read_fleet import Fleet
from observability.store.read_health import Health
from observability.store.read_surroundings import InputRow, Surroundings

_FORGET = "10m"
_MEMORY_MB = 2048


@dataclass(frozen=True, slots=True)
class Commit:
    """A store as it was after one commit."""

    store: Location
    snapshot: int


@dataclass(frozen=True, slots=True)
class Story:
    """All that the decision page shows."""

    explanation: Explanation
    around: Surroundings
    inputs: tuple[InputRow, ...]
    place: Place | None

    @property
    def units(self) -> Mapping[str, str]:
        """The unit of each input, as its model's features state it."""
        return _by_feature(self.explanation.attributions, "units")

    @property
    def link(self) -> str | None:
        """The unit of what each input pushed; None where that is not to be shown."""
        parts = self.explanation.attributions
        return parts.spec.link if parts is not None and parts.adds_up else None


def here() -> Commit:
    """The newest commit of the store that is shown. Raises StoreError where there is none."""
    return _commit(location_here())


def reading(commit: Commit) -> contextlib.AbstractContextManager[duckdb.DuckDBPyConnection]:
    """Several queries on one and the same commit."""
    return lake.reading(_cursor(commit.store))


def current() -> Freshness:
    """How current the store is. Raises StoreError where there is no store."""
    return _freshness(_commit(location_here()))


def fleet_over(window: Window) -> Fleet:
    """The fleet over a window."""
    return _fleet(_commit(location_here()), window)


def matching(filters: Filters) -> Matching:
    """The decisions that match."""
    return _matching(_commit(location_here()), filters)


def choices(window: Window) -> Mapping[str, tuple[str, ...]]:
    """The values that each filter can take in a window."""
    return _choices(_commit(location_here()), window)


def decided_types() -> tuple[DecidedType, ...]:
    """The decision types of the store, over all time."""
    return _decided_types(_commit(location_here()))


def drift_over(window: Window, decided: DecidedType, model: str | None) -> drift.Drift:
    """How far a decision type's inputs lie from their baseline."""
    return _drift(_commit(location_here()), window, decided.decision_type, model)


def troubles(window: Window) -> tuple[tuple[Watched, ...], tuple[Trouble, ...]]:
    """The streams that are watched up to the window's end, and what is wrong with inputs within it."""
    return _troubles(_commit(location_here()), window)


def device(device_id: str, window: Window) -> Known | None:
    """A device as ever seen; None where it never decided."""
    return _device(_commit(location_here()), device_id, window)


def course(device_id: str, decision_type: str, window: Window) -> Course | None:
    """A device's decisions of one type over a window; None where there are none."""
    return _course(_commit(location_here()), device_id, decision_type, window)


def chains_of(device_id: str) -> tuple[Chains, str | None]:
    """A device's chains, and how its key came to be trusted."""
    return _chains_of(_commit(location_here()), device_id)


def health(window: Window) -> Health:
    """How what is shown arrived, over a window of receipts."""
    return _health(_commit(location_here()), window)


def alerts() -> tuple[Alert, ...]:
    """Every alert that was ever opened, by number."""
    return _alerts(_commit(location_here()))


def evaluated() -> Evaluation:
    """What of the alerts does not agree with what is found now."""
    return _evaluated(_commit(location_here()))


def undelivered() -> tuple[Webhook, ...]:
    """The webhooks that rules name, and what they have not taken."""
    return _webhooks(_commit(location_here()))


def look_again() -> None:
    """Let what this reader just wrote be read at once."""
    _commit.clear()


def story(decision_id: str) -> Story | None:
    """Why a device did what it did, and what lies around it; None where it is not stored."""
    return _story(_commit(location_here()), decision_id)


@st.cache_resource(max_entries=4, show_spinner=False)
def _connection(store: Location) -> duckdb.DuckDBPyConnection:
    con = lake.connect(store)
    lake.limit_memory(con, _MEMORY_MB)
    return con


def _cursor(store: Location) -> duckdb.DuckDBPyConnection:
    """A cursor of its own: threads that share one connection disturb each other."""
    return lake.cursor(_connection(store))


@st.cache_data(ttl=1, max_entries=4, show_spinner=False)
def _commit(store: Location) -> Commit:
    return Commit(store, lake.snapshot_id(_cursor(store)))


@st.cache_data(ttl=_FORGET, max_entries=8, show_spinner=False)
def _freshness(commit: Commit) -> Freshness:
    return read.freshness(_cursor(commit.store))


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _fleet(commit: Commit, window: Window) -> Fleet:
    return read_fleet.fleet(_cursor(commit.store), window)


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _matching(commit: Commit, filters: Filters) -> Matching:
    return read_decisions.matching(_cursor(commit.store), filters)


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _choices(commit: Commit, window: Window) -> Mapping[str, tuple[str, ...]]:
    return read_decisions.choices(_cursor(commit.store), window)


@st.cache_data(ttl=_FORGET, max_entries=8, show_spinner=False)
def _decided_types(commit: Commit) -> tuple[DecidedType, ...]:
    return read_drift.decided_types(_cursor(commit.store))


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _drift(commit: Commit, window: Window, decision_type: str, model: str | None) -> drift.Drift:
    decided = next(d for d in _decided_types(commit) if d.decision_type == decision_type)
    width = drift.width_for(decided.within(window), decided.devices)
    with lake.reading(_cursor(commit.store)) as con:
        usual = _usual(con, commit.store, decided, width, model)
        return drift.drift(con, usual, decision_type, window, model)


@st.cache_resource(ttl=_FORGET, max_entries=8, show_spinner=False)
def _troubles(commit: Commit, window: Window) -> tuple[tuple[Watched, ...], tuple[Trouble, ...]]:
    """Evidence gathers from the baseline's end on, whatever part of that time is looked at."""
    with lake.reading(_cursor(commit.store)) as con:
        usual = functools.partial(_usual, con, commit.store)
        watched = watch_all(con, _decided_types(commit), usual, window.end)
        found = triage(con, watched)
    return watched, tuple(each for each in found if each.within(window))


def _usual(
    con: duckdb.DuckDBPyConnection,
    store: Location,
    decided: DecidedType,
    width: timedelta,
    model: str | None = None,
) -> Baseline:
    known = baseline.reference_of(con, store, decided, model)
    if known is None:
        return _first_days(store, decided.decision_type, baseline.first_days(decided), width)
    return _reference(store, known, width)


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _reference(store: Location, model: RegisteredModel, width: timedelta) -> Baseline:
    """Frozen: no commit changes a reference."""
    return baseline.from_reference(_cursor(store), model, width)


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _first_days(store: Location, decision_type: str, window: Window, width: timedelta) -> Baseline:
    """Frozen until forgotten: what of these days arrives late counts then."""
    return baseline.from_first_days(_cursor(store), decision_type, window, width)


@st.cache_data(ttl=_FORGET, max_entries=64, show_spinner=False)
def _device(commit: Commit, device_id: str, window: Window) -> Known | None:
    return read_device.known(_cursor(commit.store), device_id, window)


@st.cache_data(ttl=_FORGET, max_entries=64, show_spinner=False)
def _course(commit: Commit, device_id: str, decision_type: str, window: Window) -> Course | None:
    seen = _device(commit, device_id, window)
    if seen is None:
        return None
    with lake.reading(_cursor(commit.store)) as con:
        return read_device.course(con, seen, decision_type, window)


@st.cache_data(ttl=_FORGET, max_entries=64, show_spinner=False)
def _chains_of(commit: Commit, device_id: str) -> tuple[Chains, str | None]:
    with lake.reading(_cursor(commit.store)) as con:
        return read_chains.chains(con, device_id), read_chains.key_trusted_by(con, device_id)


@st.cache_data(ttl=_FORGET, max_entries=16, show_spinner=False)
def _health(commit: Commit, window: Window) -> Health:
    with lake.reading(_cursor(commit.store)) as con:
        return read_health.health(con, commit.store, window)


@st.cache_data(ttl=_FORGET, max_entries=8, show_spinner=False)
def _alerts(commit: Commit) -> tuple[Alert, ...]:
    return fold(read_alerts.events(_cursor(commit.store)))


@st.cache_data(ttl=60, max_entries=8, show_spinner=False)
def _evaluated(commit: Commit) -> Evaluation:
    return evaluate(_cursor(commit.store))


@st.cache_data(ttl=60, max_entries=8, show_spinner=False)
def _webhooks(commit: Commit) -> tuple[Webhook, ...]:
    with lake.reading(_cursor(commit.store)) as con:
        return webhooks(_alerts(commit), read_alerts.rules(con), lake.now(con))


@st.cache_data(ttl=_FORGET, max_entries=128, show_spinner=False)
def _story(commit: Commit, decision_id: str) -> Story | None:
    with lake.reading(_cursor(commit.store)) as con:
        explained = explain(con, commit.store, decision_id)
        if explained is None:
            return None
        stored = explained.stored
        around = read_surroundings.surroundings(con, stored)
        place = read_chains.place(con, stored.device_id, stored.decision.chain)
    parts = explained.attributions
    units = _by_feature(parts, "units")
    pushed = _by_feature(parts if parts and parts.adds_up else None, "phi")
    rows = read_surroundings.input_rows(stored.decision, around.usual, units, pushed)
    return Story(explained, around, rows, place)


def _by_feature(parts: Attributions | None, name: Literal["units", "phi"]) -> dict[str, Any]:
    return (
        {} if parts is None else dict(zip(parts.spec.features, getattr(parts, name), strict=True))
    )
