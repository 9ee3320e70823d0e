"""Nothing is lost on the way to the receiver, and a receiver that refuses is an error."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import observability
from observability.collect.serving import serving
from observability.fleet import uplink as module
from observability.fleet.link import Link, ShipmentError, link_to
from observability.fleet.uplink import Uplink
from traces import Decision, ModelVersion
from traces.device import RecordedClock, Recorder

DECISION = Decision(
    type="valve.close",
    model=ModelVersion("m", "1", "sha256:0"),
    action="hold",
    disposition="executed",
)
AT_NS = 1_700_000_000 * 10**9
HOUR_NS = 3600 * 10**9


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Link]:
    store = tmp_path / "fleet"
    with serving(store, RecordedClock(AT_NS)) as url:
        yield link_to(store, url)


@pytest.fixture
def uplink(served: Link, tmp_path: Path) -> Iterator[Uplink]:
    with contextlib.closing(Uplink(served, tmp_path / "devices")) as made:
        yield made


def device(uplink: Uplink, name: str, gateway: str = "") -> Recorder:
    clock = RecordedClock(AT_NS)
    spool = uplink.spool(name, clock, gateway)
    return Recorder(device_id=name, service="s", spool=spool, clock=clock, checkpoint_every_s=1e6)


def stored(tmp_path: Path) -> list[tuple[str, int, float]]:
    """Device, decisions and the hour of their receipt."""
    with observability.connect(tmp_path / "fleet") as con:
        return con.execute(
            "SELECT device_id, count(*), (epoch_ns(max(received_at)) - ?) / 3.6e12 FROM decisions"
            " GROUP BY device_id ORDER BY device_id",
            [AT_NS],
        ).fetchall()


def test_everything_recorded_arrives_once_and_when_it_was_said_to(uplink, tmp_path: Path) -> None:
    recorders = [device(uplink, name) for name in ("a", "b/c")]
    for hour in (1, 2):
        for recorder in recorders:
            for _ in range(50):
                recorder.record(DECISION)
        uplink.send(AT_NS + hour * HOUR_NS)
    assert uplink.finish() == 100
    assert stored(tmp_path) == [("a", 100, 2.0), ("b/c", 100, 2.0)]


def test_a_gateway_that_is_cut_off_holds_what_its_devices_decide_until_it_is_back(
    uplink, tmp_path: Path
) -> None:
    near, far = device(uplink, "near", "here"), device(uplink, "far", "there")
    for recorder in (near, far):
        recorder.record(DECISION)
    uplink.send(AT_NS + HOUR_NS, cut_off={"there"})
    assert uplink.finish() == 1
    assert stored(tmp_path) == [("near", 1, 1.0)]
    uplink.send(AT_NS + 6 * HOUR_NS)
    assert uplink.finish() == 1
    assert stored(tmp_path) == [("far", 1, 6.0), ("near", 1, 1.0)]


def test_what_is_recorded_while_a_request_is_on_its_way_goes_with_the_next(
    uplink, tmp_path: Path
) -> None:
    recorder = device(uplink, "a")
    for hour in range(1, 6):
        recorder.record(DECISION)
        uplink.send(AT_NS + hour * HOUR_NS)
        recorder.record(DECISION)
    uplink.send(AT_NS + 6 * HOUR_NS)
    uplink.finish()
    with observability.connect(tmp_path / "fleet") as con:
        hours = con.execute(
            "SELECT (epoch_ns(received_at) - ?) / 3.6e12 AS hour, count(*) FROM decisions"
            " GROUP BY hour ORDER BY hour",
            [AT_NS],
        ).fetchall()
    assert hours == [(1.0, 1), (2.0, 2), (3.0, 2), (4.0, 2), (5.0, 2), (6.0, 1)]


def test_a_span_that_the_receiver_rejects_is_an_error(uplink) -> None:
    recorder = device(uplink, "a")
    recorder.record(Decision("valve.close", ModelVersion("m", "1", ""), "hold", "executed"))
    uplink.send(AT_NS)
    with pytest.raises(ShipmentError, match="refuses"):
        uplink.finish()


def test_nobody_who_acknowledges_is_an_error(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "_PAUSE_S", 0.0)
    nobody = Uplink(Link("http://127.0.0.1:1"), tmp_path / "devices")
    with contextlib.closing(nobody):
        device(nobody, "a").record(DECISION)
        nobody.send(None)
        with pytest.raises(ShipmentError, match="not acknowledged"):
            nobody.finish()
