"""Alerts: what their events fold to, and which events the findings of now ask for.

An alert is about one finding. It is opened once and says nothing more while the finding stands; it is
resolved when the finding is gone, and reopened where that comes back within REOPEN_WITHIN; later it is new.
Who resolves it while the finding still stands is not asked again until it has gone, or its mark changes.
A snoozed alert is left alone until the snooze is over. All times are the store's.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Literal

from observability.monitor.alert_rules import ruling
from observability.monitor.findings import Finding
from observability.store.read_alerts import Event, EventName, Rule

WHENCE = "whence"
"""Who acts where no person does; a person has an identity too."""
REOPEN_WITHIN = timedelta(days=7)
State = Literal["open", "acknowledged", "snoozed", "resolved"]
_ANSWERS: Mapping[str, State] = {"acknowledged": "acknowledged", "snoozed": "snoozed"}
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Alert:
    """What an alert's events come to.

    `found` is the event that opened it, or reopened it last, with what was found; `changed` the one that
    brought its state. `stands`: as far as is known, the finding is still there. `news` are the events that
    changed whether somebody has to look.
    """

    alert_id: str
    state: State
    stands: bool
    opened_at: datetime
    found: Event
    changed: Event
    events: tuple[Event, ...]
    news: tuple[Event, ...]

    @property
    def key(self) -> Key:
        """What it is about, as for a finding."""
        return self.found.kind, self.found.subject, self.found.decision_type

    @property
    def number(self) -> int:
        """The 7 of A-0007."""
        return int(self.alert_id.removeprefix("A-"))

    @property
    def since(self) -> datetime:
        """When what was found began, or if that is not known, when it was found; UTC."""
        return self.found.since or self.found.at

    @property
    def last_seq(self) -> int:
        """The number of its newest event."""
        return self.events[-1].seq

    def asleep(self, now: datetime) -> bool:
        """Whether it is snoozed at `now`, UTC."""
        until = self.changed.until
        return self.state == "snoozed" and until is not None and now < until

    def state_at(self, now: datetime) -> State:
        """Its state at `now`, UTC: a snooze that is over leaves it open."""
        return "open" if self.state == "snoozed" and not self.asleep(now) else self.state


def fold(events: Iterable[Event]) -> tuple[Alert, ...]:
    """The alerts that these events make, by number; their order and repeats do not matter."""
    by_alert: dict[str, dict[int, Event]] = {}
    for event in events:
        by_alert.setdefault(event.alert_id, {})[event.seq] = event
    found = [_alert([one[seq] for seq in sorted(one)]) for one in by_alert.values()]
    return tuple(sorted((a for a in found if a is not None), key=lambda alert: alert.number))


def changes(
    findings: Iterable[Finding],
    alerts: Sequence[Alert],
    rules: Sequence[Rule],
    now: datetime,
    unjudged: Collection[str] = (),
) -> list[Event]:
    """The events that bring the alerts to what is found at `now` (UTC); none where they agree.

    Of the kinds `unjudged` nothing is known: their alerts stay as they are.
    """
    against = {_key(one): (one, _against(rules, one)) for one in findings}
    latest = {alert.key: alert for alert in alerts}
    numbers = count(1 + max((alert.number for alert in alerts), default=0))
    found = [
        event
        for key, (one, why_not) in against.items()
        if not why_not and one.kind not in unjudged
        for event in _raised(one, latest.get(key), now, numbers)
    ]
    for key, alert in latest.items():
        why_gone = against[key][1] if key in against else "no longer found"
        if alert.stands and why_gone and key[0] not in unjudged and not alert.asleep(now):
            found.append(next_event(alert, "resolved", now, actor=WHENCE, reason=why_gone))
    return found


def next_event(
    alert: Alert, name: EventName, now: datetime, *, after: int = 0, **fields: Any
) -> Event:
    """What happens to an alert now, `after` so many others that are not in it yet."""
    return Event(alert.alert_id, alert.last_seq + 1 + after, name, now, **fields)


def _raised(
    finding: Finding, alert: Alert | None, now: datetime, numbers: Iterator[int]
) -> Iterator[Event]:
    if alert is None or (not alert.stands and now - alert.changed.at > REOPEN_WITHIN):
        yield _opened(Event(f"A-{next(numbers):04d}", 1, "opened", now, WHENCE), finding)
    elif _comes_back(finding, alert, now):
        over = "snooze over; " if alert.state == "snoozed" else ""
        again = next_event(alert, "reopened", now, actor=WHENCE)
        yield replace(_opened(again, finding), reason=over + finding.reason)


def _comes_back(finding: Finding, alert: Alert, now: datetime) -> bool:
    if alert.state == "snoozed":
        return not alert.asleep(now)
    return alert.state == "resolved" and (not alert.stands or finding.mark != alert.found.mark)


def _opened(event: Event, finding: Finding) -> Event:
    return replace(
        event,
        reason=finding.reason,
        kind=finding.kind,
        subject=finding.subject,
        decision_type=finding.decision_type,
        title=finding.title,
        evidence=finding.evidence,
        mark=finding.mark,
        since=finding.since,
    )


def _alert(events: Sequence[Event]) -> Alert | None:
    """None where the opening has not arrived."""
    opening = next((one for one in events if one.event == "opened"), None)
    if opening is None:
        return None
    new = Alert(
        opening.alert_id, "open", True, opening.at, opening, opening, tuple(events), (opening,)
    )
    return functools.reduce(_after, events, new)


def _after(alert: Alert, event: Event) -> Alert:
    """The alert once this has happened to it."""
    news = (*alert.news, event)
    if event.event == "reopened":
        return replace(alert, state="open", stands=True, found=event, changed=event, news=news)
    if event.event == "resolved":
        stands = alert.stands and event.identity != ""  # a person may be named whence too
        if alert.state == "resolved":
            return replace(alert, stands=stands)
        return replace(alert, state="resolved", stands=stands, changed=event, news=news)
    if event.event in _ANSWERS and alert.state != "resolved":
        return replace(alert, state=_ANSWERS[event.event], changed=event)
    return alert


def _key(finding: Finding) -> Key:
    return finding.kind, finding.subject, finding.decision_type


def _against(rules: Sequence[Rule], finding: Finding) -> str:
    return ruling(rules, finding.kind, finding.decision_type).against(finding)
