"""The spool: frames on the disk of a device, until a server has them.

The invariant: a frame whose `append` returned is delivered, in quarantine, or named by a tombstone, within
the promise that `Spool` states; and appending never waits for the network.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from traces.device import disk, segments
from traces.device.cipher import Cipher
from traces.device.clock import Clock, SystemClock
from traces.device.eviction import Level
from traces.device.frames import DIGEST_BYTES, Frame, Priority, encode
from traces.device.lock import held
from traces.device.quarantine import Quarantine
from traces.device.recovery import holes, interruption, last_frame, recover
from traces.device.sealed import Batch, Entry, Sealed, load
from traces.device.state import Last, State
from traces.device.tombstones import runs
from traces.device.writing import Writing
from traces.errors import SpoolError, first_line

SEGMENT_BYTES = 1 << 20
SEAL_AFTER_NS = 30 * 10**9
LEAST_LIMIT = 64 << 10
_GROUP_S = 0.6
_SHARE = 16
_HIGH, _LOW = 0.97, 0.90
_MOST_LOST = 1000
_AT_ONCE = {"each": Priority.TELEMETRY, "group": Priority.IMPORTANT, "none": Priority.IMPORTANT + 1}


class Spool:
    """A folder that one process appends frames to and sends them from. Thread-safe.

    What a frame survives once `append` has returned:
        in every case   the death of the process (SIGKILL), nothing excepted: one write() and no buffer
        durable="each"  power loss too: the frame is on the disk
        durable="group" power loss too, if it is IMPORTANT, or if a second has passed since (the disk
                        keeping up with what is written)
        durable="none"  power loss not at all, until a server has it

    `limit_bytes` bounds all segments together (the quarantine, a sixteenth of it, and small files are
    apart). At the limit the oldest TELEMETRY and ROUTINE frames go first, IMPORTANT ones only where
    nothing else is left, and tombstones stand for them. `key` (16, 24 or 32 bytes) encrypts what is at rest
    by AES-GCM. Opening continues what an earlier process left. Raises SpoolError where another process has
    the folder, where it cannot be written, or where the key is not that of the spool.
    """

    def __init__(
        self,
        folder: Path,
        *,
        limit_bytes: int = 64 << 20,
        clock: Clock | None = None,
        key: bytes | None = None,
        durable: Literal["each", "group", "none"] = "group",
        threaded: bool = True,
    ) -> None:
        if durable not in _AT_ONCE:
            raise SpoolError(f"durable={durable!r}", "each, group or none")
        if limit_bytes < LEAST_LIMIT:
            raise SpoolError(f"a limit of {limit_bytes} bytes", f"at least {LEAST_LIMIT}")
        self.folder = Path(folder)
        self.clock = clock or SystemClock()
        self._cipher = Cipher(key) if key else None
        self._limit = limit_bytes
        self._at_once, self._in_groups = _AT_ONCE[durable], durable == "group"
        self._durable = durable != "none"
        self._lost: list[tuple[str, int, int]] = []
        self._lost_lock = threading.Lock()
        self._work, self._ended = threading.Event(), threading.Event()
        try:
            disk.make_folder(self.folder)
            self._lock_file = held(self.folder / "lock")
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        try:
            self._start()
        except OSError as error:
            os.close(self._lock_file)
            raise _unwritable(self.folder, error) from error
        except BaseException:
            os.close(self._lock_file)
            raise
        self._thread = threading.Thread(target=self._run, name="whence-spool", daemon=True)
        if threaded:
            self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self, envelope: bytes, chain_id: str = "") -> None:
        """Say what the frames from now on share: resource and scope, and the chain that numbers them."""
        self._writing.begin(envelope, chain_id)

    def append(self, frame: Frame) -> None:
        """Keep a frame. Raises SpoolError where it could not be kept; the spool stays as it was."""
        priority, digest = frame.priority, frame.digest
        if digest and len(digest) != DIGEST_BYTES:
            raise SpoolError(f"a digest of {len(digest)} bytes", f"{DIGEST_BYTES}")
        record = self._encoded(frame)
        try:
            while needed := self._writing.put(frame, record):
                self._make_room(needed)
            if priority >= self._at_once:
                self._writing.sync()
        except OSError as error:
            self.state.count(refused=1)
            raise _unwritable(self.folder, error) from error

    @property
    def last(self) -> Frame | None:
        """The newest numbered frame, of this or of an earlier process; None where there was none."""
        return self._writing.last[0]

    @property
    def last_chain_id(self) -> str:
        """The chain that `last` belongs to."""
        return self._writing.last[1]

    def recorded(self) -> dict[str, Any]:
        """What the recorder last gave to `keep`."""
        return self.state.recorder()

    def keep(self, values: Mapping[str, Any]) -> None:
        """Keep a few values (JSON) of the recorder over restarts; durable on return. Raises SpoolError."""
        try:
            self.state.keep_recorder(values)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def lost(self) -> tuple[tuple[int, int], ...]:
        """Ranges of this chain, both ends included, that were evicted since last asked; at most 1,000.

        What was evicted from earlier chains is not among them: their tombstones name it.
        """
        chain_id = self._writing.chain_id
        with self._lost_lock:
            mine = runs((first, last) for chain, first, last in self._lost if chain == chain_id)
            self._lost = [(chain_id, *item) for item in mine[_MOST_LOST:]]
        return tuple(mine[:_MOST_LOST])

    def seal(self) -> None:
        """Close the open segment, so that what was appended can be sent. Raises SpoolError."""
        try:
            self._writing.seal()
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def take(self, max_bytes: int, most: int) -> Batch | None:
        """The oldest sealed frames for one request. See Sealed.take."""
        return self.sealed.take(max_bytes, most)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be sent."""
        return self._writing.is_empty and not self.sealed.entries

    def maintain(self) -> None:
        """What time asks for: group commit, sealing by age, room in advance, the state file.

        A thread of the spool's own calls it each 0.6 s while there is anything to do; without one
        (`threaded` false, as where time is simulated) the caller does. Raises OSError and SpoolError.
        """
        writing = self._writing
        if self._in_groups and writing.unsynced:
            writing.sync()
        writing.seal(SEAL_AFTER_NS)
        if writing.size > self._limit * _HIGH:
            while writing.size > self._limit * _LOW and self.sealed.evict(Level.ROUTINE):
                pass
        self.state.write()

    def close(self) -> None:
        """Seal, and let another process have the folder. Raises nothing; appending ends."""
        if self._ended.is_set():
            return
        self._writing.closed = True
        self._ended.set()
        self._work.set()
        if self._thread.ident is not None:
            self._thread.join()
        with contextlib.suppress(OSError, SpoolError):
            self._writing.seal()
            self.state.note(closed=True)
            self.state.write()
        os.close(self._lock_file)

    def _start(self) -> None:
        for name in ("open", "sealed", "quarantine"):
            disk.make_folder(self.folder / name)
        segment_bytes = min(SEGMENT_BYTES, self._limit // _SHARE)
        self.state = State(self.folder, self._work.set, durable=self._durable)
        self.sealed = Sealed(
            folder=self.folder / "sealed",
            cipher=self._cipher,
            quarantine=Quarantine(self.folder / "quarantine", self._limit // _SHARE, self._cipher),
            state=self.state,
            now_ns=self.clock.wall_ns,
            before_delete=self._keep_last,
            lost=self._note_lost,
            join_bytes=segment_bytes // 2,
        )
        load(self.sealed)
        before = last_frame(self.sealed, self.state)
        cut = recover(self.folder / "open", self.sealed, self.clock)
        last = last_frame(self.sealed, self.state)
        missing = holes(self.sealed, before)
        found = interruption(self.state.ledger, last, cut, missing, self.clock)
        if found is not None:
            self.state.interrupted(found)
        self._lost += [(last[1], *item) for item in missing]
        self.state.note(boot_id=self.clock.boot_id, closed=False)
        self.state.write()
        self._writing = Writing(
            self.folder / "open",
            self.sealed,
            self.clock,
            segment_bytes=segment_bytes,
            limit_bytes=self._limit,
            last=last,
            counter=max([last[2], *(entry.header.through for entry in self.sealed.entries)]) + 1,
            durable=self._durable,
            on_work=self._work.set,
        )

    def _encoded(self, frame: Frame) -> bytes:
        if self._cipher is None:
            return encode(frame.priority, frame.seq, frame.digest, frame.span)
        return segments.encode_frame(frame, self._cipher)

    def _make_room(self, needed: int) -> None:
        """Evict a little: what is routine in segments that are not sealed yet, before what is important."""
        writing = self._writing
        for seal, level in ((False, Level.ROUTINE), (True, Level.ROUTINE), (False, Level.DIGESTS)):
            if seal:
                self.seal()
            if writing.size + needed <= self._limit or self.sealed.evict(level):
                return
        self.state.count(refused=1)
        raise SpoolError(
            f"a spool of {self._limit} bytes without room for {needed} more",
            "frames that can be evicted",
            "raise limit_bytes",
        )

    def _keep_last(self, entry: Entry) -> None:
        last, chain_id, counter = self._writing.last
        about = entry.header
        if last is not None and about.chain_id == chain_id and counter <= about.through:
            self.state.keep_last(Last(self._encoded(last), chain_id, counter))

    def _note_lost(self, chain_id: str, ranges: list[tuple[int, int]]) -> None:
        current = self._writing.chain_id
        with self._lost_lock:
            self._lost += [(chain_id, first, last) for first, last in ranges]
            if len(self._lost) > _MOST_LOST:
                mine = runs(item[1:] for item in self._lost if item[0] == current)
                self._lost = [(current, *item) for item in mine]

    def _run(self) -> None:
        while not self._ended.is_set():
            self._work.wait()
            self._work.clear()
            pause_s = _GROUP_S
            while not self._ended.wait(pause_s):
                started = time.monotonic()
                try:
                    self.maintain()
                except (OSError, SpoolError) as error:
                    self.state.note(error=first_line(error), error_at_ns=self.clock.wall_ns())
                if self._writing.is_empty and not self.state.changed:
                    break
                pause_s = max(_GROUP_S - (time.monotonic() - started), _GROUP_S / 10)


def _unwritable(folder: Path, error: OSError) -> SpoolError:
    return SpoolError(
        f"{folder} that cannot be written ({error.strerror or error})", "room and permission there"
    )
