"""Times as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from traces.errors import WrongUse

_SPAN = r"(\d{1,6})([mhdw])"
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str, now: datetime) -> datetime:
    """An instant, UTC: ISO 8601 with Z, or so long before `now`: 30m, 2h, 7d, 4w. Raises WrongUse.

    >>> moment("2h", datetime(2026, 1, 1, 12, tzinfo=UTC))
    datetime.datetime(2026, 1, 1, 10, 0, tzinfo=datetime.timezone.utc)
    """
    try:
        if re.fullmatch(_SPAN, text):
            return now - span(text)
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise WrongUse(
        f"time {text!r}", "ISO 8601 with Z, or 30m, 2h, 7d, 4w", "such as 2026-01-31T08:00:00Z"
    )


def span(text: str) -> timedelta:
    """A stretch of time: 30m, 2h, 7d, 4w. Raises WrongUse.

    >>> span("8h")
    datetime.timedelta(seconds=28800)
    """
    found = re.fullmatch(_SPAN, text)
    if found is None:
        raise WrongUse(f"time {text!r}", "such as 30m, 2h, 7d, 4w")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
