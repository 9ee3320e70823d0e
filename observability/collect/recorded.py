"""When spans of recorded time were received: who has the writer's token may say so.

A request says an instant, or the last one and how often its sender sent: then each span was received at
the next of these times after its end. So a history arrives in large requests and reads like one that came
bit by bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

RECEIVED_AT = "Whence-Received-At"
RECEIVED_EVERY = "Whence-Received-Every"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Recorded:
    """The last instant of receipt, UTC, and seconds between two; 0: all was received at that instant."""

    received_at: datetime
    every_s: int = 0


def recorded(headers: Mapping[str, str]) -> Recorded | None:
    """What a request says of its receipt; None where that cannot be meant."""
    try:
        at = datetime.fromisoformat(headers.get(RECEIVED_AT, ""))
        every_s = int(headers.get(RECEIVED_EVERY, "0"))
        if at.tzinfo is None or not 0 <= every_s <= _LONGEST_S:
            return None
        return Recorded(at.astimezone(UTC), every_s)
    except (ValueError, OverflowError):
        return None


def spread(table: pa.Table, every_s: Mapping[datetime, int]) -> pa.Table:
    """The rows of requests of that receipt, each received at the next time after its end."""
    received = table["received_at"].cast(pa.int64()).to_numpy().copy()
    ended = table["end_unix_nano"].to_numpy() // 1000
    for received_at, seconds in every_s.items():
        last_us = (received_at - _EPOCH) // timedelta(microseconds=1)
        rows = np.flatnonzero(received == last_us)
        step_us = seconds * 10**6
        received[rows] = np.minimum((ended[rows] // step_us + 1) * step_us - 1, last_us)
    place = table.schema.get_field_index("received_at")
    column = pa.array(received, pa.int64()).cast(table.schema.field(place).type)
    return table.set_column(place, table.schema.field(place), column)
