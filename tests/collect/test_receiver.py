"""The receiver over real HTTP: what it answers, and what is stored then."""

from __future__ import annotations

import concurrent.futures
import gzip
import http.client
import io
import json
import os
import shutil
import socket
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from observability.collect.address import listen, url_of
from observability.collect.limits import Limits
from observability.collect.service import Service
from observability.collect.serving import answering, serving
from tests.spans import (
    JSON,
    PROTOBUF,
    Answer,
    counts,
    decision,
    decision_span,
    group,
    json_body,
    outcome_span,
    post,
    protobuf_body,
    rows,
    span,
)
from traces.codec import encode_decision

LIMITS = Limits(body_bytes=100_000, message_bytes=200_000, spans_per_request=50)


@pytest.fixture
def url(store: Path) -> Iterator[str]:
    with serving(store, limits=LIMITS) as base:
        yield base


def body() -> bytes:
    return protobuf_body(group([decision_span()]))


def count(store: Path) -> int:
    return rows(store, "SELECT count(*) FROM decisions")[0][0]


def message(answer: Answer) -> str:
    """The text of an error's Status, which has the form of the request."""
    if answer.headers["content-type"] == JSON:
        return answer.json["message"]
    assert answer.headers["content-type"] == PROTOBUF
    return Status.FromString(answer.body).message


def test_protobuf_and_json_are_stored_and_answered_in_kind(store: Path, url: str) -> None:
    first, second = decision_span(), decision_span()
    one = post(url, protobuf_body(group([first, outcome_span(first)])))
    two = post(
        url,
        json_body(group([second, span({"http.route": "/"})])),
        "Application/JSON; charset=utf-8",
    )
    assert (one.status, one.headers["content-type"], one.body) == (200, PROTOBUF, b"")
    assert (two.status, two.headers["content-type"], two.json) == (200, JSON, {})
    assert counts(store) == {
        "decisions": 2,
        "outcomes": 1,
        "spans": 1,
        "layouts": 1,
        "resources": 1,
    }


def test_an_empty_request_is_a_success_and_stores_nothing(store: Path, url: str) -> None:
    assert post(url, b"").status == 200
    assert post(url, b"{}", JSON).status == 200
    assert post(url, protobuf_body(group([]))).status == 200
    assert counts(store) == {}


def test_the_same_request_twice_is_stored_once(store: Path, url: str) -> None:
    sent = body()
    assert [post(url, sent).status for _ in range(3)] == [200] * 3
    assert counts(store)["decisions"] == 1


