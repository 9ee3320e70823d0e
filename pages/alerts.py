"""Alerts: what is wrong, and who looks after it?"""

from __future__ import annotations

from datetime import UTC, datetime

from pages import alert_parts as parts
from pages import components, reads

_RESOLVED_SHOWN = 20


def main() -> None:
    """Draw the page."""
    freshness = reads.current()
    now = freshness.now(datetime.now(UTC))
    alerts = reads.alerts()
    with components.header(freshness):
        pass  # the list is as of now, so no time range is chosen
    parts.said()
    components.sentence(parts.standing(alerts, now))
    parts.checked(reads.evaluated())
    awake = [alert for alert in alerts if alert.state_at(now) in ("open", "acknowledged")]
    asleep = [alert for alert in alerts if alert.asleep(now)]
    resolved = [alert for alert in alerts if alert.state == "resolved"]
    if not alerts:
        parts.never()
    parts.listed("Standing", sorted(awake, key=parts.order), now)
    parts.listed("Snoozed", asleep, now)
    parts.over(sorted(resolved, key=lambda alert: alert.changed.at)[: -_RESOLVED_SHOWN - 1 : -1])


main()
