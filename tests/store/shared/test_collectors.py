"""Three collectors, processes of their own, on one lake: each decision once, whatever fails meanwhile."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from observability.collect.limits import Limits
from observability.collect.serving import serving
from observability.store.location import Location, location_of
from tests.chains import Chain
from tests.shared import BUCKET, Door, Postgres
from tests.spans import decision_span, group, post, protobuf_body, rows

SERVE = """if True:
    import sys
    from observability.collect.serving import serving
    from observability.store.location import location_of
    with serving(location_of(*sys.argv[1:])) as url:
        print(url, flush=True)
        sys.stdin.read()"""


DECISIONS = "SELECT count(*), count(DISTINCT decision_id) FROM decisions WHERE device_id = '{}'"
ACCOUNT = """
SELECT arrived, missing, broken, forks, bad_signatures, verified_to FROM chain_status WHERE device_id = '{}'
"""


@contextlib.contextmanager
def collectors(lake: Location, count: int = 3) -> Iterator[list[str]]:
    """Their addresses; they open the store at the same time, which nobody has made before."""
    command = [sys.executable, "-c", SERVE, lake.name, lake.files]
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(count)
        ]
        for each in started:
            stack.callback(each.kill)
        yield [each.stdout.readline().strip() for each in started if each.stdout]


@dataclass
class Fleet:
    lake: Location
    urls: list[str]


@pytest.fixture(scope="module")
def fleet(postgres: Postgres, s3_door: Door, state: Path) -> Iterator[Fleet]:
    lake = location_of(f"ducklake:postgres:{postgres.create('collectors')}", f"s3://{BUCKET}/all")
    with collectors(lake) as urls:
        yield Fleet(lake, urls)


@dataclass
class Device:
    """Sends its chain, a few spans a request, each to a collector of its choice until one takes it."""

    name: str
    urls: list[str]
    chain: Chain = field(init=False)
    answers: list[int] = field(default_factory=list)
    acknowledged: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chain = Chain(f"chain of {self.name}")
        self.chance = random.Random(self.name)  # noqa: S311

    def send(self, requests: int) -> None:
        for _ in range(requests):
            self.send_one()

    def send_until(self, over: threading.Event) -> None:
        while not over.is_set():
            self.send_one()
        self.send_one()

    def send_one(self) -> None:
        spans = self.chain.run(3)
        if self.chance.random() < 0.3:
            self.chain.checkpoint()
            spans = [*spans, self.chain.sent[-1]]
        body = protobuf_body(group(spans, self.name))
        self.deliver(body)
        self.acknowledged.append(body)

    def deliver(self, body: bytes) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                self.answers.append(post(self.chance.choice(self.urls), body).status)
                if self.answers[-1] == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"{self.name}: no collector took it; answers {self.answers}")


def at_once(*threads: threading.Thread) -> None:
    for each in threads:
        each.start()
    for each in threads:
        each.join()


def check(lake: Location, devices: list[Device]) -> None:
    """All of theirs is there once, and every chain is whole and verified to its last checkpoint."""
    for each in devices:
        places = [n for n, one in enumerate(each.chain.sent) if one.name == "decision.checkpoint"]
        count = len(each.chain.sent)
        found = rows(lake, DECISIONS.format(each.name))
        assert found == [(count - len(places),) * 2]
        (account,) = rows(lake, ACCOUNT.format(each.name))
        assert account == (count, 0, 0, 0, 0, places[-1] - 1 if places else None)
    assert rows(lake, "SELECT count(*) FROM conflicts") == [(0,)]


def test_each_decision_is_stored_once_and_chains_account_right(fleet: Fleet) -> None:
    devices = [Device(f"once-{number}", fleet.urls) for number in range(4)]
    at_once(*(threading.Thread(target=each.send, args=(5,)) for each in devices))
    check(fleet.lake, devices)
    bodies = [body for each in devices for body in each.acknowledged]
    statuses = list[int]()

    def repeat(url: str) -> None:
        statuses.extend(post(url, body).status for body in bodies)

    at_once(*(threading.Thread(target=repeat, args=(url,)) for url in fleet.urls))
    assert set(statuses) == {200}
    new = Device("once-new", fleet.urls)
    body = protobuf_body(group(new.chain.run(20), new.name))
    at_once(*(threading.Thread(target=post, args=(url, body)) for url in fleet.urls * 2))
    check(fleet.lake, [*devices, new])


@pytest.mark.parametrize("failing", ["PostgreSQL", "S3"])
def test_what_is_acknowledged_survives_a_failure_and_service_resumes(
    fleet: Fleet, postgres: Postgres, s3_door: Door, failing: str
) -> None:
    devices = [Device(f"{failing}-{number}", fleet.urls) for number in range(3)]
    over = threading.Event()

    def fail() -> None:
        for _ in range(2):
            time.sleep(1.0)
            (postgres.stop if failing == "PostgreSQL" else s3_door.shut)()
            time.sleep(1.0)
            (postgres.start if failing == "PostgreSQL" else s3_door.open)()
        over.set()

    threads = [threading.Thread(target=each.send_until, args=(over,)) for each in devices]
    at_once(*threads, threading.Thread(target=fail))
    assert {status for each in devices for status in each.answers} == {200, 503}
    check(fleet.lake, devices)


def test_an_s3_that_hangs_is_told_in_bounded_time_and_service_resumes(
    lake: Location, s3_door: Door
) -> None:
    bodies = [protobuf_body(group([decision_span()], "waiting")) for _ in range(3)]
    with serving(lake, limits=Limits(answer_s=1)) as url:
        device = Device("waiting", [url])
        device.deliver(bodies[0])
        s3_door.stop()
        began = time.monotonic()
        refused = post(url, bodies[1])
        waited_s = time.monotonic() - began
        s3_door.go_on()
        for body in bodies:
            device.deliver(body)
    assert (refused.status, refused.headers["retry-after"]) == (503, "2")
    assert waited_s < 5
    assert rows(lake, DECISIONS.format("waiting")) == [(3, 3)]
