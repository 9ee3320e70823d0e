"""What every page is made of: header, sentence, tiles, mark-ups and the three ways of being empty."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import plotly.graph_objects as go
import polars as pl
import streamlit as st

from observability.store.read import Freshness
from observability.store.read_attention import Concern
from pages import time_range
from pages.format import clock, day, duration, plain

_ROWS_SHOWN = 18
_FIGURE_CONFIG = {"displayModeBar": False, "displaylogo": False, "showSendToCloud": False}


@dataclass(frozen=True, slots=True)
class Tile:
    """One number of a row of tiles: what, how much, and what it rests on."""

    label: str
    value: str
    basis: str = ""
    help: str = ""


@contextlib.contextmanager
def header(freshness: Freshness) -> Iterator[None]:
    """The line above every page: the page's own controls, drawn in the block, and the data's age."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        yield
        with st.container(
            horizontal=True,
            horizontal_alignment="right",
            vertical_alignment="center",
            width="stretch",
        ):
            st.caption(as_of(freshness), width="content")
            if not freshness.recorded:
                st.button("Refresh", key="refresh", type="tertiary")


def as_of(freshness: Freshness) -> str:
    """How old the data is, in words."""
    newest = freshness.newest_received_at
    if newest is None:
        return "no data received yet"
    if freshness.recorded:
        return f"recorded time · data as of {day(newest)} {clock(newest)}"
    wall = datetime.now(UTC)
    date = "" if wall.date() == newest.date() else f"{day(newest)} "
    behind = duration(freshness.behind_s(wall) or 0.0)
    return f"data as of {date}{clock(newest)}, {behind} behind"


def sentence(text: str) -> None:
    """The page's answer in words, as its heading."""
    st.title(plain(text), anchor=False)


def section(title: str, note: str = "") -> None:
    """A part's heading, with what it rests on beside it."""
    aside = f" :gray[{plain(note)}]" if note else ""
    st.header(plain(title) + aside, anchor=False)


def tiles(shown: Sequence[Tile]) -> None:
    """A row of numbers, each with its basis."""
    with st.grid(len(shown), min_column_width=150):
        for tile in shown:
            st.metric(
                tile.label,
                plain(tile.value),
                plain(tile.basis) or None,
                delta_color="off",
                delta_arrow="off",
                help=tile.help or None,
                border=True,
                height="stretch",
            )


def concern_list(concerns: Iterable[Concern], open_: Callable[[Concern], object]) -> None:
    """What needs attention; `open_` leads to a concern's decisions."""
    with st.container(border=True, gap="xsmall", key="attention"):
        for place, concern in enumerate(concerns):
            _concern(place, concern, open_)


def figure(drawn: go.Figure, *, alt: str, key: str) -> None:
    """A figure in the theme's colours, without a tool bar. `alt` says what it shows."""
    st.plotly_chart(drawn, config=_FIGURE_CONFIG, alt=alt, key=key)


def figure_over_time(drawn: go.Figure, *, alt: str, key: str) -> None:
    """A figure whose horizontal axis is time: drawing a box over it narrows the time range."""
    st.plotly_chart(
        drawn,
        config=_FIGURE_CONFIG,
        alt=alt,
        key=key,
        on_select=functools.partial(_narrow, key),
        selection_mode="box",
    )


def figure_to_press(
    drawn: go.Figure, *, alt: str, key: str, pressed: Callable[[int], object]
) -> None:
    """A figure of dots: a press on one calls `pressed` with the place of its trace."""
    st.plotly_chart(
        drawn,
        config=_FIGURE_CONFIG,
        alt=alt,
        key=key,
        on_select=functools.partial(_press, key, pressed),
        selection_mode="points",
    )


def facts(rows: Mapping[str, str], *, alt: str) -> None:
    """Names and values; the values are Markdown."""
    st.table(dict(rows), border="horizontal", alt=alt)


def listing(rows: Sequence[Mapping[str, str]], *, alt: str) -> None:
    """A small table, its cells Markdown, its columns those of the first row."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    st.table(columns, border="horizontal", hide_index=True, alt=alt)


def wide_listing(rows: Sequence[Mapping[str, str]], *, alt: str, key: str) -> None:
    """A table of plain texts with too many columns for a narrow screen: it scrolls, by keyboard too."""
    st.dataframe(pl.DataFrame(list(rows)), hide_index=True, height="content", alt=alt, key=key)


def grid(
    shown: pl.DataFrame,
    opens: tuple[str, str],
    columns: Mapping[str, Any],
    alt: str,
    *,
    key: str,
) -> int | None:
    """A long table; the row whose button in the column `opens` (name, label) was pressed, if any."""
    name, label = opens
    pressed = f"{key}_open"
    button = st.column_config.ButtonColumn(
        label, type="tertiary", alignment="left", pinned=True, key=pressed
    )
    st.dataframe(
        shown,
        hide_index=True,
        column_config={**columns, name: button},
        placeholder="–",
        height="content" if shown.height <= _ROWS_SHOWN else 640,
        alt=alt,
        key=key,
    )
    click = st.session_state.get(pressed)
    return None if click is None else click["row"]


def no_data(hint: str) -> None:
    """Nothing was ever received."""
    _empty("No decision was received yet.", hint)


def filtered_out(total_hint: str) -> None:
    """There is data, and none of it matches."""
    _empty("No decision matches.", total_hint)


def not_found(what: str, hint: str) -> None:
    """The thing asked for is not in this store."""
    _empty(f"{what} was not found.", hint)


def _narrow(key: str) -> None:
    boxes = st.session_state[key]["selection"]["box"]
    if boxes:
        time_range.narrow(*sorted(boxes[0]["x"]))


def _press(key: str, pressed: Callable[[int], object]) -> None:
    points = st.session_state[key]["selection"]["points"]
    if points:
        pressed(points[0]["curve_number"])


def _empty(what: str, hint: str) -> None:
    with st.container(border=True, horizontal_alignment="center", gap="xsmall", key="empty"):
        st.markdown(f"**{plain(what)}**", width="content")
        st.markdown(plain(hint), width="content")


def _concern(place: int, concern: Concern, open_: Callable[[Concern], object]) -> None:
    shape = ":red[■]" if concern.wrong else ":gray[□]"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f"{shape} **{plain(concern.title)}** — {plain(concern.reason)}", width="stretch"
        )
        if concern.filters and st.button("Decisions", key=f"concern_{place}", type="tertiary"):
            open_(concern)
