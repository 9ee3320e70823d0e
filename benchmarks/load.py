"""Senders that post bodies over kept connections and note what each was answered.

Light on purpose: threads and http.client, since the load runs on the machine that it loads. A sender has
one request under way, as a device has.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bodies import Body, Stream

TIMEOUT_S = 60.0
AGAIN_S = 0.2
"""How long a sender waits after a refusal. Devices wait as long as Retry-After asks; here time is short."""
GZIP = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}


@dataclass(frozen=True, slots=True)
class Answered:
    """A body that was acknowledged: when, monotonic seconds, and how long after it was due."""

    body: Body
    at_s: float
    after_s: float


@dataclass
class Load:
    """A sender for each stream. `again`: what is refused is sent again until it is acknowledged.

    `per_s` is how many decisions a second are sent by all together, as a clock gives them out: a request
    that had to wait for the one before it counts from when it was due. Without, as fast as they are answered.
    """

    url: str
    streams: Sequence[Stream]
    again: bool = True
    per_s: float | None = None
    headers: dict[str, str] = field(default_factory=lambda: dict(GZIP))
    answers: Counter[str] = field(default_factory=Counter)
    acknowledged: list[Answered] = field(default_factory=list)
    started_s: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Load:
        self.started_s = time.monotonic()
        self._threads = [
            threading.Thread(target=self._send, args=(number, stream), daemon=True)
            for number, stream in enumerate(self.streams)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Send nothing more; what is under way is answered first."""
        self._stop.set()
        self.join()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait until all is sent; returns whether it is."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(None if until is None else max(until - time.monotonic(), 0.0))
        return not any(thread.is_alive() for thread in self._threads)

    @property
    def decisions(self) -> int:
        """How many decisions were acknowledged."""
        return sum(len(each.body.ids) for each in list(self.acknowledged))

    def decisions_per_s(self) -> float:
        """Acknowledged decisions per second, from the start to the last acknowledgement."""
        return self.decisions / (max(each.at_s for each in self.acknowledged) - self.started_s)

    def left(self) -> list[list[Body]]:
        """What of each stream was not acknowledged, in order."""
        done = {id(each.body) for each in self.acknowledged}
        return [[body for body in stream if id(body) not in done] for stream in self.streams]

    def _send(self, number: int, stream: Stream) -> None:
        connection = connect(self.url)
        ahead = 0
        with contextlib.closing(connection):
            for body in stream:
                due_s = self._due_s(number, ahead)
                ahead += len(body.ids)
                if due_s is not None and self._stop.wait(max(due_s - time.monotonic(), 0.0)):
                    return
                if not self._deliver(connection, body, due_s or time.monotonic()):
                    return

    def _due_s(self, number: int, ahead: int) -> float | None:
        """When the request after `ahead` decisions of a stream is to be sent, monotonic seconds."""
        if self.per_s is None:
            return None
        between_s = len(self.streams) / self.per_s
        return self.started_s + (ahead + 100 * number / len(self.streams)) * between_s

    def _deliver(self, connection: http.client.HTTPConnection, body: Body, due_s: float) -> bool:
        """Whether the body was taken, if only in part, before the load was stopped."""
        while not self._stop.is_set():
            said = post(connection, body.data, self.headers)
            self.answers[said] += 1
            if said == "200":
                now = time.monotonic()
                self.acknowledged.append(Answered(body, now, now - due_s))
            if said.startswith("200"):
                return True
            if not self.again:
                return False
            self._stop.wait(AGAIN_S)
        return False


def connect(url: str) -> http.client.HTTPConnection:
    """A connection that is kept, and made again where it was lost."""
    address = urlsplit(url)
    return http.client.HTTPConnection(address.hostname or "", address.port, timeout=TIMEOUT_S)


def post(
    connection: http.client.HTTPConnection, data: bytes, headers: dict[str, str] = GZIP
) -> str:
    """What a request was answered: the status, "200 partial" where spans were rejected, or why nothing."""
    try:
        connection.request("POST", "/v1/traces", data, headers)
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return "time out" if isinstance(error, TimeoutError) else "connection lost"
    if response.status == 200 and content not in (b"", b"{}"):
        return "200 partial"
    return str(response.status)
