"""What the pages read, cached: one connection for each store, results for each commit of it.

A cached result is keyed by the snapshot it was read at, so it is never stale, only forgotten.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import duckdb
import streamlit as st

from observability.explain.explain import explain
from observability.explain.explanation import Explanation
from observability.models.registry import RegisteredModel, find
from observability.store import lake, read_decisions, read_fleet, read_surroundings
from observability.store.read import Freshness, Window, freshness
from observability.store.read_decisions import Filters, Matching
from observability.store.read_fleet import Fleet
from observability.store.read_surroundings import Surroundings
from observability.store.stored import StoredDecision
from traces import ModelVersion

_FORGET = "10m"


def store() -> str:
    """The store that this process serves, as an absolute path."""
    return str(Path(os.environ.get("WHENCE_STORE") or "fleet").resolve())


def current() -> Freshness:
    """How current the store is. Raises StoreError where there is no store."""
    return _freshness(store(), _snapshot(store()))


def fleet_over(window: Window) -> Fleet:
    """The fleet over a window."""
    return _fleet(store(), _snapshot(store()), window.start, window.end)


def matching(filters: Filters) -> Matching:
    """The decisions that match."""
    return _matching(store(), _snapshot(store()), filters)


def choices() -> Mapping[str, tuple[str, ...]]:
    """The values that each filter can take."""
    return _choices(store(), _snapshot(store()))


def explanation(decision_id: str) -> Explanation | None:
    """Why the device did it; None where no such decision is stored."""
    return _explanation(store(), _snapshot(store()), decision_id)


def surroundings(stored: StoredDecision) -> Surroundings:
    """What lies around a stored decision."""
    return _surroundings(store(), _snapshot(store()), stored.decision_id, stored)


def model(version: ModelVersion) -> RegisteredModel | None:
    """The registered model of exactly this version; None where there is none."""
    return _model(store(), _snapshot(store()), version)


@st.cache_resource(max_entries=4, show_spinner=False)
def _connection(store: str) -> duckdb.DuckDBPyConnection:
    return lake.connect(store)


def _cursor(store: str) -> duckdb.DuckDBPyConnection:
    """A cursor of its own: threads that share one connection disturb each other."""
    cursor = _connection(store).cursor()
    cursor.execute("USE " + lake.ALIAS)
    cursor.execute("SET TimeZone = 'UTC'")
    return cursor


@st.cache_data(ttl=1, max_entries=8, show_spinner=False)
def _snapshot(store: str) -> int:
    return lake.snapshot_id(_cursor(store))


@st.cache_data(ttl=_FORGET, max_entries=8, show_spinner=False)
def _freshness(store: str, snapshot: int) -> Freshness:
    return freshness(_cursor(store))


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _fleet(store: str, snapshot: int, start: datetime | None, end: datetime | None) -> Fleet:
    return read_fleet.fleet(_cursor(store), Window(start, end))


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _matching(store: str, snapshot: int, filters: Filters) -> Matching:
    return read_decisions.matching(_cursor(store), filters)


@st.cache_data(ttl=_FORGET, max_entries=8, show_spinner=False)
def _choices(store: str, snapshot: int) -> Mapping[str, tuple[str, ...]]:
    return read_decisions.choices(_cursor(store))


@st.cache_data(ttl=_FORGET, max_entries=128, show_spinner=False)
def _explanation(store: str, snapshot: int, decision_id: str) -> Explanation | None:
    return explain(_cursor(store), Path(store), decision_id)


@st.cache_data(ttl=_FORGET, max_entries=128, show_spinner=False)
def _surroundings(
    store: str, snapshot: int, decision_id: str, _stored: StoredDecision
) -> Surroundings:
    return read_surroundings.surroundings(_cursor(store), _stored)


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _model(store: str, snapshot: int, version: ModelVersion) -> RegisteredModel | None:
    return find(_cursor(store), Path(store), version)
