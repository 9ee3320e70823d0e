"""Alerts in words, each with its evidence and what a person can do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import streamlit as st

from observability.monitor import alert_response
from observability.monitor.alerts import Alert
from observability.monitor.evaluation import Evaluation
from observability.monitor.webhook import host_of
from observability.store.location import location_here
from observability.store.person import person_here
from observability.store.read_alerts import Event
from observability.store.read_attention import SILENT_AT_LEAST
from pages import components, reads
from pages.format import NOT_RECORDED, count, duration, instant, many, number, plain
from traces.errors import WhenceError

SNOOZES = {"1 h": timedelta(hours=1), "8 h": timedelta(hours=8), "7 d": timedelta(days=7)}
LISTED = 30
_SAID = "alert_said"
_HAPPENED = {
    "opened": "opened",
    "reopened": "reopened",
    "acknowledged": "acknowledged",
    "snoozed": "snoozed",
    "resolved": "resolved",
    "delivered": "delivered",
    "failed": "not delivered",
}


def standing(alerts: Sequence[Alert], now: datetime) -> str:
    """How many alerts stand, in one sentence, and which for longest."""
    awake = [one for one in alerts if one.state_at(now) in ("open", "acknowledged")]
    asleep = sum(one.asleep(now) for one in alerts)
    also = f"; {many(asleep, 'alert')} snoozed" if asleep else ""
    if not awake:
        return f"No alert stands{also}" if alerts else "No alert was ever opened"
    oldest = min(awake, key=lambda one: one.since)
    lasts = duration((now - oldest.since).total_seconds())
    taken = sum(one.state == "acknowledged" for one in awake)
    care = f", {count(taken)} acknowledged" if taken else ""
    if len(awake) == 1:
        return f"1 alert stands{care}, for {lasts}: {oldest.found.title}{also}"
    return f"{count(len(awake))} alerts stand{care}; the oldest for {lasts}: {oldest.found.title}{also}"


def order(alert: Alert) -> tuple[bool, datetime]:
    """Those nobody looks after first, the oldest of them first."""
    return alert.state == "acknowledged", alert.since


def checked(found: Evaluation) -> None:
    """Whether the list is what is found now: a list that nobody keeps must not look like peace."""
    if not found.due:
        st.caption(f"Looked again at {instant(found.at)}: nothing is found that is not listed.")
        return
    waits = "waits" if len(found.due) == 1 else "wait"
    st.markdown(
        f":red[■] {many(len(found.due), 'change')} found at {instant(found.at)} {waits} to be listed. "
        f"Alerts are evaluated each minute while the store is served, silence only once devices had "
        f"{duration(SILENT_AT_LEAST.total_seconds())} to send what they kept."
    )


def never() -> None:
    """The list of a fleet in which nothing was ever wrong."""
    with st.container(border=True, horizontal_alignment="center", gap="xsmall", key="empty"):
        st.markdown("**No alert yet.**", width="content")
        st.markdown(
            "Alerts are evaluated each minute while the store is served; "
            "`whence alerts rule` shows and sets what raises them, and who is told.",
            width="content",
        )


def said() -> None:
    """What became of the button that was just pressed, where one was."""
    show, text = st.session_state.pop(_SAID, (None, ""))
    if show is not None:
        show(plain(text))


def listed(title: str, alerts: Sequence[Alert], now: datetime) -> None:
    """Alerts with their buttons; nothing where there are none."""
    if not alerts:
        return
    components.section(title, many(len(alerts), "alert"))
    for alert in alerts[:LISTED]:
        _alert(alert, now)
    if len(alerts) > LISTED:
        st.caption(f"And {many(len(alerts) - LISTED, 'more alert')}: `whence alerts list`.")


def over(alerts: Sequence[Alert]) -> None:
    """The alerts resolved last, as a table."""
    if not alerts:
        return
    components.section("Resolved", "newest first")
    components.listing(
        [
            {
                "Alert": plain(f"{alert.alert_id} {alert.found.title}"),
                "Since": instant(alert.since),
                "Resolved": f"{instant(alert.changed.at)} by {plain(alert.changed.actor)}",
                "Reason": plain(alert.changed.reason),
            }
            for alert in alerts
        ],
        alt="Resolved alerts with their beginning, end, who resolved them and why",
    )


def _alert(alert: Alert, now: datetime) -> None:
    found = alert.found
    with st.container(border=True, gap="xsmall", key=f"alert_{alert.alert_id}"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(
                f"{_shape(alert, now)} **{plain(found.title)}** — {plain(found.reason)}",
                width="stretch",
            )
            _details(alert)
            _buttons(alert, now)
        st.caption(_state(alert, now))


def _details(alert: Alert) -> None:
    with st.popover("Evidence", key=f"evidence_{alert.alert_id}", width="content"):
        components.facts(_evidence(alert.found), alt=f"Evidence of {alert.alert_id}")
        components.listing(
            list(_history(alert)), alt=f"What happened to {alert.alert_id}, newest first"
        )


def _buttons(alert: Alert, now: datetime) -> None:
    store, person, one = location_here(), person_here(), alert.alert_id
    if alert.state_at(now) == "open":
        act = partial(alert_response.acknowledge, store, one, person)
        st.button("Acknowledge", key=f"ack_{one}", on_click=_do, args=(act,))
    with st.popover("Snooze", key=f"snooze_{one}"):
        for label, span in SNOOZES.items():
            act = partial(alert_response.snooze, store, one, person, span)
            st.button(f"For {label}", key=f"snooze_{one}_{label}", on_click=_do, args=(act,))
    with (
        st.popover("Resolve", key=f"resolve_{one}"),
        st.form(f"resolving_{one}", border=False),
    ):
        st.text_input("What was done, or why it needs nothing", key=f"reason_{one}", max_chars=500)
        st.form_submit_button("Resolve", on_click=_resolve, args=(one,))


def _resolve(alert_id: str) -> None:
    reason = str(st.session_state.get(f"reason_{alert_id}", ""))
    _do(partial(alert_response.resolve, location_here(), alert_id, person_here(), reason))


def _do(act: Callable[[], Alert]) -> None:
    """Do it, and say what came of it; what cannot be done is one sentence."""
    try:
        done = act()
        said = f"{done.alert_id} {done.state} by {done.changed.actor}"
        st.session_state[_SAID] = st.markdown, said
    except WhenceError as error:
        st.session_state[_SAID] = st.error, str(error)
    reads.look_again()


def _shape(alert: Alert, now: datetime) -> str:
    return {"open": ":red[■]", "acknowledged": ":red[□]"}.get(alert.state_at(now), ":gray[□]")


def _state(alert: Alert, now: datetime) -> str:
    """Number, beginning and state with who brought it about, in one line."""
    lasts = duration((now - alert.since).total_seconds())
    seen = f"{alert.alert_id} · since {instant(alert.since)}, {lasts}"
    first = "" if alert.opened_at == alert.since else f" · first seen {instant(alert.opened_at)}"
    state, changed = alert.state_at(now), alert.changed
    if state == "open":
        return f"{seen}{first} · nobody looks after it"
    until = f" until {instant(changed.until)}" if state == "snoozed" and changed.until else ""
    return f"{seen}{first} · {state}{until} by {plain(changed.actor)}, {instant(changed.at)}"


def _evidence(found: Event) -> Mapping[str, str]:
    """The numbers behind it, as of when it was found."""
    rows = {_name(name): _value(name, value) for name, value in found.evidence.items()}
    about = plain(found.subject)
    return {"About": about, **rows, "As of": instant(found.at)}


def _name(name: str) -> str:
    return plain(name.removesuffix("_s").replace("_", " ").capitalize())


def _value(name: str, value: float) -> str:
    if name.endswith("_s"):
        return duration(value)
    return count(int(value)) if float(value).is_integer() else number(value)


def _history(alert: Alert) -> Iterator[dict[str, str]]:
    for event in reversed(alert.events):
        to = f" to {plain(host_of(event.url))}" if event.url else ""
        until = f" until {instant(event.until)}" if event.until else ""
        yield {
            "When": instant(event.at),
            "What": f"{_HAPPENED[event.event]}{to}{until}",
            "Who": plain(event.actor) or NOT_RECORDED,
            "Why": plain(event.reason),
        }
