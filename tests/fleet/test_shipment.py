"""Nothing is lost on the way to the receiver, and a receiver that refuses is an error."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from observability.fleet.shipment import MAX_PENDING, Shipment, ShipmentError
from traces import Decision, ModelVersion
from traces.device import RecordedClock, Recorder

DECISION = Decision(
    type="valve.close",
    model=ModelVersion("m", "1", "sha256:0"),
    action="hold",
    disposition="executed",
)


class Peer(HTTPServer):
    """An OTLP receiver that answers with the statuses that it is given, then with 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.statuses: list[int] = []
        self.taken: list[int] = []


class Answer(BaseHTTPRequestHandler):
    server: Peer

    def do_POST(self) -> None:
        body = ExportTraceServiceRequest.FromString(
            self.rfile.read(int(self.headers["Content-Length"]))
        )
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if status == 200:
            self.server.taken.append(
                sum(len(s.spans) for r in body.resource_spans for s in r.scope_spans)
            )
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fleet_of(shipment: Shipment, devices: int) -> list[Recorder]:
    return [
        Recorder(device_id=f"d{n}", service="s", processor=shipment, clock=RecordedClock(1))
        for n in range(devices)
    ]


def shipment_to(peer: Peer, set_time: Callable[[int], object] = lambda _: None) -> Shipment:
    address = f"http://127.0.0.1:{peer.server_port}/v1/traces"
    return Shipment(OTLPSpanExporter(endpoint=address, timeout=5), set_time)


def test_devices_share_requests_of_bounded_size_and_all_spans_arrive(peer):
    shipment = shipment_to(peer)
    recorders = fleet_of(shipment, 3)
    for number in range(1300):
        recorders[number % 3].record(DECISION)
        if shipment.is_full:
            shipment.ship(number)
    shipment.ship(1300)
    shipment.finish()
    shipment.close()

    assert sum(peer.taken) == shipment.shipped == 1300
    assert max(peer.taken) == MAX_PENDING


def test_a_refused_request_is_tried_again(peer):
    peer.statuses = [400, 400]
    shipment = shipment_to(peer)
    fleet_of(shipment, 1)[0].record(DECISION)

    shipment.ship(0)
    shipment.finish()
    shipment.close()

    assert peer.taken == [1]


def test_a_receiver_that_keeps_refusing_is_an_error(peer):
    peer.statuses = [400] * 3
    shipment = shipment_to(peer)
    fleet_of(shipment, 1)[0].record(DECISION)

    shipment.ship(0)
    with pytest.raises(ShipmentError, match="no acknowledgement of 1 spans after 0, 3 times"):
        shipment.finish()
    shipment.close()


def test_the_clock_of_the_receiver_is_moved_before_each_request(peer):
    order: list[int] = []
    shipment = shipment_to(
        peer, lambda now_ns: order.append(now_ns if len(peer.taken) == len(order) else -1)
    )
    recorder = fleet_of(shipment, 1)[0]
    for now_ns in (10, 20, 30):
        recorder.record(DECISION)
        shipment.ship(now_ns)
    shipment.finish()
    shipment.close()

    assert order == [10, 20, 30]
