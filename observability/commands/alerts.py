"""`whence alerts`: list them, do something about one, set rules."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from observability.monitor import alert_response, alert_rules
from observability.monitor.alert_rules import ALL
from observability.monitor.alerts import Alert, fold
from observability.monitor.findings import MEASURES
from observability.monitor.webhook import host_of, secret_path
from observability.store import lake
from observability.store.location import Location
from observability.store.moments import span
from observability.store.person import person_here
from observability.store.read_alerts import Rule, events, rules
from traces.errors import WrongUse


def run(arguments: argparse.Namespace) -> int:
    """List, respond or set a rule. Raises WrongUse for what cannot be meant, and StoreError."""
    if arguments.action == "rule":
        said = _rule(arguments)
    elif arguments.action == "list":
        said = _list(arguments)
    else:
        said = _respond(arguments)
    sys.stdout.write(said)
    return 0


def _list(arguments: argparse.Namespace) -> str:
    with lake.connect(arguments.store) as con:
        known, now = fold(events(con)), lake.now(con)
    shown = [one for one in reversed(known) if arguments.all or one.state != "resolved"]
    if arguments.json:
        return _json([_plain(alert, now) for alert in shown])
    if not shown:
        return "no alert was ever opened\n" if not known else "no alert stands; see --all\n"
    return "".join(_text(alert, now) for alert in shown)


def _respond(arguments: argparse.Namespace) -> str:
    store, person = arguments.store, person_here()
    if arguments.action == "acknowledge":
        alert = alert_response.acknowledge(store, arguments.id, person)
    elif arguments.action == "snooze":
        alert = alert_response.snooze(store, arguments.id, person, span(arguments.span))
    else:
        alert = alert_response.resolve(store, arguments.id, person, arguments.reason)
    at = alert.changed.at
    return _json(_plain(alert, at)) if arguments.json else _text(alert, at)


def _rule(arguments: argparse.Namespace) -> str:
    store: Location = arguments.store
    asked = (arguments.enabled, arguments.threshold, arguments.url)
    if arguments.kind is None:
        if asked != (None, None, None) or arguments.type:
            raise WrongUse("a rule without KIND", f"one of {', '.join((ALL, *MEASURES))}")
        with lake.connect(store) as con:
            known = alert_rules.newest(rules(con))
    elif asked == (None, None, None):
        raise WrongUse("a rule that says nothing", "--on, --off, --threshold or --url")
    else:
        known = [
            alert_rules.set_rule(
                store,
                arguments.kind,
                person_here(),
                decision_type=arguments.type,
                enabled=arguments.enabled,
                threshold=arguments.threshold,
                url=arguments.url,
            )
        ]
    if arguments.json:
        return _json([asdict(rule) for rule in known])
    secret = f"secret of webhooks: {secret_path(store)}\n" if any(r.url for r in known) else ""
    return "".join(map(_rule_text, known)) + secret or "no rule: every kind raises alerts\n"


def _text(alert: Alert, now: datetime) -> str:
    until = f" until {_time(alert.changed.until)}" if alert.asleep(now) else ""
    who = "" if alert.changed is alert.found else f" by {alert.changed.actor}"
    why = f": {alert.changed.reason}" if alert.state == "resolved" else ""
    return (
        f"{alert.alert_id}  {alert.found.title}\n"
        f"        {alert.found.reason}\n"
        f"        since {_time(alert.since)}; {alert.state_at(now)}{until}{who}{why}\n"
    )


def _rule_text(rule: Rule) -> str:
    says = [
        {True: "on", False: "off", None: ""}[rule.enabled],
        "" if rule.threshold is None else f"from {rule.threshold:g} {MEASURES.get(rule.kind, '')}",
        "" if rule.url is None else f"tells {host_of(rule.url) or 'nobody'}",
    ]
    type_ = f" {rule.decision_type}" if rule.decision_type else ""
    said = ", ".join(text.strip() for text in says if text)
    return f"{rule.kind}{type_}: {said}; by {rule.actor}, {_time(rule.set_at)}\n"


def _plain(alert: Alert, now: datetime) -> dict[str, Any]:
    found, changed = alert.found, alert.changed
    return {
        "alert_id": alert.alert_id,
        "state": alert.state_at(now),
        "kind": found.kind,
        "subject": found.subject,
        "decision_type": found.decision_type,
        "title": found.title,
        "reason": found.reason,
        "since": alert.since,
        "opened_at": alert.opened_at,
        "evidence": dict(found.evidence),
        "until": changed.until,
        "changed_at": changed.at,
        "changed_by": changed.actor,
        "changed_reason": changed.reason,
    }


def _json(value: dict[str, Any] | Sequence[dict[str, Any]]) -> str:
    return json.dumps(value, ensure_ascii=False, default=_time) + "\n"


def _time(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%dT%H:%M:%SZ}"
