"""What people do about an alert: acknowledge, snooze, resolve.

Each is an event in the person's name, durable on return. An event that others came before with is said anew.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from observability.monitor.alerts import Alert, fold, next_event
from observability.store import append, lake
from observability.store.location import Store
from observability.store.person import Person
from observability.store.read_alerts import Event, EventName, events
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
    for _ in range(_TRIES):
        with lake.connect(store) as con:
            known, now = fold(events(con)), lake.now(con)
        alert = _standing(known, alert_id)
        event = next_event(
            alert,
            name,
            now,
            actor=person.name,
            identity=person.identity,
            reason=reason,
            until=now + span if span else None,
        )
        receipt = append.append(store, {"alerts": arrow_table("alerts", [event.row()])})
        if receipt.stored.get("alerts"):
            return _with(alert, event)
    raise StoreError(f"{alert_id}, which others change too", "to be the only one", "try again")


def _standing(known: tuple[Alert, ...], alert_id: str) -> Alert:
    found = next((alert for alert in known if alert.alert_id == alert_id.upper()), None)
    if found is None:
        raise WrongUse(f"no alert {alert_id!r}", "one such as A-0001", "see `whence alerts list`")
    if found.state == "resolved":
        at: datetime = found.changed.at
        raise WrongUse(
            f"{found.alert_id}, resolved at {at:%Y-%m-%d %H:%M} UTC by {found.changed.actor}",
            "one that stands",
        )
    return found


def _with(alert: Alert, event: Event) -> Alert:
    (after,) = fold([*alert.events, event])
    return after
