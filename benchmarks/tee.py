"""A receiver that keeps the spans of each request that it acknowledged, by itself or for one behind it."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

PROTOBUF = "application/x-protobuf"


@dataclass
class Tee:
    """An OTLP receiver that keeps the spans of what it acknowledged; `forward` is one behind it."""

    forward: str = ""
    url: str = ""
    requests: int = 0
    spans: dict[str, Span] = field(default_factory=dict)

    @contextlib.contextmanager
    def serving(self) -> Iterator[Tee]:
        """Receive on a loopback port until the block ends."""
        tee = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = tee.take(body)
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Type", PROTOBUF)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                """Clients are killed here all the time."""

        with Server(("127.0.0.1", 0), Handler) as server:
            self.url = f"http://127.0.0.1:{server.server_address[1]}"
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()

    def take(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer to a request."""
        status, answer = 200, b""
        if self.forward:
            address = urlsplit(self.forward)
            there = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
            with contextlib.closing(there):
                headers = {"Content-Type": PROTOBUF, "Content-Encoding": "gzip"}
                there.request("POST", "/v1/traces", body, headers)
                response = there.getresponse()
                status, answer = response.status, response.read()
        if status == 200:
            self.requests += 1
            for resource in TracesData.FromString(gzip.decompress(body)).resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        self.spans[f"{span.trace_id.hex()}-{span.span_id.hex()}"] = span
        return status, answer
