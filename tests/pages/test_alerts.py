"""The page of alerts: its first line, what a person can do, and what it says when nobody keeps the list."""

from __future__ import annotations

import shutil
import threading
from contextlib import closing
from pathlib import Path

import pytest

from observability.monitor import alert_job
from observability.monitor.alert_job import AlertJob
from observability.monitor.alert_rules import set_rule
from observability.store.person import Person, person_here
from observability.store.write import Writer
from tests.monitor.hooks import hook
from tests.monitor.test_alert_job import decided
from tests.pages.test_pages import title, words
from tests.spans import batch, rows


@pytest.fixture(scope="module")
def alarmed(tmp_path_factory: pytest.TempPathFactory, _made_once: Path) -> Path:
    """A store of real time: one device is silent, one runs an unknown model, a webhook does not answer."""
    store = shutil.copytree(_made_once, tmp_path_factory.mktemp("alarmed") / "fleet")
    with hook() as gone:
        set_rule(store, "silent", Person("ann"), url=gone.url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alert_job, "_LISTEN_FIRST_S", 0.0)
        with Writer(store) as writer, closing(AlertJob(writer, threading.Event())) as alerting:
            writer.write(batch(*(decided(2 * 86400 + 10 * step) for step in range(6))))
            writer.write(batch(decided(0), device="pump-08"))
            list(alerting.steps())
    return store


def test_the_first_line_says_how_many_stand_and_which_for_longest(open_page, alarmed) -> None:
    app = open_page("alerts", alarmed)
    assert not app.exception
    assert title(app) == "2 alerts stand; the oldest for 2.00\u202fd: Device pump-07 is silent"
    said = words(app)
    assert "nothing is found that is not listed" in said
    assert "1 decision on 1 device in the 24 h before" in said
    assert "nobody looks after it" in said


def test_a_person_acknowledges_snoozes_and_resolves(open_page, alarmed, tmp_path: Path) -> None:
    app = open_page("alerts", Path(shutil.copytree(alarmed, tmp_path / "fleet")))
    app.button(key="ack_A-0001").click().run()
    assert title(app).startswith("2 alerts stand, 1 acknowledged; the oldest")
    app.button(key="snooze_A-0001_8 h").click().run()
    assert title(app).endswith("; 1 alert snoozed")
    app.button(key="FormSubmitter:resolving_A-0002-Resolve").click().run()
    assert "found a reason of 0 characters; expected 1 to 500" in words(app)
    app.text_input(key="reason_A-0002").input("registered it")
    app.button(key="FormSubmitter:resolving_A-0002-Resolve").click().run()
    assert not app.exception
    assert title(app) == "No alert stands; 1 alert snoozed"
    assert "registered it" in words(app) and "A-0002 resolved by" in words(app)
    who = rows(
        tmp_path / "fleet", "SELECT DISTINCT actor FROM alerts WHERE identity = 'unverified'"
    )
    assert who == [(person_here().name,)]


def test_a_list_that_nobody_keeps_says_so(open_page, store: Path) -> None:
    with Writer(store) as writer:
        writer.write(batch(decided(0)))
    app = open_page("alerts", store)
    assert title(app) == "No alert was ever opened"
    assert "1 change found at" in words(app) and "waits to be listed" in words(app)


def test_the_health_page_says_in_a_line_who_was_not_told_and_why(open_page, alarmed) -> None:
    said = words(open_page("health", alarmed))
    assert "1 event of alerts waits for 127.0.0.1:" in said
    assert "no answer from 127.0.0.1:" in said


def test_an_empty_store_and_one_of_recorded_time_have_their_own_words(
    open_page, empty, seeded
) -> None:
    assert "No alert yet." in words(open_page("alerts", empty))
    app = open_page("alerts", seeded.store)
    assert not app.exception
    assert "recorded time" in words(app)
