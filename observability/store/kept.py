"""Files of a store that are named by the digest of their bytes: artifacts and references.

What is in place never changes. So an object in S3 is fetched to this machine once, and whoever reads it
reads a file.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from observability.store.durable import fsync
from observability.store.location import Location
from observability.store.s3 import s3_here
from traces.errors import StoreError, first_line


def keep(store: Location, name: str, content: bytes) -> None:
    """Put bytes in place below the store's files, whole or not at all, and durably. Raises StoreError."""
    if not store.in_s3:
        _place(content, Path(store.files) / name)
        return
    bucket_and_key = f"{store.files.removeprefix('s3://')}/{name}"
    try:
        with s3_here().arrow_filesystem().open_output_stream(bucket_and_key) as stream:
            stream.write(content)
    except OSError as error:
        raise StoreError(
            f"{name} not stored in {store.files}: {first_line(error)}", "S3"
        ) from error


def kept(store: Location, name: str) -> Path:
    """The file of this name, there where it is stored; from S3 it is fetched. Raises StoreError."""
    if not store.in_s3:
        return Path(store.files) / name
    path = store.local / name
    if not path.is_file():
        bucket_and_key = f"{store.files.removeprefix('s3://')}/{name}"
        try:
            with s3_here().arrow_filesystem().open_input_stream(bucket_and_key) as stream:
                _place(stream.read(), path)
        except FileNotFoundError:
            pass  # its reader says that it is missing
        except OSError as error:
            raise StoreError(
                f"{name} not fetched from {store.files}: {first_line(error)}", "S3"
            ) from error
    return path


def _place(content: bytes, target: Path) -> None:
    if target.is_file() and target.read_bytes() == content:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".", delete=False) as part:
        part.write(content)
        part.flush()
        os.fsync(part.fileno())
    Path(part.name).replace(target)
    fsync(target.parent)
    fsync(target.parent.parent)
