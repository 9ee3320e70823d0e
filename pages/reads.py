"""What the pages read, cached: one connection for each store, results for each commit of it.

A cached result is keyed by the commit it was read at, so it is never stale, only forgotten.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import duckdb
import streamlit as st

from observability.explain.explain import explain
from observability.explain.explanation import Explanation
from observability.monitor.alerts import Alert, fold
from observability.monitor.cadence import Cadence, cadence
from observability.monitor.delivery import Webhook, webhooks
from observability.monitor.evaluation import Evaluation, evaluate
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
from observability.store.read_chains import Chains
from observability.store.read_decisions import Filters, Matching
from observability.store.read_device import Course, Known
from observability.store.read_drift import DecidedType
from observability.store.read_fleet import Fleet
from observability.store.read_health import Health
from observability.store.read_surroundings import Surroundings

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


def here() -> Commit:
    """The newest commit of the store that is shown. Raises StoreError where there is none."""
    return _commit(location_here())


def reading(commit: Commit) -> contextlib.AbstractContextManager[duckdb.DuckDBPyConnection]:
    """Several queries on one and the same commit."""
    return lake.reading(cursor(commit.store))


def current() -> Freshness:
    """How current the store is. Raises StoreError where there is no store."""
    return _freshness(here())


def fleet_over(window: Window) -> Fleet:
    """The fleet over a window."""
    return _fleet(here(), window)


def matching(filters: Filters) -> Matching:
    """The decisions that match."""
    return _matching(here(), filters)


def choices(window: Window) -> Mapping[str, tuple[str, ...]]:
    """The values that each filter can take in a window."""
    return _choices(here(), window)


def decided_types() -> tuple[DecidedType, ...]:
    """The decision types of the store, over all time."""
    return types_of(here())


def device(device_id: str, window: Window) -> Known | None:
    """A device as ever seen; None where it never decided."""
    return _device(here(), device_id, window)


def course(device_id: str, decision_type: str, window: Window) -> Course | None:
    """A device's decisions of one type over a window; None where there are none."""
    return _course(here(), device_id, decision_type, window)


def chains_of(device_id: str) -> tuple[Chains, str | None]:
    """A device's chains, and how its key came to be trusted."""
    return _chains_of(here(), device_id)


def missing(window: Window, now: datetime, device_id: str | None = None) -> Cadence:
    """Which decisions were due and are not here, as of this minute, of a device or of all."""
    return _missing(here(), window, now.replace(second=0, microsecond=0), device_id)


def health(window: Window) -> Health:
    """How what is shown arrived, over a window of receipts."""
    return _health(here(), window)


def alerts() -> tuple[Alert, ...]:
    """Every alert that was ever opened, by number."""
    return _alerts(here())


def evaluated() -> Evaluation:
    """What of the alerts does not agree with what is found now."""
    return _evaluated(here())


def undelivered() -> tuple[Webhook, ...]:
    """The webhooks that rules name, and what they have not taken."""
    return _webhooks(here())


def look_again() -> None:
    """Let what this reader just wrote be read at once."""
    _commit.clear()


def story(decision_id: str, versus: str) -> Story | None:
    """Why a device did what it did, and what lies around it; None where it is not stored.

    Raises WrongUse where `versus` is nothing to compare it with.
    """
    return _story(here(), decision_id, versus)


@st.cache_resource(max_entries=4, show_spinner=False)
def _connection(store: Location) -> duckdb.DuckDBPyConnection:
    con = lake.connect(store)
    lake.limit_memory(con, _MEMORY_MB)
    return con


def cursor(store: Location) -> duckdb.DuckDBPyConnection:
    """A cursor of its own: threads that share one connection disturb each other."""
    return lake.cursor(_connection(store))


@st.cache_data(ttl=1, max_entries=4, show_spinner=False)
def _commit(store: Location) -> Commit:
    return Commit(store, lake.snapshot_id(cursor(store)))


@st.cache_data(ttl=_FORGET, max_entries=8, show_spinner=False)
def _freshness(commit: Commit) -> Freshness:
    with reading(commit) as con:
        return read.freshness(con)


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _fleet(commit: Commit, window: Window) -> Fleet:
    with reading(commit) as con:
        return read_fleet.fleet(con, window)


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _matching(commit: Commit, filters: Filters) -> Matching:
    return read_decisions.matching(cursor(commit.store), filters)


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _choices(commit: Commit, window: Window) -> Mapping[str, tuple[str, ...]]:
    return read_decisions.choices(cursor(commit.store), window)


@st.cache_data(ttl=_FORGET, max_entries=8, show_spinner=False)
def types_of(commit: Commit) -> tuple[DecidedType, ...]:
    """The decision types of a commit, over all time."""
    return read_drift.decided_types(cursor(commit.store))


@st.cache_data(ttl=_FORGET, max_entries=64, show_spinner=False)
def _device(commit: Commit, device_id: str, window: Window) -> Known | None:
    with reading(commit) as con:
        return read_device.known(con, device_id, window)


@st.cache_data(ttl=_FORGET, max_entries=64, show_spinner=False)
def _course(commit: Commit, device_id: str, decision_type: str, window: Window) -> Course | None:
    seen = _device(commit, device_id, window)
    if seen is None:
        return None
    with lake.reading(cursor(commit.store)) as con:
        return read_device.course(con, seen, decision_type, window)


@st.cache_data(ttl=_FORGET, max_entries=64, show_spinner=False)
def _chains_of(commit: Commit, device_id: str) -> tuple[Chains, str | None]:
    with lake.reading(cursor(commit.store)) as con:
        return read_chains.chains(con, device_id), read_chains.key_trusted_by(con, device_id)


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _missing(commit: Commit, window: Window, now: datetime, device_id: str | None) -> Cadence:
    with reading(commit) as con:
        return cadence(con, window, now, device_id)


@st.cache_data(ttl=_FORGET, max_entries=16, show_spinner=False)
def _health(commit: Commit, window: Window) -> Health:
    with lake.reading(cursor(commit.store)) as con:
        return read_health.health(con, commit.store, window)


@st.cache_data(ttl=_FORGET, max_entries=8, show_spinner=False)
def _alerts(commit: Commit) -> tuple[Alert, ...]:
    return fold(read_alerts.events(cursor(commit.store)))


@st.cache_data(ttl=60, max_entries=8, show_spinner=False)
def _evaluated(commit: Commit) -> Evaluation:
    return evaluate(cursor(commit.store), commit.store)


@st.cache_data(ttl=60, max_entries=8, show_spinner=False)
def _webhooks(commit: Commit) -> tuple[Webhook, ...]:
    with lake.reading(cursor(commit.store)) as con:
        return webhooks(_alerts(commit), read_alerts.rules(con), lake.now(con))


@st.cache_data(ttl=_FORGET, max_entries=128, show_spinner=False)
def _story(commit: Commit, decision_id: str, versus: str) -> Story | None:
    with reading(commit) as con:
        explained = explain(con, commit.store, decision_id, versus)
        if explained is None:
            return None
        return Story(explained, read_surroundings.surroundings(con, explained.stored))
