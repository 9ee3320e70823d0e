"""Decisions that were due and are not here, on the pages Data health and Device."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.monitor.test_cadence import write_fleet
from tests.pages.test_pages import words


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fleet(tmp_path_factory.mktemp("missing") / "fleet")


def test_health_says_what_was_due_and_what_became_of_it(open_page, fleet) -> None:
    app = open_page("health", fleet)
    assert not app.exception
    said = words(app)
    assert (
        "8 decisions were due and are not here**: 3 never made, 2 made and not received yet, "
        "2 dropped on the device, 1 of unknown cause" in said
    )
    assert "Nothing is expected of 2 streams" in said
    rows = app.dataframe[0].value
    assert rows["why"].to_list()[:2] == ["made, dropped on the device", "made, not received yet"]
    assert rows["decisions"].to_list() == [2, 2, 1, 3]


def test_a_device_says_its_cadence_and_what_of_it_is_not_here(open_page, fleet) -> None:
    app = open_page("device", fleet, id="pump-2")
    assert not app.exception
    said = words(app)
    assert "pump.stop every 1 min (98.3 % of 58 gaps regular)" in said
    assert "1 decision was due and is not here**: 1 of unknown cause" in said


def test_where_nobody_decides_regularly_nothing_is_said_to_be_missing(open_page, fleet) -> None:
    app = open_page("device", fleet, id="pump-3")
    assert "it decides at no regular times" in words(app)
