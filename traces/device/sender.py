"""The sender: what the spool holds goes to a server, in order, until it is there.

The invariants: frames are let go only by a valid acknowledgement or into quarantine; nothing is sent to
where a redirect points; whatever happens here, nothing is raised.
"""

from __future__ import annotations

import gzip
import logging
import random
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path

from traces.device.answers import PROTOBUF, Answer, Verdict, read_answer
from traces.device.bandwidth import Bucket, backoff_s
from traces.device.clock import Clock
from traces.device.sealed import Batch
from traces.device.spool import Spool
from traces.device.transport import Tls, Transport, read_url
from traces.errors import SpoolError, first_line
from traces.wire import request_bytes

REQUEST_BYTES = 512 << 10
_log = logging.getLogger("whence.device")
_UNBOUNDED = 1 << 30

Token = str | Path | Callable[[], str]
Headers = Mapping[str, str] | Callable[[], Mapping[str, str]]


class _Stopped(Exception):
    """The sender is to stop, or its time is over: what is on its way is sent again."""


class Sender:
    """Sends the frames of a spool to an OTLP/HTTP receiver at `url`, oldest first.

    A gateway's sends those of several, `spools`, together: each in its own order.
    `token` is a bearer token, the file it is in, or what returns it: asked at each request, so that it
    can be rotated. `tls` names the device's certificate and who may sign the server. `bytes_per_s` caps
    what is written. `headers` are further ones, or what returns them. `request_bytes` bounds the spans of
    a request before compression. `every_s` is how long a pass waits for the next while there is no trouble;
    `timeout_s` how long the network may be silent. `wait` sleeps that many seconds and returns whether to
    stop; the sender's own wakes up at `stop`.

    Raises SpoolError where the URL cannot be meant, or would send the token in clear to another machine.
    """

    def __init__(
        self,
        spool: Spool | Sequence[Spool],
        url: str,
        *,
        token: Token | None = None,
        tls: Tls | ssl.SSLContext | None = None,
        bytes_per_s: float | None = None,
        clock: Clock | None = None,
        headers: Headers | None = None,
        request_bytes: int = REQUEST_BYTES,
        every_s: float = 5.0,
        timeout_s: float = 30.0,
        wait: Callable[[float], bool] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        endpoint = read_url(url)
        if token is not None and not endpoint.is_tls and not endpoint.is_loopback:
            raise SpoolError(f"a token for {url}, in clear", "https for another machine")
        self._spools = [spool] if isinstance(spool, Spool) else list(spool)
        self._token, self._headers = token, headers
        self._clock = clock or self._spools[0].clock
        self._request_bytes, self._every_s = request_bytes, every_s
        self._stopping = threading.Event()
        self._wait, self._jitter = wait or self._stopping.wait, jitter
        self._bucket = Bucket(bytes_per_s) if bytes_per_s else None
        chunk = self._bucket.chunk if self._bucket else _UNBOUNDED
        self._transport = Transport(endpoint, tls, self._patience_s, self._pace, chunk)
        self._timeout_s = timeout_s
        self._sending = threading.Lock()
        self._thread: threading.Thread | None = None
        self._most = self._failures = 0
        self._retry_after_s: float | None = None
        self._until_s: float | None = None

    def add(self, spool: Spool) -> None:
        """Send the frames of one more spool, from the next request on."""
        self._spools.append(spool)

    def start(self) -> None:
        """Send in a thread of its own from now on."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="whence-sender", daemon=True)
            self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Stop at once: what is on its way is cut off and stays in the spool. `start` sends again."""
        self._stopping.set()
        self._transport.cut()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(timeout_s)
        if self._sending.acquire(timeout=timeout_s):
            self._transport.close()
            self._sending.release()

    def send(self, *, seal: bool = True) -> int:
        """Send what there is, until it is all there or until trouble; returns the acknowledged frames.

        Without `seal` only what is sealed already.
        """
        with self._sending:
            return self._pass(seal=seal)

    def flush(self, timeout_s: float) -> bool:
        """Send, again and again, until nothing waits; False where the time was over before."""
        until = time.monotonic() + timeout_s
        if not self._sending.acquire(timeout=timeout_s):
            return False
        self._until_s = until
        try:
            while True:
                self._pass()
                if all(spool.is_empty for spool in self._spools):
                    return True
                left = until - time.monotonic()
                if left <= 0 or self._wait(min(self._pause_s(), left)):
                    return False
        finally:
            self._until_s = None
            self._sending.release()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.send()
            if self._wait(self._pause_s()):
                return

    def _pause_s(self) -> float:
        if not self._failures:
            return self._every_s
        return backoff_s(self._failures, self._retry_after_s, self._jitter)

    def _pass(self, *, seal: bool = True) -> int:
        acknowledged = 0
        try:
            for spool in self._spools if seal else ():
                spool.seal()
            while not self._is_over():
                taken = self._take()
                if not taken:
                    self._failures = 0
                    break
                answer = self._ask([batch for _, batch in taken])
                if answer.verdict is Verdict.ACKNOWLEDGED:
                    acknowledged += sum(len(batch) for _, batch in taken)
                if not self._follow(taken, answer):
                    break
        except _Stopped:
            pass
        except Exception as error:
            self._trouble(Answer(Verdict.LATER, first_line(error)))
        for spool in self._spools:
            spool.sealed.release()
        return acknowledged

    def _take(self) -> list[tuple[Spool, Batch]]:
        """The oldest frames of each spool for one request; of one spool only while looking for poison."""
        taken: list[tuple[Spool, Batch]] = []
        room = self._request_bytes
        for spool in self._spools:
            batch = spool.take(room, self._most or _UNBOUNDED)
            if batch is not None:
                taken.append((spool, batch))
                room -= sum(map(len, batch.spans))
                if room <= 0 or self._most:
                    break
        return taken

    def _follow(self, taken: Sequence[tuple[Spool, Batch]], answer: Answer) -> bool:
        """Do as the answer says; returns whether to go on at once."""
        number = sum(len(batch) for _, batch in taken)
        if answer.verdict is Verdict.ACKNOWLEDGED:
            self._failures, self._retry_after_s = 0, None
            self._most = self._most * 2 if self._most and self._most * 2 < _UNBOUNDED else 0
            if answer.rejected:
                _log.warning("the server rejected %s spans: %s", answer.rejected, answer.why)
                taken[0][0].state.count(rejected=answer.rejected)
            for spool, batch in taken:
                spool.sealed.acknowledge(batch)
            return True
        if answer.verdict is Verdict.POISON and number > 1:
            self._most = number // 2
            return True
        if answer.verdict is Verdict.POISON and self._server_is_sound():
            _log.warning("a frame the server refuses was put into quarantine: %s", answer.why)
            spool, batch = taken[0]
            spool.sealed.put_aside(batch, answer.why)
            self._note(f"quarantined a frame: {answer.why}")
            return True
        self._trouble(answer)
        return False

    def _server_is_sound(self) -> bool:
        """Whether an empty request is acknowledged: else it is not the frame that is wrong."""
        return self._ask(()).verdict is Verdict.ACKNOWLEDGED

    def _ask(self, batches: Sequence[Batch]) -> Answer:
        joined = b"".join([request_bytes(batch.envelope, batch.spans) for batch in batches])
        body = gzip.compress(joined, 6, mtime=0)
        try:
            reply = self._transport.post(body, self._given())
        except (OSError, HTTPException) as error:
            if self._is_over():
                raise _Stopped from error
            return Answer(Verdict.LATER, f"{type(error).__name__}: {first_line(error)}")
        return read_answer(reply, self._clock.wall_ns())

    def _given(self) -> dict[str, str]:
        further = self._headers() if callable(self._headers) else self._headers
        given = {
            **(further or {}),
            "Content-Type": PROTOBUF,
            "Content-Encoding": "gzip",
            "Whence-Boot-Id": self._clock.boot_id,
            "Whence-Monotonic-Ns": str(self._clock.monotonic_ns()),
        }
        token = self._token
        if isinstance(token, Path):
            token = token.read_text(encoding="ascii").strip()
        elif callable(token):
            token = token()
        if token:
            given["Authorization"] = f"Bearer {token}"
        return given

    def _pace(self, number: int) -> None:
        """Before bytes are written: hold the cap, and write no more once it is over."""
        if self._is_over():
            raise _Stopped
        if self._bucket is not None:
            delay = self._bucket.take(number, self._clock.monotonic_ns() / 1e9)
            if delay and self._wait(delay):
                raise _Stopped

    def _patience_s(self) -> float:
        if self._until_s is None:
            return self._timeout_s
        return min(self._timeout_s, max(self._until_s - time.monotonic(), 0.01))

    def _is_over(self) -> bool:
        over = self._until_s is not None and time.monotonic() >= self._until_s
        return over or self._stopping.is_set()

    def _trouble(self, answer: Answer) -> None:
        self._failures += 1
        self._retry_after_s = answer.retry_after_s
        _log.info("not sent: %s", answer.why)
        self._note(answer.why)

    def _note(self, why: str) -> None:
        for spool in self._spools:
            spool.state.note(error=why, error_at_ns=self._clock.wall_ns())
