"""What the page of explanations reads, cached like all reads: for each commit of the store."""

from __future__ import annotations

import streamlit as st

from observability.explain import drawn as sampled
from observability.explain.differences import Differences, differences
from observability.explain.drawn import Drawn
from observability.explain.importance import Importance, importance
from observability.models import registry
from observability.store import read_explained
from observability.store.read import Window
from observability.store.read_decisions import Filters
from observability.store.read_explained import Explained
from pages.reads import Commit, here, reading

_FORGET = "10m"


def everything() -> tuple[Explained, ...]:
    """What of the store is explained, the newest first."""
    return _everything(here())


def why_nothing() -> str:
    """Why a store that has decisions has no explanation, and what to do about it."""
    return _why_nothing(here())


def weights(of: Explained, window: Window) -> Importance | None:
    """How much each input weighs, over time; None where nothing is explained then."""
    return _weights(here(), of, window)


def drawn(of: Explained, window: Window, selection: Filters, at_most: int) -> Drawn:
    """A sample of the selected decisions."""
    return _drawn(here(), of, window, selection, at_most)


def apart(of: Explained, window: Window, selection: Filters) -> Differences:
    """What is different about the selected decisions."""
    return _apart(here(), of, window, selection)


@st.cache_data(ttl=_FORGET, max_entries=8, show_spinner=False)
def _everything(commit: Commit) -> tuple[Explained, ...]:
    with reading(commit) as con:
        return read_explained.explained(con)


@st.cache_data(ttl=_FORGET, max_entries=8, show_spinner=False)
def _why_nothing(commit: Commit) -> str:
    with reading(commit) as con:
        models = registry.registered(con, commit.store)
    if not models:
        return "No model is registered: `whence models add` makes decisions explainable."
    if not any(model.reference for model in models):
        return "No model has a reference: `whence models add --reference` gives it one."
    return (
        "The worker has not explained a decision of a registered model yet: "
        "it runs beside `whence serve` and `whence collect`."
    )


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _weights(commit: Commit, of: Explained, window: Window) -> Importance | None:
    with reading(commit) as con:
        return importance(con, of, window)


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _drawn(
    commit: Commit, of: Explained, window: Window, selection: Filters, at_most: int
) -> Drawn:
    with reading(commit) as con:
        return sampled.drawn(con, of, window, selection, at_most)


@st.cache_data(ttl=_FORGET, max_entries=32, show_spinner=False)
def _apart(commit: Commit, of: Explained, window: Window, selection: Filters) -> Differences:
    with reading(commit) as con:
        return differences(con, of, window, selection)
