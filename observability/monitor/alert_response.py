"""What people do about an alert: acknowledge, snooze, resolve.

Each is an event in the person's name, durable on return. An event that others came before with is said anew.
"""

from __future__ import annotations

from datetime import timedelta

from observability.monitor.alerts import Alert, fold, next_event
from observability.store import append, lake
from observability.store.location import Store
from observability.store.person import Person
from observability.store.read_alerts import EventName, events
from observability.store.schema import arrow_table
from traces.errors import StoreError, WrongUse

LONGEST_SNOOZE = timedelta(days=30)
_REASON_CHARACTERS = 500
_TRIES = 5


def acknowledge(store: Store, alert_id: str, person: Person) -> Alert:
    """Somebody looks after it. Raises WrongUse where it does not stand, and StoreError."""
    return _respond(store, alert_id, person, "acknowledged")


def snooze(store: Store, alert_id: str, person: Person, span: timedelta) -> Alert:
    """Leave it alone for so long; if it still stands then, it is reopened. Raises as `acknowledge`."""
    if not timedelta(0) < span <= LONGEST_SNOOZE:
        raise WrongUse(f"a snooze of {span}", f"more than none, at most {LONGEST_SNOOZE.days} days")
    return _respond(store, alert_id, person, "snoozed", span=span)


def resolve(store: Store, alert_id: str, person: Person, reason: str) -> Alert:
    """Nobody has to look at it any more, and why. Raises as `acknowledge`, also without a reason."""
    reason = " ".join(reason.split())
    if not reason or len(reason) > _REASON_CHARACTERS:
        raise WrongUse(
            f"a reason of {len(reason)} characters",
            f"1 to {_REASON_CHARACTERS}",
            "say what was done",
        )
    return _respond(store, alert_id, person, "resolved", reason=reason)


def _respond(
    store: Store,
    alert_id: str,
    person: Person,
    name: EventName,
    *,
    reason: str = "",
    span: timedelta | None = None,
) -> Alert:
    with lake.connect(store) as con:
        for _ in range(_TRIES):
            now = lake.now(con)
            event = next_event(
                _standing(fold(events(con)), alert_id),
                name,
                now,
                actor=person.name,
                identity=person.identity,
                reason=reason,
                until=now + span if span else None,
            )
            append.append(store, {"alerts": arrow_table("alerts", [event.row()])})
            after = _known(fold(events(con)), alert_id)
            if any(one.row() == event.row() for one in after.events):
                return after
    raise StoreError(f"{alert_id}, which others change too", "to be the only one", "try again")


def _known(alerts: tuple[Alert, ...], alert_id: str) -> Alert:
    found = next((alert for alert in alerts if alert.alert_id == alert_id.upper()), None)
    if found is None:
        raise WrongUse(f"no alert {alert_id!r}", "one such as A-0001", "see `whence alerts list`")
    return found


def _standing(alerts: tuple[Alert, ...], alert_id: str) -> Alert:
    found = _known(alerts, alert_id)
    if found.state == "resolved":
        raise WrongUse(
            f"{found.alert_id}, resolved at {found.changed.at:%Y-%m-%d %H:%M} UTC "
            f"by {found.changed.actor}",
            "one that stands",
        )
    return found
