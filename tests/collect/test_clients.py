"""OpenTelemetry's own exporters against each answer of the receiver."""

from __future__ import annotations

import errno
import logging
import math
import os
from pathlib import Path

import pytest

import observability
from observability.collect.limits import Limits
from observability.collect.serving import serving
from observability.store.stored import stored_decision
from tests.collect.clients import Exporters, Report, Spans
from tests.faults import Proxy, proxied
from tests.spans import JSON, MODEL, PROTOBUF, counts, rows
from traces import Decision, GateVerdict
from traces.codec import encode_decision
from traces.decision import ClockReading, Recommendation

DECISION = Decision(
    "pump.stop",
    MODEL,
    "stop",
    "modified",
    recommendation=Recommendation("stop", 1.0, 0.5),
    inputs={"temperature": 71.0, "vibration": 6.25, "missing": math.nan, "druck µbar": -3.0},
    categoricals={"medium": "Öl 🛢", "mode": ""},
    gates=(
        GateVerdict("max_temperature", "rule", "pass", "", "temperature", "<=", 80.0, 71.0),
        GateVerdict("ramp", "rule", "modify", "at most 2.5", "value(stop)", "<=", 2.5, 3.0),
        GateVerdict("当直", "human", "pass", "承認", "", "", math.nan, math.nan),
    ),
    context={"site": "Zürich\n", "shift": 3, "wet": True, "load": 0.125, "geo.location.lat": 47.5},
    value=2.5,
    latency_us=412,
    clock=ClockReading("boot-1", 9_007_199_254_740_991, True),
)
SPANS: Spans = [
    ("decision pump.stop", encode_decision(DECISION)),
    ("GET /state", {"http.route": "/state", "http.response.status_code": 200}),
]


def test_what_is_sent_lands_field_by_field(exporters: Exporters, store: Path) -> None:
    with serving(store) as url:
        report = exporters.send(traces(url), SPANS)
    assert report.warnings == []
    assert all(sent.delivered for sent in report.sent)
    for sent in report.sent:
        with observability.connect(store) as con:
            found = stored_decision(con, sent.spans[0][0])
        assert found is not None, sent.device
        assert repr(found.decision) == repr(DECISION)
        assert (found.device_id, found.identity) == (sent.device, "unverified")
    stored = rows(store, "SELECT device_id, trace_id || '-' || span_id, end_unix_nano FROM spans")
    assert set(stored) == {(sent.device, *sent.spans[1]) for sent in report.sent}
    assert set(rows(store, "SELECT device_id, decision_id, end_unix_nano FROM decisions")) == {
        (sent.device, *sent.spans[0]) for sent in report.sent
    }
    assert rows(
        store, 'SELECT DISTINCT temperature, vibration, "druck µbar", medium FROM d_pump_stop'
    ) == [(71.0, 6.25, -3.0, "Öl 🛢")]
    assert rows(store, "SELECT DISTINCT name, attributes FROM spans") == [
        ("GET /state", {"http.route": "/state", "http.response.status_code": "200"})
    ]
    assert counts(store).keys() == {"decisions", "spans", "layouts", "resources"}


def test_spans_that_are_rejected_are_told_and_not_sent_again(
    exporters: Exporters, store: Path
) -> None:
    with serving(store) as url:
        report = exporters.send(traces(url), [*SPANS, ("decision x", {"decision.type": "x"})])
    assert all(sent.delivered for sent in report.sent)
    assert stored_once(store, report)
    reasons = rows(store, "SELECT reason FROM rejects")
    assert len(reasons) == len(exporters.devices)
    if "node json gzip" in exporters.devices:  # Python's does not look
        assert len(report.warnings) == len(exporters.devices)
        assert all(reasons[0][0] in warning for warning in report.warnings)


def test_a_body_over_the_limit_is_given_up_at_once(
    exporters: Exporters, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(store, limits=Limits(body_bytes=500, message_bytes=1000)) as url:
        report = exporters.send(traces(url), SPANS)
    assert not any(sent.delivered for sent in report.sent)
    assert refusals(caplog, 413) == len(exporters.devices)
    assert counts(store) == {}


def test_after_a_disk_that_was_full_each_tries_again_and_its_decision_lands_once(
    exporters: Exporters,
    store: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flush, each = os.fsync, len(exporters.devices)

    def fsync(file: int) -> None:
        if refusals(caplog, 503) < each:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(file)

    with serving(store) as url:
        monkeypatch.setattr(os, "fsync", fsync)
        report = exporters.send(traces(url), SPANS)
    assert refusals(caplog, 503) >= each
    assert all(sent.delivered for sent in report.sent)
    assert stored_once(store, report)


def test_after_an_acknowledgement_that_was_lost_each_tries_again_and_its_decision_lands_once(
    exporters: Exporters, store: Path
) -> None:
    each = len(exporters.devices)
    with serving(store) as url, proxied(Proxy(url, ["lost"] * each)) as proxy:
        report = exporters.send(traces(proxy.url), SPANS)
    assert all(sent.delivered for sent in report.sent)
    assert len(proxy.seen) >= 2 * each
    assert stored_once(store, report)
    sent_as = {(seen["content-type"], seen.get("content-encoding")) for seen in proxy.seen}
    assert {(PROTOBUF, None), (PROTOBUF, "gzip")} <= sent_as
    if "node json gzip" in exporters.devices:
        assert {(JSON, None), (JSON, "gzip")} <= sent_as


@pytest.fixture(autouse=True)
def _said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "whence.collect")


def refusals(caplog: pytest.LogCaptureFixture, status: int) -> int:
    """How often the receiver answered so."""
    return sum(f"refused with {status}" in record.getMessage() for record in caplog.records)


def stored_once(store: Path, report: Report) -> bool:
    """Whether the decisions are those that were sent, each once."""
    stored = rows(store, "SELECT device_id, decision_id FROM decisions")
    return sorted(stored) == sorted((sent.device, sent.spans[0][0]) for sent in report.sent)


def traces(url: str) -> str:
    return f"{url}/v1/traces"
