"""The link to a receiver of this machine: where it listens, and what lets it be told recorded times."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from observability.collect.receiver import CLOCK_PATH, TRACES_PATH
from observability.collect.recorded import RECEIVED_AT, RECEIVED_EVERY
from observability.store.address import published
from observability.store.location import Store, location_of
from traces.errors import WhenceError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ShipmentError(WhenceError):
    """A span that could not be recorded, or a receiver that does not take what it is sent."""


@dataclass(frozen=True, slots=True)
class Link:
    """A receiver's base URL, and the token of its writer where its store may be told recorded times."""

    url: str
    token: str | None = None

    @property
    def traces_url(self) -> str:
        """Where spans go."""
        return self.url.rstrip("/").removesuffix(TRACES_PATH) + TRACES_PATH

    def headers(self, received_ns: int | None, every_s: int = 0) -> dict[str, str]:
        """What a request says to be received by then, nanoseconds since 1970 UTC; None: when it is.

        `every_s`: bit by bit until then, each span at the next of these times after its end.
        """
        if received_ns is None or self.token is None:
            return {}
        at = _EPOCH + timedelta(microseconds=received_ns // 1000)
        often = {RECEIVED_EVERY: str(every_s)} if every_s else {}
        return {RECEIVED_AT: at.isoformat(), **often, **self._authorization()}

    def keep_time(self, kind: str) -> None:
        """Let the store keep `recorded` or `system` time. Raises ShipmentError if it does not."""
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
        try:
            connection.request("POST", CLOCK_PATH, kind.encode(), self._authorization())
            response = connection.getresponse()
            said = response.read(200)
        except (OSError, http.client.HTTPException) as error:
            raise ShipmentError(
                f"no answer from {self.url}: {error}", "a running receiver"
            ) from error
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise ShipmentError(
                f"{response.status} from {self.url}: {said!r}", f"a store that keeps {kind} time"
            )

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


def link_to(store: Store, endpoint: str) -> Link:
    """The link to the receiver that serves a store of this machine, with its writer's token.

    Raises ShipmentError where another process, or none, serves the store.
    """
    try:
        owner = published(location_of(store).local)
    except OSError as error:
        raise ShipmentError(
            f"no writer.json in {store}", "the store that the receiver serves"
        ) from error
    if owner["url"].rstrip("/") != endpoint.rstrip("/"):
        raise ShipmentError(f"{store} served at {owner['url']}", endpoint, "see --endpoint")
    return Link(owner["url"], owner["token"])
