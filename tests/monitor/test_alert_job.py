"""Alerts beside the receiver: found, told to a real service however it behaves, answered by people."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from observability.collect.serving import serving
from observability.monitor import alert_job, webhook
from observability.monitor.alert_job import AlertJob
from observability.monitor.alert_response import acknowledge, resolve, snooze
from observability.monitor.alert_rules import set_rule
from observability.monitor.webhook import checked_url, secret_of, secret_path, send
from observability.store.moments import span
from observability.store.person import Person
from observability.store.write import Writer
from tests.monitor.hooks import DRIP, HANG, hook
from tests.spans import batch, decision_span, rows
from traces.errors import StoreError, WrongUse

ANN = Person("ann")
EVENTS = "SELECT event FROM alerts WHERE alert_id = 'A-0001' ORDER BY seq"


@pytest.fixture(autouse=True)
def _no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_job, "_BACKOFF_S", (0.0, 0.0))


@pytest.fixture
def strange(store: Path) -> Path:
    """A store in which a model without an artifact decided just now."""
    with Writer(store) as writer:
        writer.write(batch(decided(0)))
    return store


def decided(seconds_ago: float):
    end = time.time_ns() - round(seconds_ago * 10**9)
    return decision_span(start_time_unix_nano=end - 1000, end_time_unix_nano=end)


def turns(store: Path, many: int) -> list[str]:
    """What has happened to the first alert after so many minutes."""
    with Writer(store) as writer, closing(AlertJob(writer, threading.Event())) as alerting:
        for _ in range(many):
            list(alerting.steps())
    return [event for (event,) in rows(store, EVENTS)]


def test_a_service_is_told_once_signed_and_of_no_input(strange: Path) -> None:
    with hook() as told:
        set_rule(strange, "all", ANN, url=told.url)
        assert turns(strange, 2) == ["opened", "delivered"]
        ((headers, body),) = told.taken
    text = secret_path(strange).read_text().strip()
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(text.removeprefix("whsec_"))
    digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{digest}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    (alert,) = json.loads(body)["alerts"]
    assert (alert["alert_id"], alert["event"]) == ("A-0001", "opened")
    assert alert["title"] == "Model guard 1.4.0 is unknown"
    assert alert["evidence"] == {"decisions": 1, "devices": 1}
    assert b"temperature" not in body and b"71.5" not in body
    kept = b"".join(path.read_bytes() for path in strange.rglob("*.parquet"))
    assert text.encode() not in kept
    assert secret_path(strange).stat().st_mode & 0o777 == 0o600


def test_what_fails_is_said_in_a_line_and_tried_again_at_rising_distances(
    strange: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret_of(strange)
    secret_path(strange).chmod(0o644)
    with hook() as elsewhere, hook(500, 302, location=elsewhere.url) as told:
        set_rule(strange, "model", ANN, url=told.url)
        with Writer(strange) as writer, closing(AlertJob(writer, threading.Event())) as alerting:
            list(alerting.steps())
            assert told.taken == []
            secret_path(strange).chmod(0o600)
            list(alerting.steps())
            monkeypatch.setattr(alert_job, "_BACKOFF_S", (60.0, 3600.0))
            for _ in range(2):
                list(alerting.steps())
        assert len(told.taken) == 2
        assert turns(strange, 1) == ["opened", "failed", "failed", "failed", "delivered"]
        assert len({headers["webhook-id"] for headers, _ in told.taken}) == 1
        assert elsewhere.taken == []
        host = told.url.split("/")[2]
    said = rows(strange, "SELECT reason FROM alerts WHERE event = 'failed' ORDER BY seq")
    assert "which others may read; expected mode 0600; hint: chmod 600 " in said[0][0]
    assert said[1:] == [
        (f"{host} answered 500",),
        (f"{host} answered 302; redirects are not followed",),
    ]


@pytest.mark.parametrize("answer", [DRIP, HANG])
def test_a_service_that_never_ends_its_answer_is_left(
    monkeypatch: pytest.MonkeyPatch, answer: int
) -> None:
    monkeypatch.setattr(webhook, "ANSWER_WITHIN_S", 0.3)
    with hook(answer) as told:
        assert sent(told.url).endswith("within 0.3 s")


def test_nobody_there_is_a_line_too() -> None:
    with hook() as told:
        gone = told.url
    assert sent(gone).startswith("no answer from 127.0.0.1:")
    assert "\n" not in sent(gone)


def sent(url: str) -> str:
    return send(url, "msg_1", b"{}", b"k" * 32, datetime.now(UTC))


def test_what_a_killed_process_was_sending_is_sent_again_by_the_next(strange: Path) -> None:
    code = (
        "import sys, threading; from observability.monitor.alert_job import AlertJob;"
        "from observability.store.write import Writer;"
        "list(AlertJob(Writer(sys.argv[1]), threading.Event()).steps())"
    )
    with hook(HANG) as told:
        set_rule(strange, "all", ANN, url=told.url)
        process = subprocess.Popen([sys.executable, "-c", code, str(strange)])
        assert len(told.waits_for(1)) == 1
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert rows(strange, EVENTS) == [("opened",)]
        assert turns(strange, 1) == ["opened", "delivered"]
        first, second = told.taken
    assert first[1] == second[1]
    assert first[0]["webhook-id"] == second[0]["webhook-id"]


def test_a_file_without_a_secret_is_not_taken_for_one(store: Path) -> None:
    secret_path(store).write_text("whsec_c2hvcnQ=\n")
    secret_path(store).chmod(0o600)
    with pytest.raises(StoreError, match="holds no secret"):
        secret_of(store)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/",
        "file:///etc/passwd",
        "https://",
        "https://ann:secret@example.org/",
        "https://example.org:port/",
        "https://example.org/a b",
        "https://example.org/\r\nX: y",
        "https://example.org/" + "a" * 2000,
    ],
)
def test_a_url_that_is_no_plain_web_address_is_refused(url: str) -> None:
    with pytest.raises(WrongUse) as refused:
        checked_url(url)
    assert "secret" not in str(refused.value)


def test_a_device_is_silent_only_once_it_had_time_to_send_what_it_kept(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Writer(store) as writer, closing(AlertJob(writer, threading.Event())) as alerting:
        writer.write(batch(*(decided(3 * 86400 + 10 * step) for step in range(6))))
        list(alerting.steps())
        assert rows(store, "FROM alerts") == []
        monkeypatch.setattr(alert_job, "_LISTEN_FIRST_S", 0.0)
        list(alerting.steps())
        ((kind, subject, evidence),) = rows(store, "SELECT kind, subject, evidence FROM alerts")
        assert (kind, subject) == ("silent", "pump-07")
        assert json.loads(evidence)["mean_interval_s"] == pytest.approx(10, rel=0.01)
        writer.write(batch(decided(0)))
        list(alerting.steps())
    assert rows(store, EVENTS) == [("opened",), ("resolved",)]


def test_people_answer_beside_a_worker_and_no_answer_is_lost(strange: Path) -> None:
    with serving(strange, jobs=(AlertJob,)):
        deadline = time.monotonic() + 60
        while not rows(strange, EVENTS) and time.monotonic() < deadline:
            time.sleep(0.1)
        people = [Person(name) for name in ("ann", "bob", "cem")]
        threads = [
            threading.Thread(target=acknowledge, args=(strange, "A-0001", person))
            for person in people
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert snooze(strange, "a-0001", ANN, span("8h")).state == "snoozed"
        done = resolve(strange, "A-0001", ANN, "registered\nthe artifact")
        assert (done.state, done.changed.reason) == ("resolved", "registered the artifact")
    names = ["opened", *3 * ["acknowledged"], "snoozed", "resolved"]
    assert rows(strange, "SELECT seq, event FROM alerts ORDER BY seq") == [
        *enumerate(names, start=1)
    ]
    who = rows(strange, "SELECT DISTINCT actor, identity FROM alerts WHERE seq > 1 ORDER BY 1")
    assert who == [(person.name, "unverified") for person in people]
    with pytest.raises(WrongUse, match=r"A-0001, resolved at .* by ann; expected one that stands"):
        acknowledge(strange, "A-0001", ANN)
