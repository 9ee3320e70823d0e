"""Who has not been told what of the alerts: the queue of the webhooks, folded from the events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from observability.monitor.alert_rules import ruling
from observability.monitor.alerts import Alert
from observability.store.read_alerts import Event, Rule

GIVE_UP = timedelta(days=3)
"""What could not be delivered for so long is not tried any more; the alert itself stays."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One event of an alert that a webhook has not taken yet."""

    alert: Alert
    event: Event


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook and what it has not taken, oldest first; `given_up` waited for longer than GIVE_UP.

    `last_failure` is the newest failure since it last took something, while something waits.
    """

    url: str
    waiting: tuple[Waiting, ...]
    given_up: int
    last_failure: Event | None


def webhooks(alerts: Sequence[Alert], rules: Sequence[Rule], now: datetime) -> tuple[Webhook, ...]:
    """The webhooks of all rules at `now`, UTC. What happened before one was set is not for it."""
    by_url: dict[str, list[Waiting]] = {rule.url: [] for rule in rules if rule.url}
    for alert in alerts:
        said = ruling(rules, alert.found.kind, alert.found.decision_type)
        if said.url and said.url_since:
            taken = _taken(alert, said.url)
            by_url[said.url] += [
                Waiting(alert, event)
                for event in alert.news
                if event.seq not in taken and event.at >= said.url_since
            ]
    return tuple(_webhook(url, waiting, alerts, now) for url, waiting in by_url.items())


def _taken(alert: Alert, url: str) -> set[int | None]:
    return {one.of_seq for one in alert.events if one.event == "delivered" and one.url == url}


def _webhook(
    url: str, waiting: Sequence[Waiting], alerts: Sequence[Alert], now: datetime
) -> Webhook:
    new = [one for one in waiting if now - one.event.at <= GIVE_UP]
    tried = [
        event
        for alert in alerts
        for event in alert.events
        if event.url == url and event.event in ("delivered", "failed")
    ]
    last = max(tried, key=lambda event: (event.at, event.event), default=None)
    return Webhook(
        url,
        tuple(sorted(new, key=lambda one: (one.event.at, one.alert.number, one.event.seq))),
        len(waiting) - len(new),
        last if new and last is not None and last.event == "failed" else None,
    )
