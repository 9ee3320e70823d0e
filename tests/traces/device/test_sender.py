"""The sender against a real receiver behind a network that does what networks do."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from observability.collect.serving import serving
from tests.faults import FAULTS, Proxy, proxied
from tests.spans import rows
from tests.spooled import CHAIN, ENVELOPE, frame, span_id
from traces.device import RecordedClock, Sender, Spool
from traces.device.frames import Frame, Priority
from traces.errors import SpoolError

ALL = "SELECT decision_id FROM decisions ORDER BY end_unix_nano"


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(tmp_path / "spool") as made:
        made.begin(ENVELOPE, CHAIN)
        yield made


class Picky(Proxy):
    """Refuses requests that hold certain span names, and may refuse everything."""

    bad = frozenset({"decision pump.evil"})
    refuses = "bad"
    refuses_all = False

    def next(self) -> str:
        body = TracesData.FromString(gzip.decompress(self.bodies[-1]))
        names = {s.name for r in body.resource_spans for c in r.scope_spans for s in c.spans}
        return self.refuses if self.refuses_all or names & self.bad else super().next()


@pytest.fixture
def proxy(store: Path) -> Iterator[Picky]:
    with serving(store) as url, proxied(Picky(url)) as made:
        yield made


@pytest.fixture
def sender(spool: Spool, proxy: Picky) -> Iterator[Callable[..., Sender]]:
    """Makes senders to the proxy, and stops them at the end."""
    made: list[Sender] = []

    def make(**options) -> Sender:
        made.append(Sender(spool, proxy.url, **({"jitter": lambda: 0.0} | options)))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def record(spool: Spool, count: int, start: int = 0) -> list[tuple[str]]:
    """Append so many decisions; returns what the store has to answer then."""
    for seq in range(start, start + count):
        spool.append(frame(seq))
    return [(span_id(seq),) for seq in range(start + count)]


def test_what_was_appended_is_stored_in_order_and_gone_from_the_spool(
    store: Path, spool: Spool, proxy: Picky, sender: Callable[..., Sender]
) -> None:
    expected = record(spool, 50)
    assert sender(request_bytes=5000).send() == 50
    assert rows(store, ALL) == expected
    assert spool.is_empty and not list((spool.folder / "sealed").iterdir())
    assert spool.state.ledger.acknowledged == 50
    sizes = [len(gzip.decompress(body)) for body in proxy.bodies]
    assert len(sizes) > 3 and max(sizes) < 7000
    assert len(proxy.connections) == 1


def test_a_pass_without_anything_to_send_asks_nothing(
    spool: Spool, proxy: Picky, sender: Callable[..., Sender]
) -> None:
    assert sender().send() == 0
    assert proxy.seen == []


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_lost_or_doubled_by(
    store: Path, spool: Spool, proxy: Picky, fault: str, sender: Callable[..., Sender]
) -> None:
    proxy.plan = [fault, "pass", fault, fault]
    expected = record(spool, 30)
    slow = fault in ("silent", "endless")
    sending = sender(request_bytes=4000, timeout_s=0.3 if slow else 10)
    acknowledged = passes = 0
    while not spool.is_empty:
        acknowledged += sending.send()
        passes += 1
        assert passes < 50
    assert acknowledged == 30
    assert rows(store, ALL) == expected
    assert rows(store, "SELECT count(*) FROM conflicts") == [(0,)]
    assert spool.state.ledger.quarantined == 0


def test_any_mixture_of_faults_is_survived(
    store: Path, spool: Spool, proxy: Picky, sender: Callable[..., Sender]
) -> None:
    faults = [fault for fault in FAULTS if fault not in ("bad", "large")]
    proxy.plan = [fault for fault in faults for _ in range(2)] + faults[::-1]
    expected = record(spool, 100)
    sending = sender(request_bytes=4000, timeout_s=0.5, wait=lambda _: False)
    assert sending.flush(60)
    assert rows(store, ALL) == expected


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("portal", "200 with content type 'text/html'"),
        ("liar", "200 with a body that is no OTLP response"),
        ("redirect", "302 Found to http://127.0.0.1:9/login; not followed"),
        ("unauthorized", "401 Unauthorized"),
        ("truncated", "IncompleteRead"),
        ("headless", "200 without a length"),
        ("silent", "TimeoutError"),
    ],
)
def test_the_status_says_why_it_waits(
    spool: Spool, proxy: Picky, fault: str, why: str, sender: Callable[..., Sender]
) -> None:
    proxy.plan = [fault]
    record(spool, 1)
    assert sender(timeout_s=0.5 if fault == "silent" else 10).send() == 0
    assert spool.state.ledger.error.startswith(why)


def test_it_waits_longer_each_time_as_long_as_asked_and_forgets_it_after_a_success(
    spool: Spool, proxy: Picky, sender: Callable[..., Sender]
) -> None:
    proxy.plan = ["busy", "gateway", "busy", "down", "busy", "pass", "busy"]
    record(spool, 2)
    waited: list[float] = []

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        return len(waited) == 7

    sending = sender(jitter=lambda: 1.0, wait=wait, request_bytes=1)
    sending._run()
    assert waited == [1, 2, 4, 7 + 8, 16, 1, 5]
    assert spool.is_empty


def test_a_connection_that_the_server_closed_while_idle_is_replaced_at_once(
    store: Path, spool: Spool, proxy: Picky, sender: Callable[..., Sender]
) -> None:
    sending = sender()
    proxy.plan = ["closing", "pass", "hangup"]
    for start in (0, 1, 2):
        expected = record(spool, 1, start)
        assert sending.send() == 1
    assert rows(store, ALL) == expected
    assert len(proxy.connections) == 3 and spool.state.ledger.error == ""


def poison(seq: int) -> Frame:
    made = frame(seq)
    return Frame(
        Priority.IMPORTANT, seq, made.digest, made.span.replace(b"pump.stop", b"pump.evil")
    )


@pytest.mark.parametrize("refuses", ["bad", "large"])
def test_a_frame_that_is_refused_alone_goes_into_quarantine_and_the_rest_arrives(
    store: Path, spool: Spool, proxy: Picky, refuses: str, sender: Callable[..., Sender]
) -> None:
    proxy.refuses = refuses
    for seq in range(100):
        spool.append(poison(seq) if seq in (0, 37, 38, 99) else frame(seq))
    assert sender().send() == 96
    assert len(rows(store, ALL)) == 96
    assert spool.is_empty and spool.state.ledger.quarantined == 4
    assert len(list((spool.folder / "quarantine").glob("*.seg"))) == 4
    assert len(proxy.seen) < 60


def test_a_server_that_refuses_everything_gets_nothing_into_quarantine(
    store: Path, spool: Spool, proxy: Picky, sender: Callable[..., Sender]
) -> None:
    expected = record(spool, 20)
    proxy.refuses_all = True
    sending = sender()
    assert [sending.send() for _ in range(3)] == [0, 0, 0]
    assert spool.state.ledger.quarantined == 0 and "400" in spool.state.ledger.error
    proxy.refuses_all = False
    assert sending.send() == 20
    assert rows(store, ALL) == expected


def test_spans_that_the_server_keeps_as_rejects_are_counted_and_not_sent_again(
    store: Path, spool: Spool, proxy: Picky, sender: Callable[..., Sender]
) -> None:
    good, bad = frame(0), frame(1)
    spool.append(good)
    spool.append(Frame(Priority.ROUTINE, 1, bad.digest, bad.span.replace(b"executed", b"exploded")))
    assert sender().send() == 2
    assert spool.is_empty and spool.state.ledger.rejected == 1
    assert rows(store, "SELECT count(*) FROM rejects") == [(1,)]


def test_each_request_says_the_boot_and_its_monotonic_time(
    spool: Spool, proxy: Picky, sender: Callable[..., Sender]
) -> None:
    clock = RecordedClock(10**18, boot_id="boot-7")
    clock.set(10**18 + 42)
    record(spool, 1)
    sender(clock=clock, headers={"X-Site": "a"}).send()
    (headers,) = proxy.seen
    assert headers["whence-boot-id"] == "boot-7"
    assert headers["whence-monotonic-ns"] == "42"
    assert headers["x-site"] == "a"
    assert "authorization" not in headers


def test_a_token_is_read_again_for_each_request(
    tmp_path: Path, spool: Spool, proxy: Picky, sender: Callable[..., Sender]
) -> None:
    path = tmp_path / "token"
    path.write_text("first\n")
    sending = sender(token=path)
    record(spool, 1)
    sending.send()
    path.write_text("second\n")
    record(spool, 1, 1)
    sending.send()
    path.unlink()
    record(spool, 1, 2)
    assert sending.send() == 0 and "No such file" in spool.state.ledger.error
    assert [seen["authorization"] for seen in proxy.seen] == ["Bearer first", "Bearer second"]


def test_a_token_never_leaves_the_machine_in_clear(spool: Spool) -> None:
    with pytest.raises(SpoolError, match="in clear"):
        Sender(spool, "http://fleet.example:4318", token=lambda: "secret")
    Sender(spool, "http://fleet.example:4318")


@pytest.mark.parametrize(
    "url", ["fleet.example", "ftp://fleet.example", "http://", "http://h:no", "https://u:p@h"]
)
def test_a_url_that_cannot_be_meant_is_said_at_once(spool: Spool, url: str) -> None:
    with pytest.raises(SpoolError, match="the URL"):
        Sender(spool, url)


def test_the_cap_on_bytes_spaces_what_is_written(
    spool: Spool, proxy: Picky, sender: Callable[..., Sender]
) -> None:
    clock = RecordedClock(10**18)
    record(spool, 100)

    def wait(seconds: float) -> bool:
        clock.set(clock.wall_ns() + int(seconds * 1e9))
        return False

    sending = sender(clock=clock, bytes_per_s=1000, wait=wait, request_bytes=8000)
    assert sending.send() == 100
    written = sum(map(len, proxy.bodies))
    assert written / 1000 - 1 < clock.monotonic_ns() / 1e9 < written / 1000 + 10


def test_stop_does_not_wait_for_a_network_that_is_silent(
    spool: Spool, proxy: Picky, sender: Callable[..., Sender]
) -> None:
    proxy.plan = ["silent"]
    record(spool, 1)
    sending = sender(timeout_s=60)
    sending.start()
    while not proxy.seen:
        threading.Event().wait(0.01)
    started = time.monotonic()
    sending.stop()
    assert time.monotonic() - started < 3
    assert not spool.is_empty


def test_flush_says_whether_everything_arrived_in_time(
    store: Path, spool: Spool, proxy: Picky, sender: Callable[..., Sender]
) -> None:
    expected = record(spool, 3)
    proxy.plan = ["silent"]
    sending = sender(timeout_s=60)
    assert not sending.flush(0.2)
    assert sending.flush(10)
    assert rows(store, ALL) == expected


def test_the_thread_sends_what_is_appended_while_it_runs(
    store: Path, spool: Spool, proxy: Picky, sender: Callable[..., Sender]
) -> None:
    proxy.plan = ["down", "pass", "reset"]
    sending = sender(every_s=0.01, wait=lambda _: threading.Event().wait(0.01))
    sending.start()
    for start in range(0, 200, 20):
        expected = record(spool, 20, start)
    assert sending.flush(20)
    sending.stop()
    assert rows(store, ALL) == expected


def test_nothing_is_raised_where_nobody_listens(spool: Spool) -> None:
    record(spool, 1)
    sending = Sender(spool, "http://127.0.0.1:9", timeout_s=0.2)
    assert sending.send() == 0
    assert "refused" in spool.state.ledger.error.lower()
