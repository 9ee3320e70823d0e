"""The receiver in a running process: writer, batcher and routes, opened and closed together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from observability.collect.batcher import Batcher
from observability.collect.limits import Limits
from observability.collect.receiver import Receiver
from observability.store.write import Writer
from traces.device.clock import Clock


@contextlib.contextmanager
def receiving(
    store: Path, url: str, *, clock: Clock | None = None, limits: Limits | None = None
) -> Iterator[Receiver]:
    """Own writing to the store, and receive, until the block ends; what is queued is committed first.

    `url` is where other processes reach this one. Raises StoreError where the store cannot be written.
    """
    limits = limits or Limits()
    with Writer(store, clock) as writer:
        batcher = Batcher(writer, limits.queue_bytes)
        try:
            yield Receiver(batcher, writer.publish(url), limits)
        finally:
            batcher.close()
