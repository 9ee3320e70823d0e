"""A receiver of its own on a loopback port, in this process: what replay and tests send to."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette

from observability.collect.limits import Limits
from observability.collect.service import Service
from observability.store.location import Store
from traces.device.clock import Clock


@contextlib.contextmanager
def serving(
    store: Store, clock: Clock | None = None, *, port: int = 0, limits: Limits | None = None
) -> Iterator[str]:
    """Receive on loopback until the block ends; yields the base URL. Port 0 takes a free one."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        service = Service(store, url, clock=clock, limits=limits)
        with service.running():
            app = Starlette(routes=service.routes())
            config = uvicorn.Config(app, log_level="warning", lifespan="off", access_log=False)
            server = uvicorn.Server(config)
            thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
            thread.start()
            try:
                yield url
            finally:
                server.should_exit = True
                thread.join()
