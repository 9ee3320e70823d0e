"""Ids that begin with the time, so that a store finds a decision by its id without reading all others.

The form is that of a UUID's version 7: 48 bits of milliseconds since 1970 UTC, then chance. W3C Trace
Context asks only that the last 7 of a trace id's 16 bytes be random.
"""

from __future__ import annotations

import random

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from traces.device.clock import Clock

_CHANCE_BITS = 80


class TimedIds(RandomIdGenerator):
    """Trace ids that begin with the time of `clock`; span ids of chance."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def generate_trace_id(self) -> int:
        """A trace id of 128 bits."""
        return timed(self._clock.wall_ns(), random.getrandbits(_CHANCE_BITS))


def timed(wall_ns: int, chance: int) -> int:
    """A trace id of an instant, nanoseconds since 1970 UTC, and of 80 bits.

    >>> f"{timed(1_700_000_000_123_456_789, 0xBEEF):032x}"
    '018bcfe5687b0000000000000000beef'
    """
    return (wall_ns // 1_000_000 & 0xFFFF_FFFF_FFFF) << _CHANCE_BITS | chance
