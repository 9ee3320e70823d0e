"""How values are written for people: three significant figures, units, counts beside rates, UTC.

Texts from devices pass through `plain` before they meet Markdown: a name is never a link.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

NARROW_SPACE = "\u202f"
NOT_RECORDED = "not recorded"
_LINK_LIKE = re.compile(r"://|(?<=www)\.|@")
"""Markdown makes links of bare addresses, escaped or not; an invisible word joiner keeps them apart."""
_ENDS_CODE = str.maketrans({"`": "'", "\n": " "})
_MARKDOWN = re.compile(r"([!-/:-@\[-`{-~])")


def plain(text: str) -> str:
    r"""Text as it is, within Markdown.

    >>> plain("pump_1 [x](y)")
    'pump\\_1 \\[x\\]\\(y\\)'
    """
    unlinked = _LINK_LIKE.sub("\u2060\\g<0>", text.replace("\n", " "))
    return _MARKDOWN.sub(r"\\\1", unlinked)


def code(text: str) -> str:
    """An identifier as Markdown's code, in which nothing is markup but the end.

    >>> code("4ed0-15d3")
    '`4ed0-15d3`'
    """
    return f"`{text.translate(_ENDS_CODE)}`"


def number(value: float, unit: str = "", *, resolution: float = 0.0) -> str:
    r"""Three significant figures and the unit; more where a difference of `resolution` must show.

    The unit 1 (UCUM) is that of a pure number, and not written.

    >>> number(92.3456, "°C"), number(1234.5), number(0.5), number(642.58, resolution=1.3)
    ('92.3\u202f°C', '1,234', '0.5', '642.6')
    """
    if not math.isfinite(value):
        return NOT_RECORDED
    if value and not 1e-4 <= abs(value) < 1e9:
        return _with_unit(f"{value:.2e}", unit)
    decimals = _decimals(value)
    if resolution > 0:
        decimals = max(decimals, _decimals(resolution) - 1)
    text = f"{value:,.{decimals}f}"
    whole, _, fraction = text.partition(".")
    short = text.rstrip("0").rstrip(".") if fraction and not resolution else text
    if not fraction.strip("0"):
        short = whole
    exact = float(short.replace(",", "")) == value
    return _with_unit((short if exact else text).replace("-", "−"), unit)


def signed(value: float, unit: str = "", *, resolution: float = 0.0) -> str:
    r"""A number with its sign, a plus where it is positive.

    >>> signed(11.5, "K"), signed(0.0)
    ('+11.5\u202fK', '0')
    """
    return ("+" if value > 0 else "") + number(value, unit, resolution=resolution)


def count(value: int) -> str:
    """A count in full.

    >>> count(13096)
    '13,096'
    """
    return f"{value:,}"


def share(part: int, whole: int) -> str:
    r"""A share of a whole in per cent; a dash of nothing.

    >>> share(312, 1240), share(0, 0), share(1, 100000)
    ('25.2\u202f%', '–', '0.001\u202f%')
    """
    return number(100 * part / whole, "%") if whole else "–"


def of(part: int, whole: int) -> str:
    """The counts behind a share.

    >>> of(312, 1240)
    '312 of 1,240'
    """
    return f"{count(part)} of {count(whole)}"


def many(value: int, noun: str) -> str:
    """A count and its noun.

    >>> many(1, "device"), many(0, "decision")
    ('1 device', '0 decisions')
    """
    return f"{count(value)} {noun}" if value == 1 else f"{count(value)} {noun}s"


def per(value: int, whole: int, noun: str) -> str:
    """A mean, where there is something to divide by.

    >>> per(13096, 100, "device"), per(0, 0, "device")
    ('131 per device', '')
    """
    return f"{number(round(value / whole, 1))} per {noun}" if whole else ""


def duration(seconds: float) -> str:
    r"""A stretch of time in its own unit.

    >>> duration(0.25), duration(42), duration(300), duration(8100), duration(400000)
    ('250\u202fms', '42\u202fs', '5\u202fmin', '2.25\u202fh', '4.63\u202fd')
    """
    if abs(seconds) < 1:
        return number(round(seconds * 1000), "ms")
    for unit, size, limit in (("s", 1, 60), ("min", 60, 3600), ("h", 3600, 172800)):
        if abs(seconds) < limit:
            return number(seconds / size, unit)
    return number(seconds / 86400, "d")


def instant(at: datetime, *, fine: bool = False) -> str:
    """A time, UTC; `fine` to the millisecond.

    >>> instant(datetime(2020, 1, 12, 14, 3, 7, tzinfo=UTC))
    '2020-01-12 14:03:07 UTC'
    """
    at = at.astimezone(UTC)
    text = at.strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{at.microsecond // 1000:03d} UTC" if fine and at.microsecond else f"{text} UTC"


def clock(at: datetime) -> str:
    """The time of day, UTC.

    >>> clock(datetime(2020, 1, 12, 14, 3, 7, tzinfo=UTC))
    '14:03:07 UTC'
    """
    return at.astimezone(UTC).strftime("%H:%M:%S UTC")


def day(at: datetime) -> str:
    """The day, UTC.

    >>> day(datetime(2020, 1, 12, 14, 3, 7, tzinfo=UTC))
    '2020-01-12'
    """
    return at.astimezone(UTC).strftime("%Y-%m-%d")


def days(first: datetime | None, last: datetime | None) -> str:
    """A stretch of days, UTC.

    >>> days(datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 12, tzinfo=UTC)), days(None, None)
    ('2020-01-01 to 2020-01-12', 'without dates')
    """
    return "without dates" if first is None or last is None else f"{day(first)} to {day(last)}"


def span(first: datetime, last: datetime) -> str:
    """A stretch of time to the minute, UTC.

    >>> span(datetime(2020, 1, 1, 8, 5, tzinfo=UTC), datetime(2020, 1, 1, 14, tzinfo=UTC))
    '2020-01-01 08:05 to 14:00 UTC'
    """
    first, last = first.astimezone(UTC), last.astimezone(UTC)
    until = "%H:%M" if first.date() == last.date() else "%Y-%m-%d %H:%M"
    return f"{first:%Y-%m-%d %H:%M} to {last:{until}} UTC"


def size(count_of_bytes: int) -> str:
    r"""A number of bytes, decimal.

    >>> size(512), size(7676203)
    ('512\u202fB', '7.68\u202fMB')
    """
    for unit, bytes_each in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count_of_bytes >= bytes_each:
            return number(count_of_bytes / bytes_each, unit)
    return number(count_of_bytes, "B")


def ago(seconds: float) -> str:
    r"""How long ago.

    >>> ago(0.2), ago(300)
    ('just now', '5\u202fmin ago')
    """
    return "just now" if seconds < 1 else f"{duration(seconds)} ago"


def short_digest(digest: str) -> str:
    """Enough of a digest to recognise it.

    >>> short_digest("sha256:0123456789abcdef0123")
    'sha256:0123456789ab…'
    """
    head, _, body = digest.rpartition(":")
    return f"{head}:{body[:12]}…" if head and len(body) > 12 else digest


def link_unit(link: str) -> str:
    """The unit of attributions, in words.

    >>> link_unit("logit")
    'log-odds'
    """
    return {"logit": "log-odds", "identity": "the score's own unit"}.get(link, link)


def _decimals(value: float) -> int:
    return 0 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))


def _with_unit(text: str, unit: str) -> str:
    return text if unit in ("", "1") else f"{text}{NARROW_SPACE}{unit}"
