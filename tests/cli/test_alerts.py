"""`whence alerts`: what stands, what people do about it, and the rules."""

from __future__ import annotations

import json
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from observability.monitor.alert_job import AlertJob
from observability.monitor.webhook import secret_path
from observability.store.person import person_here
from observability.store.write import Writer
from tests.monitor.test_alert_job import decided
from tests.spans import batch, rows


@pytest.fixture(scope="module")
def alarmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one alert."""
    store = tmp_path_factory.mktemp("alarmed") / "fleet"
    with Writer(store) as writer, closing(AlertJob(writer, threading.Event())) as alerting:
        writer.write(batch(decided(0)))
        list(alerting.steps())
    return store


def test_an_alert_is_listed_snoozed_and_resolved(whence: Any, alarmed: Path) -> None:
    status, out, _ = whence("alerts", "list", "--store", alarmed)
    assert (status, out.splitlines()[0]) == (0, "A-0001  Model guard 1.4.0 is unknown")
    assert "1 decision on 1 device in the 24 h before" in out and "; open\n" in out
    said = json.loads(
        whence("alerts", "snooze", "A-0001", "--for", "8h", "--store", alarmed, "--json")[1]
    )
    assert (said["state"], said["changed_by"]) == ("snoozed", person_here().name)
    done = whence("alerts", "resolve", "a-0001", "--reason", "a lab test", "--store", alarmed)
    assert f"resolved by {person_here().name}: a lab test" in done.out
    assert whence("alerts", "list", "--store", alarmed).out == "no alert stands; see --all\n"
    (kept,) = json.loads(whence("alerts", "list", "--all", "--json", "--store", alarmed).out)
    assert (kept["alert_id"], kept["state"], kept["evidence"]["devices"]) == (
        "A-0001",
        "resolved",
        1,
    )


def test_a_store_of_before_alerts_has_none_and_takes_rules(whence: Any, known: Path) -> None:
    assert whence("alerts", "list", "--store", known).out == "no alert was ever opened\n"
    assert whence("alerts", "rule", "reject", "--off", "--store", known).status == 0
    assert whence("alerts", "rule", "--store", known).out.startswith("reject: off; by ")


def test_a_rule_keeps_what_is_not_said_again(whence: Any, store: Path) -> None:
    assert whence("alerts", "rule", "--store", store).out == "no rule: every kind raises alerts\n"
    url = "https://hooks.example.org/team-of-ann/token"
    first = whence("alerts", "rule", "silent", "--threshold", "24", "--url", url, "--store", store)
    assert "silent: from 24 hours without a decision, tells hooks.example.org; by " in first.out
    assert (
        f"secret of webhooks: {secret_path(store)}" in first.out and "team-of-ann" not in first.out
    )
    off = whence("alerts", "rule", "silent", "--off", "--store", store, "--json")
    (rule,) = json.loads(off.out)
    assert (rule["enabled"], rule["threshold"], rule["url"]) == (False, 24.0, url)
    assert rows(store, "SELECT seq FROM alert_rules ORDER BY 1") == [(1,), (2,)]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["acknowledge", "A-0099"], "no alert 'A-0099'; expected one such as A-0001; hint: "),
        (["snooze", "A-0001", "--for", "soon"], "time 'soon'; expected such as 30m"),
        (["snooze", "A-0001", "--for", "40d"], "a snooze of 40 days"),
        (["resolve", "A-0001", "--reason", " "], "a reason of 0 characters"),
        (["rule", "noise", "--off"], "kind 'noise'; expected one of all, silent"),
        (["rule", "silent"], "a rule that says nothing"),
        (["rule", "--off"], "a rule without KIND"),
        (["rule", "all", "--threshold", "3"], "each kind has its own measure"),
        (["rule", "silent", "--threshold", "nan"], "threshold nan; expected a number of 0"),
        (["rule", "silent", "--url", "ftp://x/"], "webhook URL 'ftp://x/'"),
        (["rule", "silent", "--on", "--off"], "not allowed with argument"),
    ],
)
def test_wrong_use_is_one_line_and_writes_nothing(
    whence: Any, store: Path, arguments: list[str], found: str
) -> None:
    status, out, err = whence("alerts", *arguments, "--store", store)
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert found in err
    assert not [*(store / "data").rglob("alert*/*.parquet")]
