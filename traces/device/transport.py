"""HTTP of the sender: one keep-alive connection, mutual TLS, nothing followed, nothing waited for forever."""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from traces.device.answers import Reply
from traces.errors import SpoolError

TRACES_PATH = "/v1/traces"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_MOST_ANSWER = 1 << 20
_ANSWER_TIMEOUTS = 4
_GONE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files, read again with every connection, so that they can be rotated.

    `ca` is who may sign the server (None: the system's); certificate and key are the device's own.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go."""

    is_tls: bool
    host: str
    port: int | None
    path: str

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine."""
        return self.host in _LOOPBACK


def read_url(url: str) -> Endpoint:
    """The endpoint of a base URL, or of one that ends in /v1/traces. Raises SpoolError.

    >>> read_url("https://fleet.example:4318").path
    '/v1/traces'
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SpoolError(f"the URL {url!r}", "http(s)://host[:port]") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
        raise SpoolError(f"the URL {url!r}", "http(s)://host[:port]")
    path = parts.path.rstrip("/")
    path = path if path.endswith(TRACES_PATH) else path + TRACES_PATH
    return Endpoint(parts.scheme == "https", parts.hostname, port, path)


class Transport:
    """Posts to one endpoint, from one thread at a time. `patience_s` says how long the network may be silent.

    `pace` is called before so many bytes are written, and may wait or raise.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        tls: Tls | ssl.SSLContext | None,
        patience_s: Callable[[], float],
        pace: Callable[[int], object],
        chunk: int,
    ) -> None:
        self._endpoint, self._tls, self._patience_s = endpoint, tls, patience_s
        self._pace, self._chunk = pace, chunk
        self._connection: http.client.HTTPConnection | None = None

    def post(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Send, and return the whole answer, whatever it says. Raises OSError, HTTPException.

        A connection that the server closed while it was idle is replaced at once.
        """
        connection = self._kept()
        if connection is not None:
            with contextlib.suppress(*_GONE):
                return self._exchange(connection, body, headers)
            self.close()
        return self._exchange(self._connect(), body, headers)

    def cut(self) -> None:
        """From another thread: end what is on its way."""
        _cut(self._connection)

    def close(self) -> None:
        """Close the connection; the next post opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _exchange(
        self, connection: http.client.HTTPConnection, body: bytes, headers: Mapping[str, str]
    ) -> Reply:
        try:
            self._pace(_header_bytes(headers))
            given = {**headers, "Content-Length": str(len(body))}
            try:
                connection.request("POST", self._endpoint.path, self._paced(body), given)
            except (BrokenPipeError, ConnectionResetError):
                # A server that refuses a body answers before it has read all of it.
                return self._answer(connection)
            return self._answer(connection)
        except BaseException:
            self.close()
            raise

    def _answer(self, connection: http.client.HTTPConnection) -> Reply:
        """The answer. Each wait is bounded by the socket's timeout, all together by a few of them."""
        limit = threading.Timer(self._patience_s() * _ANSWER_TIMEOUTS, _cut, (connection,))
        limit.daemon = True
        limit.start()
        try:
            response = connection.getresponse()
            body, is_whole = _body(response)
            if response.will_close or not is_whole:
                self.close()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, headers, body, is_whole)
        finally:
            limit.cancel()

    def _paced(self, body: bytes) -> Iterator[bytes]:
        for start in range(0, len(body), self._chunk):
            piece = body[start : start + self._chunk]
            self._pace(len(piece))
            yield piece

    def _kept(self) -> http.client.HTTPConnection | None:
        """The open connection, unless the server has ended it: then there is something to read, its end."""
        connection = self._connection
        if connection is None or connection.sock is None:
            return None
        try:
            readable, _, _ = select.select([connection.sock], [], [], 0)
        except (OSError, ValueError):
            readable = True
        if readable:
            self.close()
            return None
        connection.sock.settimeout(self._patience_s())
        return connection

    def _connect(self) -> http.client.HTTPConnection:
        where = self._endpoint
        if where.is_tls:
            connection = http.client.HTTPSConnection(
                where.host, where.port, timeout=self._patience_s(), context=_context(self._tls)
            )
        else:
            connection = http.client.HTTPConnection(
                where.host, where.port, timeout=self._patience_s()
            )
        self._connection = connection
        return connection


def _body(response: http.client.HTTPResponse) -> tuple[bytes, bool]:
    """The body, and whether it is known to be whole: it is not where only the connection's end ends it.

    Raises HTTPException where it is cut short.
    """
    if response.chunked or response.length is None or response.length > _MOST_ANSWER:
        body = response.read(_MOST_ANSWER)
        return body, bool(response.chunked) and response.isclosed()
    return response.read(), True


def _context(tls: Tls | ssl.SSLContext | None) -> ssl.SSLContext:
    if isinstance(tls, ssl.SSLContext):
        return tls
    context = ssl.create_default_context(cafile=tls.ca if tls else None)
    if tls is not None and tls.certificate is not None:
        context.load_cert_chain(tls.certificate, tls.key)
    return context


def _cut(connection: http.client.HTTPConnection | None) -> None:
    sock = connection.sock if connection is not None else None
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _header_bytes(headers: Mapping[str, str]) -> int:
    return 64 + sum(len(name) + len(value) + 4 for name, value in headers.items())
