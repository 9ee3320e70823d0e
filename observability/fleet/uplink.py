"""The spools and senders of a fleet whose devices live in one process and in recorded time.

The invariant: what a device recorded is sent by the product's own sender, and nothing is counted
before the receiver has acknowledged it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from observability.fleet.link import Link, ShipmentError
from traces.device import Clock, Sender, Spool

_REQUEST_BYTES = 2 << 20
_ATTEMPTS = 4
_PAUSE_S = 1.0


class Uplink:
    """Sends what many devices have in their spools, in common requests, when told.

    Each device's spool lies in a folder of its own below `folder`. Where the link has the writer's
    token, a request says when it is received; else the receiver's clock does.
    """

    def __init__(self, link: Link, folder: Path) -> None:
        self._link, self._folder = link, folder
        self._spools: dict[str, Spool] = {}
        self._sender: Sender | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="uplink")
        self._on_its_way: Future[int] | None = None
        self._received: tuple[int | None, int] = None, 0

    def spool(self, device_id: str, clock: Clock) -> Spool:
        """A device's new spool. Raises SpoolError."""
        folder = self._folder / device_id.replace("/", "_")
        spool = Spool(folder, clock=clock, durable="none", threaded=False)
        self._spools[device_id] = spool
        if self._sender is None:
            self._sender = Sender(
                spool, self._link.traces_url, headers=self._headers, request_bytes=_REQUEST_BYTES
            )
        else:
            self._sender.add(spool)
        return spool

    def send(
        self, received_ns: int | None, cut_off: Collection[str] = (), *, every_s: int = 0
    ) -> int:
        """Begin to send what was recorded by now, but by devices cut off; return what `finish` does.

        `received_ns` is when it is received in recorded time, nanoseconds since 1970 UTC; with
        `every_s` it is the last of the times, so many seconds apart, at which it was. Raises
        ShipmentError where what was sent before is not acknowledged.
        """
        acknowledged = self.finish()
        self._received = received_ns, every_s
        reached = [
            spool
            for device_id, spool in self._spools.items()
            if device_id not in cut_off and not spool.is_empty
        ]
        for spool in reached:
            spool.seal()  # now: what is recorded from here on is for the next time
        if reached:
            self._on_its_way = self._pool.submit(self._deliver, reached)
        return acknowledged

    def finish(self) -> int:
        """Wait for what is on its way; returns how many spans were acknowledged. Raises ShipmentError."""
        sent, self._on_its_way = self._on_its_way, None
        return 0 if sent is None else sent.result()

    def close(self) -> None:
        """Stop sending; what was not sent stays in the spools."""
        self._pool.shutdown(cancel_futures=True)
        if self._sender is not None:
            self._sender.stop()
        for spool in self._spools.values():
            spool.close()

    def _headers(self) -> dict[str, str]:
        return self._link.headers(*self._received)

    def _deliver(self, spools: Sequence[Spool]) -> int:
        """Send what is sealed; returns how many spans were acknowledged."""
        assert self._sender is not None  # noqa: S101 - it came with the first spool
        sent = 0
        ledgers = [spool.state.ledger for spool in spools]
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_PAUSE_S)
            sent += self._sender.send(spools, seal=False)
            refused = sum(ledger.rejected + ledger.quarantined for ledger in ledgers)
            if refused:
                raise ShipmentError(
                    f"{refused} spans that the receiver refuses", "none", "see the table `rejects`"
                )
            if not any(spool.sealed.entries for spool in spools):
                return sent
        raise ShipmentError(
            f"spans not acknowledged, {_ATTEMPTS} times: {ledgers[0].error}",
            "each acknowledged",
            "the receiver's log says why",
        )
