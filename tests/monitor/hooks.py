"""A service that is told of alerts: a real HTTP server whose answers a test chooses."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DRIP, HANG = -1, -2
"""Answers that never end: a byte at a time, and nothing."""


@dataclass
class Hook:
    """Answers in turn, 200 when there are no more; `taken` are the requests that were read."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    location: str = ""
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def waits_for(self, many: int, within_s: float = 20.0) -> list[tuple[dict[str, str], bytes]]:
        deadline = time.monotonic() + within_s
        while len(self.taken) < many and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.taken


@contextmanager
def hook(*answers: int, location: str = "") -> Iterator[Hook]:
    told = Hook(answers=list(answers), location=location)
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = told.answers.pop(0) if told.answers else 200
            told.taken.append((dict(self.headers), body))
            if status == HANG:
                over.wait(30)
            elif status == DRIP:
                self._drip()
            else:
                self.send_response(status)
                if told.location:
                    self.send_header("Location", told.location)
                self.end_headers()

        def _drip(self) -> None:
            try:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while not over.wait(0.05):
                    self.wfile.write(b".")
            except OSError:
                pass

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_port}/hook?to=ops"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield told
    finally:
        over.set()
        server.shutdown()
        server.server_close()
