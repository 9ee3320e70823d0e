"""What the pages read of outcomes, cached as in reads.py: gates, people, backtests and performance."""

from __future__ import annotations

from datetime import timedelta

import streamlit as st

from observability.monitor import backtest, performance, scorecard
from observability.monitor.backtest import Backtest, Change
from observability.monitor.performance import Performance
from observability.monitor.scorecard import Scorecard
from observability.store import read_gates
from observability.store.read import Window
from observability.store.read_drift import DecidedType
from observability.store.read_gates import Measured, Rule
from pages.reads import Commit, here, reading

_FORGET = "10m"
_WIDTHS = ((timedelta(days=14), timedelta(days=1)), (timedelta(days=182), timedelta(days=7)))
"""Up to how long a time is shown in stretches of which width; a longer one in four weeks each."""


def scorecard_over(window: Window) -> Scorecard:
    """What each gate and each person did for and against the fleet."""
    return _scorecard(here(), window)


def rules_over(window: Window) -> tuple[Rule, ...]:
    """The rule gates as they were last recorded."""
    return _rules(here(), window)


def measured_over(window: Window, decision_type: str) -> tuple[Measured, ...]:
    """What a new rule for a type could look at."""
    return _measured(here(), window, decision_type)


def backtest_over(window: Window, decision_type: str, change: Change) -> Backtest:
    """What a change of a gate would have done. Raises WrongUse."""
    return _backtest(here(), window, decision_type, change)


def performance_over(window: Window, decided: DecidedType) -> Performance:
    """How right a type's proposals were."""
    span = decided.within(window)
    width = next((width for longest, width in _WIDTHS if span <= longest), timedelta(days=28))
    return _performance(here(), window, decided.decision_type, width)


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _scorecard(commit: Commit, window: Window) -> Scorecard:
    with reading(commit) as con:
        return scorecard.scorecard(con, window)


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _rules(commit: Commit, window: Window) -> tuple[Rule, ...]:
    with reading(commit) as con:
        return read_gates.rules(con, window)


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _measured(commit: Commit, window: Window, decision_type: str) -> tuple[Measured, ...]:
    with reading(commit) as con:
        return read_gates.measured(con, decision_type, window)


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _backtest(commit: Commit, window: Window, decision_type: str, change: Change) -> Backtest:
    with reading(commit) as con:
        return backtest.backtest(con, decision_type, change, window)


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _performance(
    commit: Commit, window: Window, decision_type: str, width: timedelta
) -> Performance:
    with reading(commit) as con:
        return performance.performance(con, decision_type, window, width)
