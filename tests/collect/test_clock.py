"""A device without a clock: its decisions get the server's time, and those of an earlier boot their order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.collect.bodies import Body, Stamp, decode_each
from observability.collect.clock import DRIFT_PPM, WAY_US, ClockSighting, corrected, sighting
from observability.collect.limits import Limits
from observability.collect.serving import serving
from tests.chains import Chain
from tests.spans import JSON, Answer, decision, decision_span, group, json_body, post
from tests.spans import protobuf_body as body
from tests.spans import rows as rows_of
from traces.decision import ClockReading
from traces.device import RecordedClock

RECEIVED = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAWN_NS = 10**9
SECOND = 10**9
STAMP = Stamp("otlp", "unverified")


def at_boot(after_s: float, boot: str = "b-2", *, synced: bool = False) -> Any:
    """A decision so long after its boot, on a device whose wall clock stands at 1970."""
    return decision(
        inputs={"t": after_s}, clock=ClockReading(boot, round(after_s * SECOND), synced)
    )


def dawn(after_s: float = 0.0) -> dict[str, int]:
    end = DAWN_NS + round(after_s * SECOND)
    return {"start_time_unix_nano": end - 1, "end_time_unix_nano": end}


def seen(monotonic_s: float, boot: str = "b-2", took_us: int = 0) -> ClockSighting:
    return ClockSighting(boot, round(monotonic_s * SECOND), RECEIVED, took_us)


def nobody(*_: Any) -> None:
    return None


def correct(spans: list[Any], *seen_: ClockSighting, last: Any = nobody) -> list[dict[str, Any]]:
    """The decisions as stored, by start: raw times and inputs stay as sent."""
    decoding = decode_each([Body(body(group(spans)), RECEIVED)], STAMP, Limits())
    return corrected(decoding.tables()["decisions"], seen_, last).to_pylist()


def test_a_decision_of_this_boot_gets_the_time_of_receipt_less_what_has_passed_since() -> None:
    (row,) = correct([decision_span(at_boot(100), **dawn())], seen(160, took_us=7))
    assert row["decided_at"] == RECEIVED - timedelta(seconds=60)
    assert row["end_unix_nano"] == DAWN_NS
    assert row["clock_uncertainty_us"] == 7 + WAY_US + 60 * DRIFT_PPM


def test_a_clock_in_sync_is_never_corrected() -> None:
    (row,) = correct([decision_span(at_boot(100, synced=True), **dawn())], seen(160))
    assert (row["decided_at"].year, row["clock_uncertainty_us"]) == (1970, None)


@pytest.mark.parametrize("told", [(), (seen(99),), (seen(160, "b-9"),)], ids=str)
def test_without_a_clock_to_go_by_the_device_keeps_its_own_time(told: Any) -> None:
    (row,) = correct([decision_span(at_boot(100), **dawn())], *told)
    assert (row["decided_at"].year, row["clock_uncertainty_us"]) == (1970, None)


def test_a_decision_without_a_clock_reading_keeps_its_time() -> None:
    (row,) = correct([decision_span()], seen(160))
    assert row["decided_at"] == datetime(2026, 1, 1, 12, 0, 1, tzinfo=UTC)


def test_two_requests_that_cannot_be_told_apart_correct_nothing() -> None:
    (row,) = correct([decision_span(at_boot(100), **dawn())], seen(160), seen(161))
    assert row["decided_at"].year == 1970


@given(st.lists(st.integers(0, 2**62), min_size=1, max_size=20))
def test_any_monotonic_reading_is_read_as_it_was_written(readings: list[int]) -> None:
    spans = [
        decision_span(decision(clock=ClockReading("b", reading, synced=False)), **dawn())
        for reading in readings
    ]
    now = max(readings)
    told = ClockSighting("b", now, RECEIVED, 0)
    found = correct(spans, told)
    for row, reading in zip(found, readings, strict=True):
        passed = timedelta(microseconds=(now - reading) // 1000)
        assert row["decided_at"] == RECEIVED - passed


def rebooted(*, last_synced: bool = True) -> Chain:
    """Two decisions by a clock in sync, three of a boot without one, two of the boot that sends."""
    chain = Chain()
    synced = RECEIVED - timedelta(hours=4)
    end = int(synced.timestamp()) * SECOND
    for step in range(2):
        value = at_boot(step, "b-0", synced=last_synced)
        chain.decide(
            value,
            start_time_unix_nano=end,
            end_time_unix_nano=end + step,
        )
    for step in range(3):
        chain.decide(at_boot(50 + step, "b-1"), **dawn(step))
    for step in range(2):
        chain.decide(at_boot(10 + step, "b-2"), **dawn(step))
    return chain


def test_decisions_of_an_earlier_boot_lie_between_their_neighbours_in_their_order() -> None:
    found = correct(rebooted().sent, seen(3610))
    low, high = RECEIVED - timedelta(hours=4), RECEIVED - timedelta(hours=1)
    times = [row["decided_at"] for row in found]
    assert times == sorted(times)
    assert [at - low for at in times[2:5]] == [timedelta(minutes=45 * n) for n in (1, 2, 3)]
    assert times[5] == high
    half = (high - low) // timedelta(microseconds=2)
    assert [row["clock_uncertainty_us"] for row in found[2:5]] == [half] * 3


def test_the_neighbour_before_may_be_in_an_earlier_commit() -> None:
    chain = rebooted()
    before = RECEIVED - timedelta(hours=2)

    def last(device_id: str, chain_id: str, seq: int) -> datetime:
        assert (device_id, chain_id, seq) == ("pump-07", "c-1", 2)
        return before

    found = correct(chain.sent[2:], seen(3610), last=last)
    assert [row["decided_at"] - before for row in found[:3]] == [
        timedelta(minutes=15 * n) for n in (1, 2, 3)
    ]


def test_without_a_neighbour_after_it_nothing_was_decided_after_it_was_received() -> None:
    found = correct(rebooted().sent[:5], seen(3610))
    assert found[4]["decided_at"] == RECEIVED - timedelta(hours=1)
    assert max(row["decided_at"] for row in found) < RECEIVED


def test_without_a_neighbour_before_only_the_order_is_known() -> None:
    found = correct(rebooted().sent[2:], seen(3610))
    times = [row["decided_at"] for row in found]
    assert times == sorted(times)
    assert times[2] < RECEIVED - timedelta(hours=1)
    assert {row["clock_uncertainty_us"] for row in found[:3]} == {None}


def test_order_of_arrival_makes_no_difference() -> None:
    sent = rebooted().sent
    there = {row["seq"]: row["decided_at"] for row in correct(sent, seen(3610))}
    back = {row["seq"]: row["decided_at"] for row in correct(sent[::-1], seen(3610))}
    assert there == back


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Whence-Boot-Id": "b"},
        {"Whence-Monotonic-Ns": "1"},
        {"Whence-Boot-Id": "", "Whence-Monotonic-Ns": "1"},
        {"Whence-Boot-Id": "b", "Whence-Monotonic-Ns": "-1"},
        {"Whence-Boot-Id": "b", "Whence-Monotonic-Ns": "1.5"},
        {"Whence-Boot-Id": "b", "Whence-Monotonic-Ns": str(2**63)},
        {"Whence-Boot-Id": "b", "Whence-Monotonic-Ns": "9" * 5000},
        {"Whence-Boot-Id": "b" * 201, "Whence-Monotonic-Ns": "1"},
    ],
    ids=lambda value: str(value)[:60],
)
def test_headers_that_say_nothing_usable_are_no_sighting(headers: dict[str, str]) -> None:
    assert sighting(headers, RECEIVED, 0) is None


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A receiver of recorded time, which stands at RECEIVED."""
    clock = RecordedClock(int(RECEIVED.timestamp()) * SECOND)
    with serving(tmp_path / "fleet", clock) as url:
        yield tmp_path / "fleet", url


@pytest.mark.parametrize("content_type", [None, JSON])
def test_the_receiver_corrects_by_the_headers_of_each_request(
    served: tuple[Path, str], content_type: str | None
) -> None:
    store, url = served
    headers = {"Whence_Boot_Id": "b-2", "Whence_Monotonic_Ns": str(3610 * SECOND)}

    def send(*spans: Any, **more: str) -> Answer:
        if content_type:
            return post(url, json_body(group(spans)), content_type, **more)
        return post(url, body(group(spans)), **more)

    chain = rebooted()
    assert send(*chain.sent[:2]).status == 200
    assert send(*chain.sent[2:], **headers).status == 200
    assert send(decision_span(replace(at_boot(5)), **dawn())).status == 200
    found = rows_of(store, "SELECT seq, decided_at FROM decisions ORDER BY seq NULLS LAST")
    times = [at for _, at in found[:-1]]
    assert times == sorted(times)
    assert times[2] == RECEIVED - timedelta(hours=4) + timedelta(minutes=45)
    assert times[5] == RECEIVED - timedelta(hours=1)
    assert found[-1][1].year == 1970
