"""Times as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from traces.errors import WrongUse

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str, now: datetime) -> datetime:
    """An instant, UTC: ISO 8601 with Z, or so long before `now`: 30m, 2h, 7d, 4w. Raises WrongUse.

    >>> moment("2h", datetime(2026, 1, 1, 12, tzinfo=UTC))
    datetime.datetime(2026, 1, 1, 10, 0, tzinfo=datetime.timezone.utc)
    """
    relative = re.fullmatch(r"(\d{1,6})([mhdw])", text)
    try:
        if relative:
            return now - timedelta(**{_UNITS[relative[2]]: int(relative[1])})
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise WrongUse(
        f"time {text!r}", "ISO 8601 with Z, or 30m, 2h, 7d, 4w", "such as 2026-01-31T08:00:00Z"
    )