@pytest.mark.parametrize(
    ("sent", "content_type", "headers", "status"),
    [
        (b"\xff\xff no protobuf", PROTOBUF, {}, 400),
        (b"{", JSON, {}, 400),
        (b"\xff\xfe", JSON, {}, 400),
        (b"[" * 100_000, JSON, {}, 400),
        (b"", JSON, {}, 400),
        (b"{}", "text/plain", {}, 415),
        (b"{}", "", {}, 415),
        (b"{}", JSON, {"Content_Encoding": "br"}, 415),
        (b"{}", JSON, {"Content_Encoding": "gzip, gzip"}, 415),
        (b"no gzip", JSON, {"Content_Encoding": "gzip"}, 400),
        (gzip.compress(b"{}", mtime=0)[:-1], JSON, {"Content_Encoding": "gzip"}, 400),
        (gzip.compress(b"{}", mtime=0)[:5], JSON, {"Content_Encoding": "gzip"}, 400),
        (gzip.compress(b"{}", mtime=0) + b"more", JSON, {"Content_Encoding": "gzip"}, 400),
        (b" " * 100_001, JSON, {}, 413),
        (b" " * 100_001, PROTOBUF, {}, 413),
        (gzip.compress(b" " * 200_001, mtime=0), JSON, {"Content_Encoding": "gzip"}, 413),
        (gzip.compress(b"\0" * 80_000_000, mtime=0), PROTOBUF, {"Content_Encoding": "gzip"}, 413),
        (b"{}", JSON, {"Host": "evil.example"}, 403),
        (b"{}", JSON, {"Host": "evil.example:80"}, 403),
        (b"{}", JSON, {"Host": "127.0.0.1.evil.example"}, 403),
        (b"{}", JSON, {"Host": ""}, 403),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_refused_is_refused_with_its_status_and_a_reason(
    shared: str, sent: bytes, content_type: str, headers: dict[str, str], status: int
) -> None:
    answer = post(shared, sent, content_type, **headers)
    assert answer.status == status
    assert message(answer).startswith("found ")
    assert "\n" not in message(answer)
    assert "retry-after" not in answer.headers


@pytest.fixture(scope="module")
def shared(_made_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One receiver for all requests of which nothing may be stored."""
    store = shutil.copytree(_made_once, tmp_path_factory.mktemp("shared") / "fleet")
    with serving(store, limits=LIMITS) as base:
        yield base
    assert counts(store) == {}


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.2:80", "[::1]:4318", "[::1]"]
)
def test_every_name_of_this_machine_is_let_in(shared: str, host: str) -> None:
    assert post(shared, b"{}", JSON, Host=host).status == 200


@pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_only_post_is_allowed(shared: str, method: str, content_type: str) -> None:
    answer = post(shared, b"", content_type, method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert message(answer) == f"found {method}; expected POST"
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
def test_before_it_has_begun_a_sender_is_asked_to_come_again(
    tmp_path: Path, content_type: str
) -> None:
    service = Service(tmp_path / "fleet", "http://127.0.0.1:1")
    with listen("127.0.0.1", 0) as listener, answering(listener, service.routes()):
        answer = post(url_of(*listener.getsockname()), b"", content_type)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert message(answer) == "found a receiver that has not begun"


def test_more_spans_than_allowed_are_refused_readable_or_not(shared: str) -> None:
    many = protobuf_body(group([span({}) for _ in range(51)]))
    assert post(shared, many).status == 413
    items = '{"resourceSpans": [{"scopeSpans": [{"spans": [' + ",".join(["1"] * 51) + "]}]}]}"
    assert post(shared, items.encode(), JSON).status == 413


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def test_gzip_is_read_in_one_piece_in_chunks_and_in_members(store: Path, url: str) -> None:
    for number, packed in enumerate(
        [
            gzip.compress(body()),
            chunks(gzip.compress(body()), 7),
            b"".join(gzip.compress(part) for part in chunks(body(), 40)),
            chunks(b"".join(gzip.compress(part) for part in chunks(body(), 40)), 1),
            gzip.compress(body()) + gzip.compress(b""),
            chunks(body(), 11),
        ],
        start=1,
    ):
        encoding = {} if number == 6 else {"Content_Encoding": "gzip"}
        if not isinstance(packed, bytes):
            encoding["Transfer_Encoding"] = "chunked"
        assert post(url, packed, **encoding).status == 200
        assert count(store) == number


def test_a_bomb_without_a_length_is_stopped_while_it_streams(shared: str) -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)

    def bomb() -> Iterator[bytes]:
        for _ in range(60):
            yield compressor.compress(bytes(1 << 20)) + compressor.flush(zlib.Z_SYNC_FLUSH)

    answer = post(shared, bomb(), Content_Encoding="gzip", Transfer_Encoding="chunked")
    assert answer.status == 413
    assert post(shared, b"{}", JSON).status == 200


def test_good_spans_are_stored_and_the_bad_counted_and_kept_with_their_reason(
    store: Path, url: str
) -> None:
    bad = [
        span({"decision.type": "pump.stop"}),
        span({}, end_time_unix_nano=1),
        span({}, trace_id=b"short"),
    ]
    for content_type, sent in (
        (PROTOBUF, protobuf_body(group([decision_span(), *bad]))),
        (JSON, json_body(group([decision_span(), *bad]))),
    ):
        answer = post(url, sent, content_type)
        assert answer.status == 200
        if content_type == PROTOBUF:
            partial = ExportTraceServiceResponse.FromString(answer.body).partial_success
            assert (partial.rejected_spans, partial.error_message[:6]) == (3, "found ")
        else:
            assert answer.json["partialSuccess"]["rejectedSpans"] == "3"
    assert counts(store) == {"decisions": 2, "layouts": 1, "resources": 1, "rejects": 3}
    kept = rows(store, "SELECT device_id, reason, raw FROM rejects")
    assert {(device, bytes(raw)) for device, _, raw in kept} == {
        ("pump-07", each.SerializeToString()) for each in bad
    }


def test_only_so_much_of_a_rejected_span_is_kept_and_its_reason_is_one_line(
    store: Path, url: str
) -> None:
    huge = span({"decision.type": "x\n" * 30_000, "a\nb": "c"}, name="\n")
    post(url, protobuf_body(group([huge])))
    ((reason, size),) = rows(store, "SELECT reason, octet_length(raw) FROM rejects")
    assert len(reason) <= 500
    assert "\n" not in reason
    assert size <= 65536


def test_a_decision_without_a_device_is_rejected_but_another_span_is_kept(
    store: Path, url: str
) -> None:
    nameless = group([decision_span(), span({})])
    nameless.envelope.resource.ClearField("attributes")
    answer = post(url, json_body(nameless), JSON)
    assert answer.json["partialSuccess"]["rejectedSpans"] == "1"
    assert rows(store, "SELECT device_id FROM spans") == [("",)]
    assert "device.id" in rows(store, "SELECT reason FROM rejects")[0][0]


def test_a_resource_that_cannot_be_stored_rejects_its_spans_and_no_others(
    store: Path, url: str
) -> None:
    groups = group([decision_span()], "a\0b"), group([decision_span()], "good", blob="x" * 70_000)
    answer = post(url, protobuf_body(*groups, group([decision_span()], "good")))
    assert ExportTraceServiceResponse.FromString(answer.body).partial_success.rejected_spans == 2
    assert rows(store, "SELECT device_id FROM decisions") == [("good",)]
    assert len(rows(store, "FROM rejects")) == 2


def test_a_poisonous_span_does_not_stop_its_neighbours(store: Path, url: str) -> None:
    for poison in (
        {"decision.type": "a\0b"},
        {"decision.action": "\0"},
        {"decision.model.name": "\0"},
    ):
        spans = [decision_span(), span(encode_decision(decision()) | poison, "x")]
        answer = post(url, json_body(group(spans)), JSON)
        assert answer.json["partialSuccess"]["rejectedSpans"] == "1"
    assert count(store) == 3


def test_when_too_much_is_waiting_the_sender_is_asked_to_come_again(store: Path) -> None:
    small = Limits(queue_bytes=100)
    with serving(store, limits=small) as url:
        answer = post(url, body())
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert "waiting to be stored" in message(answer)
    assert counts(store) == {}


def test_nothing_is_acknowledged_while_the_disk_fails_and_everything_afterwards(
    store: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    sent = [body() for _ in range(4)]
    answers = together(url, sent)
    assert {(answer.status, answer.headers["retry-after"]) for answer in answers} == {(503, "2")}
    assert "No space left" in message(answers[0])
    monkeypatch.undo()
    assert counts(store) == {}
    assert [answer.status for answer in together(url, sent)] == [200] * 4
    assert count(store) == 4


def together(url: str, bodies: list[bytes]) -> list[Answer]:
    answers: list[Any] = [None] * len(bodies)

    def send(index: int) -> None:
        answers[index] = post(url, bodies[index])

    threads = [threading.Thread(target=send, args=(index,)) for index in range(len(bodies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_many_senders_at_once_lose_nothing(store: Path, url: str) -> None:
    bodies = [
        protobuf_body(group([decision_span() for _ in range(10)], f"d{n % 7}")) for n in range(40)
    ]
    assert {answer.status for answer in together(url, bodies + bodies[:10])} == {200}
    assert count(store) == 400


def test_a_sender_that_leaves_stops_nobody(store: Path, url: str) -> None:
    address = urlsplit(url)
    for cut in (20, 200, None):
        data = body()
        head = f"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: {PROTOBUF}\r\n"
        head += f"Content-Length: {len(data)}\r\n\r\n"
        with socket.create_connection((address.hostname, address.port)) as gone:
            gone.sendall((head.encode() + data)[:cut])
    assert post(url, body()).status == 200
    assert count(store) in (1, 2)


def test_a_connection_is_kept_for_the_next_request(store: Path, url: str) -> None:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    for sent, status in ((body(), 200), (b"\xff", 400), (body(), 200)):
        connection.request("POST", "/v1/traces", sent, {"Content-Type": PROTOBUF})
        response = connection.getresponse()
        response.read()
        assert response.status == status
    connection.close()
    assert count(store) == 2


INVALID = Path(__file__).parents[1] / "invalid"


def test_each_kind_of_bad_span_is_rejected_with_its_reason(store: Path, url: str) -> None:
    cases = {
        path.name: json.loads(path.read_bytes()) for path in sorted(INVALID.glob("span_*.json"))
    }
    for name, case in cases.items():
        answer = post(url, json.dumps(case["body"]).encode(), JSON)
        assert answer.status == 200, name
        assert answer.json["partialSuccess"] == {
            "rejectedSpans": "1",
            "errorMessage": case["reason"],
        }, name
    stored = {reason for (reason,) in rows(store, "SELECT reason FROM rejects")}
    assert stored == {case["reason"] for case in cases.values()}
    assert counts(store).keys() == {"rejects", "resources"}


@pytest.mark.parametrize("path", sorted(INVALID.glob("body_*")), ids=lambda path: path.name)
def test_each_kind_of_bad_body_is_refused(shared: str, path: Path) -> None:
    content_type = PROTOBUF if path.suffix == ".bin" else JSON
    encoding = (
        {"Content_Encoding": "gzip"} if ".gz" in path.suffixes or path.suffix == ".gz" else {}
    )
    answer = post(shared, path.read_bytes(), content_type, **encoding)
    assert answer.status == 400
    assert message(answer).startswith("found ")


def test_a_body_of_exactly_the_limit_is_read(shared: str) -> None:
    assert post(shared, b"{}".ljust(100_000), JSON).status == 200
    assert (
        post(shared, gzip.compress(b"{}".ljust(200_000)), JSON, Content_Encoding="gzip").status
        == 200
    )
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as file:
        file.write(b"{}".ljust(200_000))
    assert post(shared, packed.getvalue(), JSON, Content_Encoding="gzip").status == 200


def token(store: Path) -> dict[str, str]:
    return {"Authorization": "Bearer " + json.loads((store / "writer.json").read_text())["token"]}


def test_only_the_writers_token_may_say_when_a_span_was_received(store: Path, url: str) -> None:
    when = {"Whence_Received_At": "2020-02-03T04:05:06.000007Z"}
    assert post(url, body(), **when).status == 401
    assert post(url, body(), **when, Authorization="Bearer guess").status == 401
    assert count(store) == 0
    assert post(url, body(), **when, **token(store)).status == 200
    found = rows(store, "SELECT received_at::VARCHAR FROM decisions")
    assert found == [("2020-02-03 04:05:06.000007+00",)]


def test_spans_received_on_several_days_are_one_commit_or_more_but_all_there(
    store: Path, url: str
) -> None:
    days = [f"2020-02-{day:02d}T23:59:59Z" for day in range(1, 9)]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answers = pool.map(
            lambda day: post(url, body(), Whence_Received_At=day, **token(store)), days
        )
        assert {answer.status for answer in answers} == {200}
    assert post(url, body()).status == 200
    assert rows(store, "SELECT count(DISTINCT received_at::DATE) FROM decisions") == [(9,)]


@pytest.mark.parametrize(
    "given", ["2026-01-01", "2026-01-01T00:00:00", "soon", "", "0001-01-01T00:00:00+14:00"]
)
def test_a_time_of_receipt_that_is_no_instant_is_refused(store: Path, url: str, given: str) -> None:
    answer = post(url, body(), Whence_Received_At=given, **token(store))
    assert (answer.status, message(answer)[:6]) == (400, "found ")


def test_an_empty_store_may_begin_to_keep_recorded_time_and_one_of_real_time_may_not(
    store: Path, url: str
) -> None:
    path = "/whence/clock"
    assert post(url, b"recorded", "text/plain", path).status == 401
    assert post(url, b"sundial", "text/plain", path, **token(store)).status == 409
    assert post(url, b"recorded" * 20, "text/plain", path, **token(store)).status == 413
    assert post(url, b"recorded", "text/plain", path, **token(store)).status == 200
    assert rows(store, "SELECT value FROM meta WHERE key = 'clock'") == [("recorded",)]
    assert post(url, b"system", "text/plain", path, **token(store)).status == 200
    assert post(url, body()).status == 200
    answer = post(url, b"recorded", "text/plain", path, **token(store))
    assert (answer.status, "an empty store" in answer.json["message"]) == (409, True)
