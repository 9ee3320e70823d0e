"""One process, one spool: the lock that says so. It ends with the process, however that ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from traces.errors import SpoolError


def held(path: Path) -> int:
    """A descriptor that holds the lock until it is closed. Raises OSError; SpoolError if another has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.read(descriptor, 32).decode(errors="replace").strip()
        os.close(descriptor)
        raise SpoolError(
            f"the spool {path.parent} in use by process {owner or '(unknown)'}",
            "one process for one spool",
            "give each its own folder",
        ) from error
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor
