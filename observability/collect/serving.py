"""A receiver of its own on a loopback port: what `whence collect`, replay and tests run."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from observability.collect.address import listen, url_of
from observability.collect.limits import Limits
from observability.collect.service import Service
from observability.store.location import Store
from observability.store.worker import StartJob
from traces.device.clock import Clock

_KEEP_S = 75  # exporters send each 5 s by default: a connection must not end just then
_LEAVE_S = 5  # at the end; who has not sent all of its request by then is asked to come again


@contextlib.contextmanager
def serving(
    store: Store,
    clock: Clock | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    limits: Limits | None = None,
    jobs: Sequence[StartJob] = (),
) -> Iterator[str]:
    """Receive until the block ends, and commit what is queued then; yields the base URL.

    Port 0 takes a free one. Raises WrongUse where it cannot listen, StoreError where it cannot write.
    """
    with listen(host, port) as listener:
        url = url_of(host, listener.getsockname()[1])
        service = Service(store, url, clock=clock, limits=limits, jobs=jobs)
        with service.running(), answering(listener, service.routes()):
            yield url


@contextlib.contextmanager
def answering(listener: socket.socket, routes: Sequence[Route]) -> Iterator[None]:
    """Answer requests on a thread of its own; at the end those that wait, and no others."""
    config = uvicorn.Config(
        Starlette(routes=routes),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=_KEEP_S,
        timeout_graceful_shutdown=_LEAVE_S,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()
