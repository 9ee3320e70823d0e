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
class _Gateway:
    name: str
    sender: Sender
    spools: list[Spool]


class Uplink:
    """Sends what many devices have in their spools, all gateways at once, when told.

    Each device's spool lies in a folder of its own below `folder`, and its gateway sends for it. Where
    the link has the writer's token, a request says when it is received; else the receiver's clock does.
    """

    def __init__(self, link: Link, folder: Path) -> None:
        self._link, self._folder = link, folder
        self._gateways: dict[str, _Gateway] = {}
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="uplink")
        self._on_its_way: list[Future[int]] = []
        self._received_ns: int | None = None

    def spool(self, device_id: str, clock: Clock, gateway: str = "") -> Spool:
        """A device's new spool, sent by a gateway. Raises SpoolError."""
        folder = self._folder / device_id.replace("/", "_")
        spool = Spool(folder, clock=clock, durable="none", threaded=False)
        known = self._gateways.get(gateway)
        if known is None:
            sender = Sender(spool, self._link.traces_url, headers=self._headers)
            self._gateways[gateway] = _Gateway(gateway, sender, [spool])
        else:
            known.sender.add(spool)
            known.spools.append(spool)
        return spool

    def send(self, received_ns: int | None, cut_off: Collection[str] = ()) -> int:
        """Begin to send what was recorded by now, but for gateways cut off; return what `finish` does.

        `received_ns` is when it is received in recorded time, nanoseconds since 1970 UTC. Raises
        ShipmentError where what was sent before is not acknowledged.
        """
        acknowledged = self.finish()
        self._received_ns = received_ns
        for gateway in self._gateways.values():
            if gateway.name not in cut_off and any(not spool.is_empty for spool in gateway.spools):
                for spool in gateway.spools:
                    spool.seal()  # now: what is recorded from here on is for the next time
                self._on_its_way.append(self._pool.submit(_deliver, gateway))
        return acknowledged

    def finish(self) -> int:
        """Wait for what is on its way; returns how many spans were acknowledged. Raises ShipmentError."""
        sent, self._on_its_way = self._on_its_way, []
        return sum(one.result() for one in sent)

    def close(self) -> None:
        """Stop sending; what was not sent stays in the spools."""
        self._pool.shutdown(cancel_futures=True)
        for gateway in self._gateways.values():
            gateway.sender.stop()
            for spool in gateway.spools:
                spool.close()

    def _headers(self) -> dict[str, str]:
        return self._link.headers(self._received_ns)


def _deliver(gateway: _Gateway) -> int:
    """Send what is sealed; returns how many spans were acknowledged."""
    sent = 0
    ledgers = [spool.state.ledger for spool in gateway.spools]
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE_S)
        sent += gateway.sender.send(seal=False)
        refused = sum(ledger.rejected + ledger.quarantined for ledger in ledgers)
        if refused:
            raise ShipmentError(
                f"{refused} spans that the receiver refuses", "none", "see the table `rejects`"
            )
        if not any(spool.sealed.entries for spool in gateway.spools):
            return sent
    raise ShipmentError(
        f"spans not acknowledged, {_ATTEMPTS} times: {ledgers[0].error}",
        "each acknowledged",
        "the receiver's log says why",
    )
