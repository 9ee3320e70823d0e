"""The `state` file of a spool: what the recorder keeps, the last numbered frame, and the counts.

Written whole, by rename, and only by the process that holds the spool's lock; read by anyone.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from traces.device import disk

FILE = "state"
_MOST_INTERRUPTIONS = 20


@dataclass(frozen=True, slots=True)
class Interruption:
    """Where the device stopped before the spool was closed: what may be missing is named by it.

    Frames after number `after_seq` of `chain_id` (-1: from the first on) that were not yet on the disk
    are gone; `cut_bytes` is what was found of them. `missing` are numbers before it that are gone: the
    disk kept what was written later. Where `boot_ended` is false only the process died:
    then nothing is missing but a frame whose append had not returned. `found_at_ns` is ns UTC.
    """

    chain_id: str
    after_seq: int
    cut_bytes: int
    boot_ended: bool
    found_at_ns: int
    missing: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True)
class Ledger:
    """Counts since the spool was made: frames, unless the name says otherwise. Times in ns UTC.

    `boot_id` and `closed` tell of the last process that had the spool.
    """

    acknowledged: int = 0
    rejected: int = 0
    tombstoned: int = 0
    evicted_unnumbered: int = 0
    quarantined: int = 0
    quarantine_dropped: int = 0
    refused: int = 0
    damaged_bytes: int = 0
    acknowledged_at_ns: int = 0
    error: str = ""
    error_at_ns: int = 0
    interruptions: list[Interruption] = field(default_factory=list)
    boot_id: str = ""
    closed: bool = True


@dataclass(frozen=True, slots=True)
class Last:
    """The newest numbered frame, kept when its segment goes: its record, its chain and its segment."""

    record: bytes
    chain_id: str
    counter: int


@dataclass(frozen=True, slots=True)
class Stored:
    """The state file as read."""

    recorder: dict[str, Any]
    last: Last | None
    ledger: Ledger
    readable: bool = True


def read(folder: Path) -> Stored:
    """The state of a spool; an empty one where there is none, `readable` false where it is damaged."""
    try:
        data = json.loads((folder / FILE).read_bytes())
        last = data["last"] and Last(
            base64.b64decode(data["last"]["record"]),
            data["last"]["chain_id"],
            data["last"]["counter"],
        )
        return Stored(data["recorder"], last, _ledger(data["ledger"]))
    except FileNotFoundError:
        return Stored({}, None, Ledger())
    except (ValueError, KeyError, TypeError, AttributeError):
        return Stored({}, None, Ledger(), readable=False)


class State:
    """The state in the process that owns the spool. Its methods may be called from any thread.

    Where it is not `durable` it outlives the process, and not a power loss.
    """

    def __init__(
        self,
        folder: Path,
        on_change: Callable[[], object] = lambda: None,
        *,
        durable: bool = True,
    ) -> None:
        stored = read(folder)
        self._on_change, self._durable = on_change, durable
        self._path = folder / FILE
        self._lock = threading.Lock()
        self._recorder, self._last, self._ledger = stored.recorder, stored.last, stored.ledger
        self._changed = False
        if not stored.readable:
            self.note(error="the state file was unreadable; counts and chain begin anew")

    @property
    def ledger(self) -> Ledger:
        """The counts as they are; change them by `count`, `note` and `interrupted`."""
        return self._ledger

    @property
    def changed(self) -> bool:
        """Whether `write` has something to write."""
        return self._changed

    @property
    def last(self) -> Last | None:
        """The newest numbered frame whose segment is gone."""
        return self._last

    def recorder(self) -> dict[str, Any]:
        """What the recorder kept."""
        return dict(self._recorder)

    def keep_recorder(self, values: Mapping[str, Any]) -> None:
        """Keep what the recorder needs after a restart; durable on return. Raises OSError."""
        with self._lock:
            self._recorder = dict(values)
            self._write()

    def keep_last(self, last: Last) -> None:
        """Keep the last frame; durable on return. Raises OSError."""
        with self._lock:
            if last != self._last:
                self._last = last
                self._write()

    def count(self, **by: int) -> None:
        """Add to counts of the ledger."""
        with self._lock:
            for name, number in by.items():
                setattr(self._ledger, name, getattr(self._ledger, name) + number)
            self._changed = True
        self._on_change()

    def note(self, **values: Any) -> None:
        """Set values of the ledger."""
        with self._lock:
            for name, value in values.items():
                setattr(self._ledger, name, value)
            self._changed = True
        self._on_change()

    def interrupted(self, interruption: Interruption) -> None:
        """Add to the interruptions; the oldest are forgotten."""
        with self._lock:
            kept = [*self._ledger.interruptions, interruption]
            self._ledger.interruptions = kept[-_MOST_INTERRUPTIONS:]
            self._changed = True
        self._on_change()

    def write(self) -> None:
        """Write what has changed, if anything has. Raises OSError."""
        with self._lock:
            if self._changed:
                self._write()

    def _write(self) -> None:
        last = self._last and {
            "record": base64.b64encode(self._last.record).decode(),
            "chain_id": self._last.chain_id,
            "counter": self._last.counter,
        }
        data = {"recorder": self._recorder, "last": last, "ledger": asdict(self._ledger)}
        disk.replace(self._path, json.dumps(data).encode(), sync=self._durable)
        self._changed = False


def _ledger(data: Mapping[str, Any]) -> Ledger:
    known = {item.name for item in fields(Ledger)}
    values = {name: value for name, value in data.items() if name in known}
    values["interruptions"] = [
        Interruption(**{**item, "missing": tuple(map(tuple, item["missing"]))})
        for item in values.get("interruptions", [])
    ]
    return Ledger(**values)
