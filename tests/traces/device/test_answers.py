"""What an answer means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from traces.device.answers import LONGEST_RETRY_S, PROTOBUF, Reply, Verdict, read_answer
from traces.device.bandwidth import LONGEST_BACKOFF_S, Bucket, backoff_s

NOON_NS = 1_767_268_800 * 10**9
NOON = "Thu, 01 Jan 2026 12:00:00 GMT"


@given(
    st.integers(100, 599),
    st.sampled_from(["", "text/html", "application/json", PROTOBUF, PROTOBUF.upper()]),
    st.binary(max_size=20),
    st.booleans(),
)
def test_only_200_with_a_whole_body_of_the_right_kind_acknowledges(
    status: int, content_type: str, body: bytes, is_whole: bool
) -> None:
    answer = read_answer(Reply(status, {"content-type": content_type}, body, is_whole), NOON_NS)
    if answer.verdict is Verdict.ACKNOWLEDGED:
        assert status == 200 and content_type.lower() == PROTOBUF and is_whole
        ExportTraceServiceResponse.FromString(body)
    else:
        assert (answer.verdict is Verdict.POISON) == (status in (400, 413, 422))
        assert answer.why and "\n" not in answer.why


@pytest.mark.parametrize(
    ("given_", "seconds"),
    [
        ("17", 17),
        ("0", 0),
        ("999999", LONGEST_RETRY_S),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(given_: str, seconds: float | None) -> None:
    reply = Reply(503, {"retry-after": given_}, b"")
    assert read_answer(reply, NOON_NS).retry_after_s == seconds


def test_a_date_counts_from_the_servers_clock_for_the_devices_may_be_wrong() -> None:
    headers = {"retry-after": "Thu, 01 Jan 2026 12:00:30 GMT", "date": NOON}
    assert read_answer(Reply(429, headers, b""), now_ns=0).retry_after_s == 30


@given(st.integers(1, 10_000), st.none() | st.floats(0, 3600), st.floats(0, 1))
def test_the_backoff_is_bounded_and_never_less_than_asked(
    failures: int, asked: float | None, jitter: float
) -> None:
    least = asked or 0.0
    assert least <= backoff_s(failures, asked, lambda: jitter) <= least + LONGEST_BACKOFF_S


@given(st.floats(10, 1e6), st.lists(st.tuples(st.integers(1, 5000), st.floats(0, 5)), min_size=1))
def test_the_bucket_lets_no_more_through_than_its_rate_and_a_second(
    rate: float, writes: list[tuple[int, float]]
) -> None:
    bucket, now, taken = Bucket(rate), 0.0, 0
    for number, pause in writes:
        now += pause
        taken += number
        now += bucket.take(number, now)
        assert taken <= rate * (now + 1) * (1 + 1e-9) + 1e-3
