"""The receiver in a running process: writer, batcher and routes, opened and closed together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from observability.collect.batcher import Batcher
from observability.collect.limits import Limits
from observability.collect.maintenance import Maintenance
from observability.collect.receiver import CLOCK_PATH, TRACES_PATH, Receiver
from observability.collect.scan.warmth import begin_to_warm_up
from observability.store.append import APPEND_PATH, MAINTAIN_PATH
from observability.store.write import Writer
from traces.device.clock import Clock


class Service:
    """Receives for one store while its lifespan lasts.

    `url` is where other processes of this machine reach it. `clock` gives received_at; see Writer.
    """

    def __init__(
        self, store: Path, url: str, *, clock: Clock | None = None, limits: Limits | None = None
    ) -> None:
        self._store, self._url, self._clock = store, url, clock
        self._limits = limits or Limits()
        self._receiver: Receiver | None = None

    def routes(self) -> list[Route]:
        """The routes, for any Starlette application whose lifespan is in `running`."""
        return [
            Route(TRACES_PATH, self._traces, methods=["POST"]),
            Route(APPEND_PATH, self._append, methods=["POST"]),
            Route(MAINTAIN_PATH, self._maintain, methods=["POST"]),
            Route(CLOCK_PATH, self._keep_time, methods=["POST"]),
        ]

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Own writing to the store, and receive; at the end what is queued is committed first.

        Raises StoreError where the store cannot be written.
        """
        with Writer(self._store, self._clock) as writer:
            begin_to_warm_up()
            batcher = Batcher(writer, self._limits.queue_bytes, limits=self._limits)
            maintenance = Maintenance(writer)
            token = writer.publish(self._url)
            self._receiver = Receiver(batcher, writer, maintenance, token, self._limits)
            try:
                yield
            finally:
                batcher.close()
                maintenance.close()

    async def _traces(self, request: Request) -> Response:
        return await self._receiver.traces(request) if self._receiver else Response(status_code=503)

    async def _append(self, request: Request) -> Response:
        return await self._receiver.append(request) if self._receiver else Response(status_code=503)

    async def _maintain(self, request: Request) -> Response:
        return (
            await self._receiver.maintain(request) if self._receiver else Response(status_code=503)
        )

    async def _keep_time(self, request: Request) -> Response:
        return (
            await self._receiver.keep_time(request) if self._receiver else Response(status_code=503)
        )
