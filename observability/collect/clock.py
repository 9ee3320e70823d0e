"""When it was decided, by this server's clock, where the device's own cannot be trusted.

A request says the device's boot and its monotonic clock as it was sent. That clock and the time of receipt
give every decision of the same boot its time; decisions of an earlier boot lie between their neighbours in
the chain. What the device says itself stays in start_unix_nano and end_unix_nano.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from traces.codec import BOOT_ID, MONOTONIC_NS, SYNCED
from traces.wire import attribute

BOOT_HEADER = "Whence-Boot-Id"
MONOTONIC_HEADER = "Whence-Monotonic-Ns"
WAY_US = 100_000
"""A request is held to take at most this long until its first byte is here."""
DRIFT_PPM = 50
"""A device's oscillator is held to be off by at most this."""

LastBefore = Callable[[str, str, int], datetime | None]
"""When the last decision of a device's chain was made that has a number below this one, UTC."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_ID = 200
_MOST_NS = 2**63
_INT_VALUE = 0x18
_VARINT_BYTES = 10
_SYNCED = attribute(SYNCED, True)
_MONOTONIC = b"\x0a" + bytes([len(MONOTONIC_NS)]) + MONOTONIC_NS.encode() + b"\x12"


@dataclass(frozen=True, slots=True)
class ClockSighting:
    """A device's monotonic clock, nanoseconds since its boot, as a request left it.

    `received_at` is when the request began to arrive, UTC; `took_us` how long it then took.
    """

    boot_id: str
    monotonic_ns: int
    received_at: datetime
    took_us: int


def sighting(
    headers: Mapping[str, str], received_at: datetime, took_us: int
) -> ClockSighting | None:
    """What a request's headers tell of its sender's clock; None where they tell nothing usable."""
    boot_id, monotonic = headers.get(BOOT_HEADER, ""), headers.get(MONOTONIC_HEADER, "")
    if not 0 < len(boot_id) <= _LONGEST_ID or not (monotonic.isascii() and monotonic.isdigit()):
        return None
    if len(monotonic) > len(str(_MOST_NS)) or int(monotonic) >= _MOST_NS:
        return None
    return ClockSighting(boot_id, int(monotonic), received_at, took_us)


def corrected(
    decisions: pa.Table, sightings: Sequence[ClockSighting], last_before: LastBefore
) -> pa.Table:
    """Rows of `decisions` with decided_at and clock_uncertainty_us of those whose clock is not in sync.

    A request is known again by its time of receipt and its boot. Where two of one boot were received in
    the same microsecond and disagree, their decisions keep the device's own time.
    """
    if not sightings or not decisions.num_rows:
        return decisions
    received = decisions["received_at"].cast(pa.int64()).to_numpy()
    rest = decisions["rest"].combine_chunks()
    adrift = _holds(rest, _MONOTONIC) & ~_holds(rest, _SYNCED)
    at = adrift & np.isin(received, [_microseconds(one.received_at) for one in sightings])
    rows = np.flatnonzero(at)
    if not len(rows):
        return decisions
    decided = decisions["decided_at"].cast(pa.int64()).to_numpy().copy()
    unsure = decisions["clock_uncertainty_us"].to_pylist()
    rows = rows[np.argsort(received[rows], kind="stable")]
    rest = rest.take(pa.array(rows))
    monotonic = _monotonic(rest)
    trusted = ~adrift
    for one in _unambiguous(sightings):
        since = np.searchsorted(received[rows], _microseconds(one.received_at))
        until = np.searchsorted(received[rows], _microseconds(one.received_at), "right")
        own = _holds(rest[since:until], attribute(BOOT_ID, one.boot_id))
        before_us = (one.monotonic_ns - monotonic[since:until]) // 1000
        known = own & (monotonic[since:until] >= 0) & (before_us >= 0)
        chosen = rows[since:until][known]
        decided[chosen] = _microseconds(one.received_at) - before_us[known]
        trusted[chosen] = True
        drift = before_us[known] * DRIFT_PPM // 10**6
        for row, more in zip(chosen.tolist(), drift.tolist(), strict=True):
            unsure[row] = one.took_us + WAY_US + more
    _bound(decisions, decided, unsure, trusted, at, last_before)
    return _with_times(decisions, decided, unsure)


def _bound(
    decisions: pa.Table,
    decided: np.ndarray,
    unsure: list[int | None],
    trusted: np.ndarray,
    sighted: np.ndarray,
    last_before: LastBefore,
) -> None:
    """Put what is left, of earlier boots, between its neighbours in the chain, in its order."""
    numbered = decisions["chain_id"].is_valid().to_numpy()
    left = numbered & sighted & ~trusted
    if not left.any():
        return
    places = decisions.select(["device_id", "chain_id", "seq", "received_at"])
    kept = np.flatnonzero(numbered & (trusted | left))
    by_chain: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
    for row, place in zip(kept.tolist(), places.take(pa.array(kept)).to_pylist(), strict=True):
        known = place["seq"], row, _microseconds(place["received_at"])
        by_chain.setdefault((place["device_id"], place["chain_id"]), []).append(known)
    for (device_id, chain_id), spans in by_chain.items():
        run: list[tuple[int, int, int]] = []
        low: int | None = None
        for span in [*sorted(spans), None]:
            if span is not None and left[span[1]]:
                run.append(span)
                continue
            if run:
                if low is None:
                    last = last_before(device_id, chain_id, run[0][0])
                    low = None if last is None else _microseconds(last)
                high = max(one[2] for one in run) if span is None else int(decided[span[1]])
                _spread([one[1] for one in run], low, high, decided, unsure)
                run = []
            if span is not None:
                low = int(decided[span[1]])


def _spread(
    rows: Sequence[int], low: int | None, high: int, decided: np.ndarray, unsure: list[int | None]
) -> None:
    """Evenly between two instants, microseconds; without the first just before the second."""
    if low is None:
        decided[rows] = high - np.arange(len(rows), 0, -1)
        return
    low = min(low, high)
    for place, row in enumerate(rows, start=1):
        decided[row] = low + (high - low) * place // (len(rows) + 1)
        unsure[row] = (high - low + 1) // 2


def _unambiguous(sightings: Sequence[ClockSighting]) -> list[ClockSighting]:
    found: dict[tuple[datetime, str], set[ClockSighting]] = {}
    for one in sightings:
        found.setdefault((one.received_at, one.boot_id), set()).add(one)
    return [
        max(same, key=lambda one: one.took_us)
        for same in found.values()
        if len({one.monotonic_ns for one in same}) == 1
    ]


def _holds(rest: pa.Array, content: bytes) -> np.ndarray:
    return np.asarray(pc.match_substring(rest, pattern=content))  # pyright: ignore[reportAttributeAccessIssue]


def _monotonic(rest: pa.Array) -> np.ndarray:
    """The monotonic clock of each span, nanoseconds; -1 where it is not written as protobuf writes it."""
    found = np.asarray(pc.find_substring(rest, pattern=_MONOTONIC))  # pyright: ignore[reportAttributeAccessIssue]
    offsets = np.frombuffer(rest.buffers()[1], np.int32)[rest.offset : rest.offset + len(rest)]
    data = np.append(np.frombuffer(rest.buffers()[2], np.uint8), np.zeros(32, np.uint8))
    value = offsets + found + len(_MONOTONIC) + 1
    digits = data[value[:, None] + 1 + np.arange(_VARINT_BYTES)]
    goes_on = np.cumprod(digits >> 7, axis=1, dtype=np.uint8)
    used = np.insert(goes_on[:, :-1], 0, 1, axis=1)
    shifts = np.uint64(7) * np.arange(_VARINT_BYTES, dtype=np.uint64)
    parts = (digits & 127).astype(np.uint64) * used << shifts
    numbers = parts.sum(axis=1, dtype=np.uint64).astype(np.int64)
    return np.where((found >= 0) & (data[value] == _INT_VALUE), numbers, -1)


def _with_times(decisions: pa.Table, decided: np.ndarray, unsure: list[Any]) -> pa.Table:
    for name, values in (("decided_at", decided), ("clock_uncertainty_us", unsure)):
        place = decisions.schema.get_field_index(name)
        field = decisions.schema.field(place)
        column = pa.array(values, pa.int64()).cast(field.type)
        decisions = decisions.set_column(place, field, column)
    return decisions


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)
