"""Webhooks: what of the alerts somebody's own service has not been told, and telling it, signed.

The queue is the events themselves less those that have a `delivered` event, so a kill loses nothing and may
repeat the last request: `webhook-id` is the same then. Headers and signature are those of Standard Webhooks
1.0 (standardwebhooks.com). A body holds alerts: never inputs, never what a device sent but names.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import secrets
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from observability.store.location import Store, location_of
from observability.store.read_alerts import Event
from traces.errors import StoreError, WrongUse, first_line

_PREFIX = "whsec_"
_SECRET_BYTES = 32
ANSWER_WITHIN_S = 10.0
"""For connecting, sending and the answer's first line and headers, all together."""
_URL_CHARACTERS = 2000


def checked_url(url: str) -> str:
    """The URL as it was given. Raises WrongUse for one that is not a plain http or https address."""
    expected = "http:// or https:// with a host, without user or password"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise WrongUse("a webhook URL that cannot be read", expected) from None
    printable = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in ("http", "https") or not parts.hostname or not printable:
        raise WrongUse(f"webhook URL {url!r}", expected)
    if "@" in parts.netloc:
        raise WrongUse(f"a user in the webhook URL of {parts.hostname}", expected)
    if len(url) > _URL_CHARACTERS:
        raise WrongUse(f"a webhook URL of {len(url)} characters", f"at most {_URL_CHARACTERS}")
    return url


def host_of(url: str) -> str:
    """What may be shown of a webhook: its path may be a secret.

    >>> host_of("https://hooks.example.org:8443/T0/B0/abc")
    'hooks.example.org:8443'
    """
    return urlsplit(url).netloc.rpartition("@")[2]


def secret_path(store: Store) -> Path:
    """Where this machine's secret lies; it is never in the lake."""
    return location_of(store).local / "keys" / "webhook.secret"


def secret_of(store: Store) -> bytes:
    """The store's secret, made on first use: 32 bytes. Raises StoreError where others may read it."""
    path = secret_path(store)
    try:
        if not path.exists():
            _make(path)
        if path.stat().st_mode & 0o077:
            raise StoreError(f"{path}, which others may read", "mode 0600", f"chmod 600 {path}")
        text = path.read_text().strip()
        secret = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except OSError as error:
        raise StoreError(f"{path}, which cannot be read: {error.strerror}", "a secret") from error
    except ValueError:
        secret = b""
    if len(secret) < _SECRET_BYTES - 8:
        raise StoreError(
            f"{path}, which holds no secret", f"{_PREFIX} and 24 bytes or more, base64"
        )
    return secret


def body_of(events: Sequence[tuple[Event, Event]]) -> bytes:
    """The request's body, JSON: the events, each with the one that says what was found."""
    return json.dumps({"alerts": [_alert(*one) for one in events]}, allow_nan=False).encode()


def message_id(events: Sequence[Event]) -> str:
    """The same for the same events."""
    named = " ".join(f"{event.alert_id}/{event.seq}" for event in events)
    return f"msg_{hashlib.sha256(named.encode()).hexdigest()[:32]}"


def signature(secret: bytes, message: str, timestamp: int, body: bytes) -> str:
    """HMAC-SHA256 over `<id>.<timestamp>.<body>`, as Standard Webhooks 1.0 writes it.

    >>> secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    >>> signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    signed = f"{message}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()


def send(url: str, message: str, body: bytes, secret: bytes, at: datetime) -> str:
    """POST a signed body at `at` (UTC); what went wrong, in one line, or empty where it was taken.

    Any answer but 2xx is a failure, a redirect too. Nothing of the answer's body is read.
    """
    timestamp = int(at.timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "whence",
        "webhook-id": message,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secret, message, timestamp, body),
    }
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        with _connected(url) as connection:
            connection.request("POST", target, body, headers)
            status = connection.getresponse().status
    except TimeoutError:
        return f"no answer from {host_of(url)} within {ANSWER_WITHIN_S:g} s"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"no answer from {host_of(url)}: {first_line(error)}"
    if 300 <= status < 400:
        return f"{host_of(url)} answered {status}; redirects are not followed"
    return "" if 200 <= status < 300 else f"{host_of(url)} answered {status}"


@contextlib.contextmanager
def _connected(url: str) -> Iterator[http.client.HTTPConnection]:
    """A connection that is cut when ANSWER_WITHIN_S is over, however slowly the other side talks."""
    parts = urlsplit(url)
    host, within = parts.hostname or "", ANSWER_WITHIN_S
    connection = (
        http.client.HTTPSConnection(
            host, parts.port, timeout=within, context=ssl.create_default_context()
        )
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, parts.port, timeout=within)
    )
    over = threading.Event()

    def cut() -> None:
        over.set()
        if connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(within, cut)
    timer.daemon = True
    timer.start()
    try:
        yield connection
    except (OSError, http.client.HTTPException, ValueError):
        if not over.is_set():
            raise
    finally:
        timer.cancel()
        connection.close()
    if over.is_set():  # what was read until then is no answer either
        raise TimeoutError


def _alert(event: Event, found: Event) -> dict[str, Any]:
    return {
        "alert_id": event.alert_id,
        "seq": event.seq,
        "event": event.event,
        "at": event.at.isoformat(),
        "by": event.actor,
        "reason": event.reason,
        "kind": found.kind,
        "subject": found.subject,
        "decision_type": found.decision_type,
        "title": found.title,
        "since": found.since.isoformat() if found.since else None,
        "evidence": dict(found.evidence),
    }


def _make(path: Path) -> None:
    """Write a secret where there is none; of two at once one is kept, whole."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode() + "\n")
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(part)
    part.unlink()
