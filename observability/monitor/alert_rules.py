"""What the rules say of a kind of findings: whether it alarms, from which size, and who is told.

The newest row of a kind and type counts. Each of its values that is None is that of the more general rule:
of the kind, then of all kinds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from observability.monitor.findings import MEASURES, Finding
from observability.monitor.webhook import checked_url
from observability.store import append, lake
from observability.store.location import Store
from observability.store.person import Person
from observability.store.read_alerts import Rule
from observability.store.read_alerts import rules as stored_rules
from observability.store.schema import arrow_table
from traces.errors import StoreError, WrongUse

ALL = "all"
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Ruling:
    """What holds of a kind and a decision type; `url_since` is when the webhook was set, UTC."""

    enabled: bool = True
    threshold: float | None = None
    url: str = ""
    url_since: datetime | None = None

    def against(self, finding: Finding) -> str:
        """Why the finding raises no alert; empty: it does."""
        if not self.enabled:
            return "its rule is off"
        if self.threshold is not None and finding.size < self.threshold:
            return f"below its rule's threshold of {self.threshold:g}"
        return ""


def ruling(rules: Sequence[Rule], kind: str, decision_type: str = "") -> Ruling:
    """What holds of findings of a kind; every kind alarms without a rule."""
    found = Ruling()
    for scope in dict.fromkeys(((ALL, ""), (kind, ""), (kind, decision_type))):
        history = [rule for rule in rules if (rule.kind, rule.decision_type) == scope]
        if not history:
            continue
        newest = max(history, key=lambda rule: rule.seq)
        found = Ruling(
            found.enabled if newest.enabled is None else newest.enabled,
            found.threshold if newest.threshold is None else newest.threshold,
            *((found.url, found.url_since) if newest.url is None else _url(history)),
        )
    return found


def newest(rules: Sequence[Rule]) -> list[Rule]:
    """The rows that count, one of each kind and type."""
    return list({(r.kind, r.decision_type): r for r in sorted(rules, key=lambda r: r.seq)}.values())


def set_rule(
    store: Store,
    kind: str,
    person: Person,
    *,
    decision_type: str = "",
    enabled: bool | None = None,
    threshold: float | None = None,
    url: str | None = None,
) -> Rule:
    """Say so of a kind from now on; what is None stays as it is. Durable on return.

    Raises WrongUse for an unknown kind, a threshold that is no number or a URL that is none, and StoreError.
    """
    _check(kind, decision_type, threshold)
    if url:
        checked_url(url)
    with lake.connect(store) as con:
        for _ in range(_TRIES):
            was = _newest_of(stored_rules(con), kind, decision_type)
            said = Rule(
                kind,
                decision_type,
                was.seq + 1 if was else 1,
                lake.now(con),
                enabled if enabled is not None or was is None else was.enabled,
                threshold if threshold is not None or was is None else was.threshold,
                url if url is not None or was is None else was.url,
                person.name,
                person.identity,
            )
            append.append(store, {"alert_rules": arrow_table("alert_rules", [said.row()])})
            if any(one.row() == said.row() for one in stored_rules(con)):
                return said
    raise StoreError("others who set the same rule", "to be the only one", "try again")


def _newest_of(rules: Sequence[Rule], kind: str, decision_type: str) -> Rule | None:
    scope = kind, decision_type
    return next((one for one in newest(rules) if (one.kind, one.decision_type) == scope), None)


def _check(kind: str, decision_type: str, threshold: float | None) -> None:
    if kind not in (ALL, *MEASURES):
        raise WrongUse(f"kind {kind!r}", f"one of {', '.join((ALL, *MEASURES))}")
    if kind == ALL and (threshold is not None or decision_type):
        raise WrongUse(
            "a threshold or type for all kinds", "a kind", "each kind has its own measure"
        )
    if threshold is not None and not (math.isfinite(threshold) and threshold >= 0):
        raise WrongUse(f"threshold {threshold}", "a number of 0 or more")


def _url(history: Sequence[Rule]) -> tuple[str, datetime]:
    """The newest rule's URL, and since when it has been that one without a break."""
    backwards = sorted(history, key=lambda rule: -rule.seq)
    url, since = backwards[0].url or "", backwards[0].set_at
    for rule in backwards:
        if rule.url != backwards[0].url:
            break
        since = rule.set_at
    return url, since
