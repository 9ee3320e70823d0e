"""Files that are whole or not there: temporary file, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

TEMPORARY = ".tmp"
# Where the system has it: the size goes to the disk with the data, times do not.
sync_data = getattr(os, "fdatasync", os.fsync)


def make_folder(path: Path) -> None:
    """A folder of its owner alone."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)


def create(path: Path, extra: int = 0) -> int:
    """A descriptor of a new file, of its owner alone, that is appended to. Raises OSError."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | extra, 0o600)


def replace(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Put `data` at `path` at once, durably unless told otherwise. Raises OSError."""
    temporary = path.with_name(path.name + TEMPORARY)
    descriptor = create(temporary, os.O_TRUNC)
    try:
        write_all(descriptor, data)
        if sync:
            os.fsync(descriptor)
    except BaseException:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    os.close(descriptor)
    temporary.replace(path)
    if sync:
        sync_folder(path.parent)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it, in as many writes as it takes. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_folder(path: Path) -> None:
    """Make names in a folder durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
