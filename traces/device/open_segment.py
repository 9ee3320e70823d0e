"""The segment that is being written.

The invariant: one write() per frame and no buffer, so that the death of the process loses nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from traces.device import disk, segments
from traces.device.cipher import Cipher


class OpenSegment:
    """A new file in `open/`; sealing syncs it where `durable`. Raises OSError where it cannot be made.

    `size` counts the bytes that are whole; `broken` says that what lies behind them could not be cut off,
    so that nothing more may be written here.
    """

    def __init__(
        self, folder: Path, header: segments.Header, cipher: Cipher | None, *, durable: bool = True
    ) -> None:
        self.header, self._synced = header, durable
        self.path = folder / segments.file_name(header.counter)
        self.size = self.frames = self._durable = self._seal_bytes = 0
        self.broken = self._named = self._moved = False
        self._descriptor = disk.create(self.path, os.O_EXCL)
        try:
            self.write(segments.encode_header(header, cipher))
            self.frames = 0
        except OSError:
            self.discard()
            raise

    def write(self, record: bytes) -> None:
        """Append one record in one write. Raises OSError, and then nothing was appended."""
        try:
            written = os.write(self._descriptor, record)
        except OSError:
            self._cut()
            raise
        if written != len(record):
            self._cut()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.size += written
        self.frames += 1

    def sync(self) -> None:
        """Make what was written durable. Raises OSError."""
        size = self.size
        if self._durable == size:
            return
        disk.sync_data(self._descriptor)
        if not self._named:
            disk.sync_folder(self.path.parent)
            self._named = True
        self._durable = size

    def finish(self, at: segments.Stamp, folder: Path) -> tuple[Path, int]:
        """Seal, sync where durable, and move into `folder`; returns path and size there.

        The name there is durable once both folders are synced. Raises OSError, and may be called again.
        """
        if not self._seal_bytes:
            seal = segments.encode_seal(at)
            # A seal that does not fit on the disk is not missed: the frames are whole without it.
            with contextlib.suppress(OSError):
                content = self.size
                self.write(seal)
                self.size, self._seal_bytes = content, len(seal)
        path = folder / self.path.name
        if not self._moved:
            if self._synced:
                disk.sync_data(self._descriptor)
            self.path.replace(path)
            self._moved = True
            os.close(self._descriptor)
        return path, self.size + self._seal_bytes

    def discard(self) -> None:
        """Remove a segment that holds nothing."""
        os.close(self._descriptor)
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _cut(self) -> None:
        try:
            os.ftruncate(self._descriptor, self.size)
        except OSError:
            self.broken = True
