"""The receiver in a running process: writer, batcher and routes, opened and closed together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from observability.collect.batcher import Batcher
from observability.collect.limits import Limits
from observability.collect.maintenance import Maintenance
from observability.collect.receiver import PATHS, Receiver, come_again
from observability.collect.scan.warmth import begin_to_warm_up
from observability.store.location import Store
from observability.store.maintain import Run
from observability.store.worker import StartJob, Worker
from observability.store.write import Writer
from traces.device.clock import Clock


class Service:
    """Receives for one store while its lifespan lasts.

    `url` is where other processes of this machine reach it. `clock` gives received_at; see Writer.
    Each of `jobs` is done beside it, and ends when nothing more is received.
    """

    def __init__(
        self,
        store: Store,
        url: str,
        *,
        clock: Clock | None = None,
        limits: Limits | None = None,
        jobs: Sequence[StartJob] = (),
    ) -> None:
        self._store, self._url, self._clock = store, url, clock
        self._limits, self._jobs = limits or Limits(), jobs
        self._receiver: Receiver | None = None

    def routes(self) -> list[Route]:
        """The routes, for any Starlette application whose lifespan is in `running`.

        They take every method, so that the receiver answers those that it does not allow too.
        """
        return [Route(path, partial(self._answer, path), methods=[]) for path in PATHS]

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Own writing to the store, and receive; at the end what is queued is committed first.

        Raises StoreError where the store cannot be written.
        """
        with Writer(self._store, self._clock) as writer:
            begin_to_warm_up()
            batcher = Batcher(writer, self._limits.queue_bytes, limits=self._limits)
            maintenance = Worker(writer, Maintenance)
            token = writer.publish(self._url)
            self._receiver = Receiver(
                batcher, writer, partial(_maintain, maintenance), token, self._limits
            )
            workers = [Worker(writer, job) for job in self._jobs]
            try:
                yield
            finally:
                batcher.close()
                for worker in (*workers, maintenance):
                    worker.close()

    async def _answer(self, path: str, request: Request) -> Response:
        if self._receiver is None:
            return come_again(request, "a receiver that has not begun")
        return await self._receiver.answer(path, request)


def _maintain(worker: Worker[Maintenance], days: int | None) -> Run:
    """All that is to be done now, between the turns of the worker."""
    with worker.resting() as maintenance:
        return maintenance.run(days)
