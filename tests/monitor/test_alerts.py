"""Alerts: what events fold to, and that nothing is said twice while a finding stands."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observability.monitor.alert_rules import ruling
from observability.monitor.alerts import REOPEN_WITHIN, WHENCE, Alert, changes, fold, next_event
from observability.monitor.delivery import GIVE_UP, webhooks
from observability.monitor.findings import Finding
from observability.store.read_alerts import Event, Rule
from observability.store.schema import arrow_table, statements

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOOK, OTHER = "https://hooks.example.org/a", "https://hooks.example.org/b"


def finding(subject: str = "pump-1", **fields) -> Finding:
    plain = {"title": f"Device {subject} is silent", "reason": "no decision", "since": NOON}
    return Finding("silent", subject, **(plain | {"size": 3.0} | fields))


def after(events: list[Event], *found: Finding, at: datetime = NOON, rules=(), **kw) -> list[Event]:
    """The events once these findings were looked at."""
    return events + changes(found, fold(events), rules, at, **kw)


def answered(events: list[Event], name, at: datetime = NOON, **fields) -> list[Event]:
    """The events once a person did something about the newest alert."""
    return [
        *events,
        next_event(fold(events)[-1], name, at, actor=WHENCE, identity="unverified", **fields),
    ]


def only(events: list[Event]) -> Alert:
    (alert,) = fold(events)
    return alert


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("look"),
            st.sets(st.sampled_from(["pump-1", "pump-2"])),
            st.sampled_from(["", "b"]),
        ),
        st.tuples(
            st.sampled_from(["acknowledged", "snoozed", "resolved"]), st.integers(0, 3), st.just("")
        ),
        st.tuples(st.just("wait"), st.sampled_from([1, 90, 12_000]), st.just("")),
    ),
    max_size=12,
)


def played(steps) -> tuple[list[Event], datetime]:
    """The events of a course of looks, answers and pauses (in minutes)."""
    events: list[Event] = []
    now = NOON
    for what, value, mark in steps:
        now += MINUTE
        if what == "wait":
            now += value * MINUTE
        elif what == "look":
            events = after(events, *(finding(one, mark=mark) for one in sorted(value)), at=now)
        elif (alerts := fold(events)) and alerts[value % len(alerts)].state != "resolved":
            until = now + timedelta(hours=1) if what == "snoozed" else None
            one = alerts[value % len(alerts)]
            events.append(next_event(one, what, now, actor="ann", identity="oidc", until=until))
    return events, now


@pytest.fixture(scope="module")
def lake_of_events() -> Iterator[duckdb.DuckDBPyConnection]:
    """The table of events and the view of their state, without the rest of a store."""
    with duckdb.connect(config={"threads": 1}) as con:
        for statement in statements():
            if "TABLE alerts" in statement or "VIEW alert_status" in statement:
                con.execute(statement)
        con.execute("SET TimeZone = 'UTC'")
        yield con


@given(STEPS)
@settings(max_examples=20)
def test_a_script_reads_the_same_states_from_a_view(lake_of_events, steps) -> None:
    events, _ = played(steps)
    con = lake_of_events
    con.execute("DELETE FROM alerts")
    if events:
        rows = arrow_table("alerts", (e.row() for e in events), [e.at for e in events])
        con.execute("INSERT INTO alerts BY NAME FROM rows")
        del rows
    view = con.sql(
        "SELECT alert_id, state, stands, subject, opened_at, found_at, changed_at, changed_by"
        " FROM alert_status ORDER BY alert_id"
    ).fetchall()
    assert view == [
        (
            one.alert_id, one.state, one.stands, one.found.subject, one.opened_at, one.found.at,
            one.changed.at, one.changed.actor,
        )
        for one in fold(events)
    ]  # fmt: skip


@given(STEPS, st.randoms())
def test_the_order_in_which_events_arrive_does_not_matter_nor_that_some_come_twice(
    steps, chance
) -> None:
    events, _ = played(steps)
    shuffled = [*events, *events[::2]]
    chance.shuffle(shuffled)
    assert fold(shuffled) == fold(events)


@given(STEPS)
def test_a_second_look_at_the_same_findings_says_nothing(steps) -> None:
    events, now = played(steps)
    looked = after(events, finding("pump-1"), at=now)
    assert after(looked, finding("pump-1"), at=now) == looked


@given(STEPS)
def test_there_is_one_alert_at_a_time_for_a_subject_and_its_events_have_no_gap(steps) -> None:
    events, now = played(steps)
    alerts = fold(after(events, finding("pump-1"), at=now))
    standing = [alert.key for alert in alerts if alert.state != "resolved"]
    assert len(standing) == len(set(standing))
    for alert in alerts:
        assert [event.seq for event in alert.events] == list(range(1, len(alert.events) + 1))
        told = [event.event for event in alert.news]
        assert told[0] == "opened" and "opened" not in told[1:]
        assert ("resolved", "resolved") not in itertools.pairwise(told)


def test_what_is_found_is_opened_once_and_resolved_when_it_is_gone() -> None:
    events = after([], finding())
    assert [(e.alert_id, e.seq, e.event) for e in events] == [("A-0001", 1, "opened")]
    assert after(events, finding(size=99.0), at=NOON + MINUTE) == events
    events = after(events, at=NOON + 2 * MINUTE)
    assert (only(events).state, events[-1].actor, events[-1].reason) == (
        "resolved",
        WHENCE,
        "no longer found",
    )


@pytest.mark.parametrize(
    ("later", "alerts"),
    [(REOPEN_WITHIN, ["A-0001"]), (REOPEN_WITHIN + MINUTE, ["A-0001", "A-0002"])],
)
def test_what_comes_back_soon_is_the_same_alert_and_later_a_new_one(later, alerts) -> None:
    events = after(after([], finding()), at=NOON)
    events = after(events, finding(), at=NOON + later)
    assert [one.alert_id for one in fold(events)] == alerts
    assert fold(events)[-1].state == "open"


def test_who_resolves_a_standing_one_is_asked_again_only_once_it_went_and_came_back() -> None:
    events = answered(after([], finding()), "resolved", reason="retired")
    assert after(events, finding()) == events
    gone = after(events)
    assert (gone[-1].actor, only(gone).changed.reason) == (WHENCE, "retired")
    assert [e.event for e in only(gone).news] == ["opened", "resolved"]
    assert after(gone, finding())[-1].event == "reopened"


def test_something_new_of_the_same_reopens_what_a_person_resolved() -> None:
    events = answered(after([], finding(mark="1 fork")), "resolved", reason="lab")
    assert after(events, finding(mark="2 forks"))[-1].event == "reopened"


def test_a_snoozed_alert_is_left_alone_and_speaks_up_again_if_it_still_stands() -> None:
    over = NOON + timedelta(hours=1)
    events = answered(after([], finding()), "snoozed", until=over)
    assert after(events, at=over - MINUTE) == after(events, finding(), at=over - MINUTE) == events
    assert only(events).state_at(over - MINUTE) == "snoozed"
    assert only(events).state_at(over) == "open"
    again = after(events, finding(), at=over)[-1]
    assert (again.event, again.reason) == ("reopened", "snooze over; no decision")
    assert after(events, at=over)[-1].event == "resolved"


def test_of_what_nobody_judged_nothing_is_said() -> None:
    assert after([], finding(), unjudged=("silent",)) == []
    events = after([], finding())
    assert after(events, unjudged=("silent",)) == events


def rule(kind: str = "all", type_: str = "", seq: int = 1, at: datetime = NOON, **fields) -> Rule:
    return Rule(kind, type_, seq, at, **fields)


def test_the_more_special_rule_wins_and_takes_over_what_it_does_not_say() -> None:
    rules = [
        rule(url=HOOK),
        rule("silent", threshold=24),
        rule("silent", "pump.stop", enabled=False),
    ]
    assert ruling(rules, "reject").url == HOOK
    assert (ruling(rules, "silent").url, ruling(rules, "silent").threshold) == (HOOK, 24)
    assert not ruling(rules, "silent", "pump.stop").enabled
    assert ruling(rules, "silent", "pump.stop").url == HOOK
    assert ruling([rule(url=HOOK), rule("silent", url="")], "silent").url == ""


def test_a_rule_that_is_off_or_not_reached_raises_nothing_and_ends_what_stands() -> None:
    off, high = rule("silent", enabled=False), rule("silent", threshold=4)
    events = after([], finding())
    for said, why in ((off, "its rule is off"), (high, "below its rule's threshold of 4")):
        assert after([], finding(), rules=[said]) == []
        assert after(events, finding(), rules=[said])[-1].reason == why
    assert len(after([], finding(size=4.0), rules=[high])) == 1


def test_a_webhook_waits_for_what_happened_since_it_was_set_until_it_took_it() -> None:
    first = after([], finding(), at=NOON - MINUTE)
    events = after(first, finding(), finding("pump-2"))
    rules = [rule(url=HOOK), rule(seq=2, at=NOON + MINUTE, url=HOOK, threshold=None)]
    (hook,) = webhooks(fold(events), rules, NOON)
    assert [one.event.subject for one in hook.waiting] == ["pump-2"]
    failed = next_event(fold(events)[1], "failed", NOON, actor=WHENCE, url=HOOK, of_seq=1)
    (hook,) = webhooks(fold([*events, failed]), rules, NOON)
    assert hook.last_failure == failed
    assert len(hook.waiting) == 1
    took = replace(failed, seq=3, event="delivered", at=NOON + MINUTE)
    (hook,) = webhooks(fold([*events, failed, took]), rules, NOON)
    assert (hook.waiting, hook.given_up, hook.last_failure) == ((), 0, None)
    moved = [*rules, rule(seq=3, at=NOON + MINUTE, url=OTHER)]
    assert [hook.waiting for hook in webhooks(fold(events), moved, NOON)] == [(), ()]


def test_what_could_not_be_delivered_for_three_days_is_counted_as_given_up() -> None:
    events = after([], finding())
    (hook,) = webhooks(fold(events), [rule(url=HOOK)], NOON + GIVE_UP + MINUTE)
    assert (hook.waiting, hook.given_up) == ((), 1)
