"""A proxy before a real receiver that does, request by request, what networks do to devices."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import TypeVar
from urllib.parse import urlsplit

OK_PAGE = b"<html><title>Welcome</title>Accept our terms</html>"
ANSWERS = {
    "portal": (200, {"Content-Type": "text/html"}, OK_PAGE),
    "liar": (200, {"Content-Type": "application/x-protobuf"}, OK_PAGE),
    "redirect": (302, {"Location": "http://127.0.0.1:9/login"}, b""),
    "moved": (308, {"Location": "http://127.0.0.1:9/v1/traces"}, b""),
    "busy": (429, {}, b""),
    "down": (503, {"Retry-After": "7"}, b"down"),
    "gateway": (502, {"Content-Type": "text/html"}, b"<html>"),
    "broken": (500, {}, b""),
    "unauthorized": (401, {}, b""),
    "missing": (404, {}, b""),
    "bad": (400, {"Content-Type": "text/html"}, b"<html>bad request"),
    "large": (413, {}, b""),
    "accepted": (202, {"Content-Type": "application/x-protobuf"}, b""),
    "empty": (204, {}, b""),
}
FAULTS = [
    *ANSWERS,
    "reset",
    "lost",
    "truncated",
    "headless",
    "silent",
    "endless",
    "closing",
    "hangup",
]
"""What the proxy can do instead of "pass"."""


@dataclass
class Proxy:
    """`plan` is what is done to the requests, in turn; then they pass. `seen` are requests' headers."""

    receiver: str
    plan: list[str] = field(default_factory=list)
    seen: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)
    url: str = ""
    over: threading.Event = field(default_factory=threading.Event)

    def next(self) -> str:
        return self.plan.pop(0) if self.plan else "pass"


Made = TypeVar("Made", bound=Proxy)


@contextlib.contextmanager
def proxied(proxy: Made) -> Iterator[Made]:
    """The proxy on a loopback port until the block ends."""
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        threads.append(threading.Thread(target=_accept, args=(proxy, listener, threads)))
        threads[0].start()
        try:
            yield proxy
        finally:
            proxy.over.set()
            for each in (listener, *proxy.connections):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def _accept(proxy: Proxy, listener: socket.socket, threads: list[threading.Thread]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        proxy.connections.append(connection)
        threads.append(threading.Thread(target=_serve, args=(proxy, connection)))
        threads[-1].start()


def _serve(proxy: Proxy, connection: socket.socket) -> None:
    with connection, connection.makefile("rb") as stream, contextlib.suppress(OSError):
        connection.settimeout(20)
        while (request := _request(stream)) is not None:
            headers, body = request
            proxy.seen.append(headers)
            proxy.bodies.append(body)
            if not _do(proxy, connection, proxy.next(), headers, body):
                return


def _request(stream) -> tuple[dict[str, str], bytes] | None:
    if not stream.readline():
        return None
    headers = {}
    while line := stream.readline().strip():
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked":
        return headers, b"".join(_chunks(stream))
    return headers, stream.read(int(headers.get("content-length", 0)))


def _chunks(stream) -> Iterator[bytes]:
    while size := int(stream.readline(), 16):
        yield stream.read(size)
        stream.readline()
    stream.readline()


def _do(
    proxy: Proxy, connection: socket.socket, fault: str, headers: dict[str, str], body: bytes
) -> bool:
    """Treat one request; returns whether the connection stays."""
    if fault in ANSWERS:
        connection.sendall(_answer(*ANSWERS[fault]))
        return True
    if fault == "hangup":  # before reading further, as a server that was restarted
        return False
    if fault == "reset":
        _reset(connection)
        return False
    if fault == "silent":  # half-open: nobody is there any more, and nobody says so
        proxy.over.wait(5)
        return False
    answer = _forward(proxy, headers, body)
    if fault == "lost":
        _reset(connection)
    elif fault == "truncated":
        connection.sendall(_answer(200, {"Content-Type": "application/x-protobuf"}, b"x" * 9)[:-5])
    elif fault == "headless":
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n")
    elif fault == "endless":
        with contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while not proxy.over.wait(0.05):
                connection.sendall(b"X-Padding: drip\r\n")
    else:
        connection.sendall(answer)
        return fault != "closing"
    return False


def _forward(proxy: Proxy, headers: dict[str, str], body: bytes) -> bytes:
    address = urlsplit(proxy.receiver)
    there = HTTPConnection(address.hostname or "", address.port, timeout=20)
    kept = {n: headers[n] for n in ("content-type", "content-encoding") if n in headers}
    there.request("POST", "/v1/traces", body, kept)
    response = there.getresponse()
    content = response.read()
    there.close()
    return _answer(response.status, {"Content-Type": response.headers["content-type"]}, content)


def _answer(status: int, headers: dict[str, str], body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
