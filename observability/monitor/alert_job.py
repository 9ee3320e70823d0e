"""Evaluates the alerts of a store each minute beside the receiver, and tells the webhooks.

Of all processes that write to the store one does, under the lease `alerts`. A failure to deliver is an event
too: whoever opens the health page reads why, in a line.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from observability.monitor.alerts import WHENCE, Alert, fold, next_event
from observability.monitor.delivery import Waiting, Webhook, webhooks
from observability.monitor.evaluation import evaluate
from observability.monitor.webhook import body_of, message_id, secret_of, send
from observability.store import lake
from observability.store.read_alerts import Event, EventName, events, rules
from observability.store.read_attention import SILENT_AT_LEAST
from observability.store.schema import arrow_table
from observability.store.write import Writer
from traces.errors import StoreError

_LISTEN_FIRST_S = SILENT_AT_LEAST.total_seconds()
"""Nobody is called silent before devices had so much time to send what they kept while nobody listened."""
_BACKOFF_S = (60.0, 3600.0)
"""A webhook that failed is tried again after the first, doubled each time up to the second."""
_EVENTS_A_BODY = 100
_BODIES_A_TURN = 10


@dataclass(frozen=True, slots=True)
class _Resting:
    """A webhook that failed so many times in a row, and the monotonic second at which it is tried again."""

    failures: int
    until_s: float


class AlertJob:
    """Evaluates the alerts of a writer's store; once `stopped`, nothing more is sent."""

    lease = "alerts"
    every_s = 60.0

    def __init__(self, writer: Writer, stopped: threading.Event) -> None:
        self._writer, self._stopped = writer, stopped
        self._con = lake.cursor(writer.con)
        self._began_s = time.monotonic()
        self._resting: dict[str, _Resting] = {}

    def is_due(self) -> bool:
        """Always: time passes, and silence is an alert too."""
        return True

    def steps(self) -> Iterator[None]:
        """Evaluate, then tell."""
        self._evaluate()
        yield
        self._deliver()

    def close(self) -> None:
        """End reading."""
        self._con.close()

    def _evaluate(self) -> None:
        """Open and resolve what there is to, in one commit."""
        listening = time.monotonic() - self._began_s >= _LISTEN_FIRST_S
        evaluated = evaluate(self._con, self._writer.store, listening=listening)
        self._write(evaluated.due, evaluated.at)

    def _deliver(self) -> None:
        """Tell each webhook what it does not know, oldest first, unless it rests from a failure."""
        with lake.reading(self._con) as con:
            now = lake.now(con)
            found = webhooks(fold(events(con)), rules(con), now)
        for webhook in found:
            rest = self._resting.get(webhook.url)
            if webhook.waiting and (rest is None or time.monotonic() >= rest.until_s):
                self._tell(webhook, now)

    def _tell(self, webhook: Webhook, now: datetime) -> None:
        """Send what waits, a commit after each body that was taken, until one is not."""
        waiting = webhook.waiting[: _EVENTS_A_BODY * _BODIES_A_TURN]
        for start in range(0, len(waiting), _EVENTS_A_BODY):
            if self._stopped.is_set():
                return
            some = waiting[start : start + _EVENTS_A_BODY]
            wrong = self._sent(webhook.url, some)
            known = {alert.alert_id: alert for alert in fold(events(self._con))}
            self._write(_told(known, some[:1] if wrong else some, webhook.url, wrong, now), now)
            if wrong:
                self._rest(webhook.url)
                return
            self._resting.pop(webhook.url, None)

    def _sent(self, url: str, some: Sequence[Waiting]) -> str:
        """What went wrong, in a line; empty: they were taken."""
        try:
            secret = secret_of(self._writer.store)
        except StoreError as error:
            return str(error)
        body = body_of([(one.event, _found(one.alert, one.event)) for one in some])
        return send(url, message_id([one.event for one in some]), body, secret, datetime.now(UTC))

    def _rest(self, url: str) -> None:
        failures = self._resting[url].failures + 1 if url in self._resting else 1
        first, longest = _BACKOFF_S
        wait_s = min(longest, first * 2 ** min(failures - 1, 30))
        self._resting[url] = _Resting(failures, time.monotonic() + wait_s)

    def _write(self, new: Sequence[Event], now: datetime) -> None:
        if new:
            rows = [event.row() for event in new]
            self._writer.write({"alerts": arrow_table("alerts", rows, received_at=now)})


def _told(
    known: Mapping[str, Alert], some: Sequence[Waiting], url: str, wrong: str, now: datetime
) -> list[Event]:
    """That a webhook took these events, or what went wrong; `known` are the alerts as of now."""
    name: EventName = "failed" if wrong else "delivered"
    used = Counter[str]()
    told = []
    for one in some:
        alert = known[one.alert.alert_id]
        said = {"actor": WHENCE, "reason": wrong, "url": url, "of_seq": one.event.seq}
        told.append(next_event(alert, name, now, after=used[alert.alert_id], **said))
        used[alert.alert_id] += 1
    return told


def _found(alert: Alert, event: Event) -> Event:
    """What had been found when this happened: the newest opening up to it."""
    return max(
        (e for e in alert.events if e.event in ("opened", "reopened") and e.seq <= event.seq),
        key=lambda e: e.seq,
    )
