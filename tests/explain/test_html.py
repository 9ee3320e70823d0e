"""What a notebook shows of an explanation."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from observability import api
from observability.explain.explain import explain
from observability.explain.explanation import as_json
from traces.errors import WrongUse

EMPTY = {"br"}


class Read(HTMLParser):
    """The words and tags of a piece of HTML, which closes what it opens."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open += [] if tag in EMPTY else [tag]
        assert {name for name, _ in attrs} <= {"style"}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_a_notebook_shows_the_whole_explanation(con, plant) -> None:
    explained = api.explain(con, plant.ids["blocked"])
    again = api.explain(plant.store, plant.ids["blocked"])
    assert as_json(explained) == as_json(again)
    read = Read(explained._repr_html_())
    said = " ".join(read.words)
    assert set(read.tags) <= {"div", "p", "b", "br", "table", "tr", "th", "td"}
    for expected in (
        explained.sentence,
        "proposed ground, score 0.8",
        "sensor_plausible block",
        "binding, had it passed, the device would have acted",
        "T30",
        "Smallest change to ground",
        "Shares of the action fly",
        "Nearest past decisions",
        "Relative to 1,000 rows of sha256:",
        "Explains the model, not the cause.",
        "Correlated sensors share or swap credit.",
    ):
        assert expected in said, expected


def test_what_a_device_sends_is_shown_and_never_read_as_html(con, plant) -> None:
    explained = explain(con, plant.store, plant.ids["unknown model"])
    stored = replace(explained.stored, device_id='<script>alert("1")</script>')
    read = Read(replace(explained, stored=stored)._repr_html_())
    assert "script" not in read.tags
    assert '<script>alert("1")</script>' in "".join(read.words)
    assert "no model rul 9 is registered here" in "".join(read.words)


def test_a_connection_that_is_no_store_is_refused() -> None:
    import duckdb

    with duckdb.connect() as con, pytest.raises(WrongUse, match="found a connection to nothing"):
        api.explain(con, "x")
