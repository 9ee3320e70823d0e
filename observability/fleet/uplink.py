"""The spools and senders of a fleet whose devices live in one process and in recorded time.

The invariant: what a device recorded is sent by the product's own sender, and nothing is counted
before the receiver has acknowledged it.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from observability.fleet.link import Link, ShipmentError
from traces.device import Clock, Sender, Spool

_AT_ONCE = 32
_ATTEMPTS = 4
_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class _Device:
    spool: Spool
    sender: Sender


class Uplink:
    """Sends what many devices have in their spools, all at once, when told.

    Each device's spool lies in a folder of its own below `folder`. Where the link has the writer's
    token, a request says when it is received; else the receiver's own clock does.
    """

    def __init__(self, link: Link, folder: Path) -> None:
        self._link, self._folder = link, folder
        self._devices: dict[str, _Device] = {}
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="uplink")
        self._on_its_way: list[Future[int]] = []
        self._received_ns: int | None = None

    def spool(self, device_id: str, clock: Clock) -> Spool:
        """The spool of a device, opened when first asked for. Raises SpoolError."""
        if device_id not in self._devices:
            folder = self._folder / device_id.replace("/", "_")
            spool = Spool(folder, clock=clock, durable="none", threaded=False)
            sender = Sender(spool, self._link.traces_url, headers=self._headers)
            self._devices[device_id] = _Device(spool, sender)
        return self._devices[device_id].spool

    def send(self, received_ns: int | None, device_ids: Collection[str] | None = None) -> int:
        """Begin to send what all, or some, devices have recorded by now, and return what `finish` does.

        `received_ns` is when it is received in recorded time, nanoseconds since 1970 UTC. Raises
        ShipmentError where what was sent before is not acknowledged.
        """
        acknowledged = self.finish()
        self._received_ns = received_ns
        for device_id, device in self._devices.items():
            if (device_ids is None or device_id in device_ids) and not device.spool.is_empty:
                device.spool.seal()  # now: what is recorded from here on is for the next time
                self._on_its_way.append(self._pool.submit(_deliver, device_id, device))
        return acknowledged

    def finish(self) -> int:
        """Wait for what is on its way; returns how many spans were acknowledged. Raises ShipmentError."""
        sent, self._on_its_way = self._on_its_way, []
        return sum(one.result() for one in sent)

    def close(self) -> None:
        """Stop sending; what was not sent stays in the spools."""
        self._pool.shutdown(cancel_futures=True)
        for device in self._devices.values():
            device.sender.stop()
            device.spool.close()

    def _headers(self) -> dict[str, str]:
        return self._link.headers(self._received_ns)


def _deliver(device_id: str, device: _Device) -> int:
    """Send what is sealed; returns how many spans were acknowledged."""
    sent = 0
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE_S)
        sent += device.sender.send(seal=False)
        ledger = device.spool.state.ledger
        if ledger.rejected or ledger.quarantined:
            raise ShipmentError(
                f"{ledger.rejected + ledger.quarantined} spans of {device_id} that the receiver refuses",
                "none",
                "see the store's table `rejects`",
            )
        if not device.spool.sealed.entries:
            return sent
    raise ShipmentError(
        f"spans of {device_id} not acknowledged, {_ATTEMPTS} times: {ledger.error}",
        "each acknowledged",
        "the receiver's log says why",
    )
