"""What the drift page reads, cached as in reads.py: inputs beside their baseline, and their troubles."""

from __future__ import annotations

import functools
from datetime import datetime, timedelta

import duckdb
import polars as pl
import streamlit as st

from observability.explain.attribution_drift import attribution_drift
from observability.explain.score_drift import ScoreDrift, score_drift
from observability.models.registry import RegisteredModel
from observability.monitor import baseline, drift, one_device
from observability.monitor.baseline import Baseline
from observability.monitor.one_device import OfDevice
from observability.monitor.triage import Trouble, triage, watch_all
from observability.monitor.watched import Watched
from observability.store import read_changes
from observability.store.location import Location
from observability.store.read import Window
from observability.store.read_drift import DecidedType
from observability.store.read_explained import Explained
from pages.reads import Commit, cursor, here, reading, types_of

_FORGET = "10m"
_BEFORE = timedelta(days=7)
"""How far back it is looked what a device ran before a change."""


def drift_over(window: Window, decided: DecidedType, model: str | None) -> drift.Drift:
    """How far a decision type's inputs lie from their baseline."""
    return _drift(here(), window, decided.decision_type, model)


def troubles(window: Window) -> tuple[tuple[Watched, ...], tuple[Trouble, ...]]:
    """The streams that are watched up to the window's end, and what is wrong with inputs within it."""
    return _troubles(here(), window)


def of_device(window: Window, device_id: str) -> OfDevice:
    """What drift says of one device."""
    return one_device.of_device(*troubles(window), device_id)


def changes_over(watched: Watched, window: Window, device: str | None) -> pl.DataFrame:
    """What was changed on devices (or one) while they are watched."""
    drift = watched.drift
    since = drift.starts[drift.after]
    looked_at = Window(since - _BEFORE, window.end)
    return _changes(here(), drift.decision_type, looked_at, since, device)


def groups_over(window: Window, decision_type: str) -> pl.DataFrame:
    """Where each device stands: device_id, site, firmware, model."""
    return _groups(here(), decision_type, window)


def score_drift_over(
    of: Explained, shown: drift.Drift, now: Window, device: str | None
) -> ScoreDrift | None:
    """What moved the scores since the baseline."""
    return _score_drift(here(), of, shown.baseline.last_at, now, device)


def attributions_watched(of: Explained, shown: drift.Drift, window: Window) -> Watched | None:
    """The attributions of a model by device and day; None where they cannot be watched."""
    baseline = Window(None, shown.baseline.last_at)
    return None if baseline.end is None else _attributions(here(), of, baseline, window.end)


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _changes(
    commit: Commit, decision_type: str, window: Window, since: datetime, device: str | None
) -> pl.DataFrame:
    with reading(commit) as con:
        return read_changes.changes(con, decision_type, window, since, device)


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _groups(commit: Commit, decision_type: str, window: Window) -> pl.DataFrame:
    with reading(commit) as con:
        return read_changes.groups(con, decision_type, window)


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _score_drift(
    commit: Commit, of: Explained, until: datetime | None, now: Window, device: str | None
) -> ScoreDrift | None:
    with reading(commit) as con:
        return score_drift(con, of, until, now, device)


@st.cache_resource(ttl=_FORGET, max_entries=8, show_spinner=False)
def _attributions(
    commit: Commit, of: Explained, baseline: Window, until: datetime | None
) -> Watched | None:
    with reading(commit) as con:
        return attribution_drift(con, of, baseline, until)


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _drift(commit: Commit, window: Window, decision_type: str, model: str | None) -> drift.Drift:
    decided = next(d for d in types_of(commit) if d.decision_type == decision_type)
    width = drift.width_for(decided.within(window), decided.devices)
    with reading(commit) as con:
        usual = _usual(con, commit.store, decided, width, model)
        return drift.drift(con, usual, decision_type, window, model)


@st.cache_resource(ttl=_FORGET, max_entries=8, show_spinner=False)
def _troubles(commit: Commit, window: Window) -> tuple[tuple[Watched, ...], tuple[Trouble, ...]]:
    """Evidence gathers from the baseline's end on, whatever part of that time is looked at."""
    with reading(commit) as con:
        usual = functools.partial(_usual, con, commit.store)
        watched = watch_all(con, types_of(commit), usual, window.end)
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
    return baseline.from_reference(cursor(store), model, width)


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _first_days(store: Location, decision_type: str, window: Window, width: timedelta) -> Baseline:
    """Frozen until forgotten: what of these days arrives late counts then."""
    return baseline.from_first_days(cursor(store), decision_type, window, width)
