"""Rows into a store, whoever owns writing: write if that is free, else hand the rows to its owner.

To a PostgreSQL store every process writes itself.
"""

from __future__ import annotations

import dataclasses
import http.client
import io
import json
import time
import zipfile
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import polars as pl
import pyarrow as pa

from observability.store.address import published
from observability.store.location import Store, location_of
from observability.store.locks import StoreInUse
from observability.store.schema import KEYS, arrow_table
from observability.store.write import Batch, Receipt, Writer
from traces.errors import InvalidPayload, StoreError

APPEND_PATH = "/whence/append"
MAINTAIN_PATH = "/whence/maintain"
_WAIT_FOR_OWNER_S = 10.0
_OWNER_TAKES_S = 60.0


class _NotListening(StoreError):
    """The owner has not begun to listen, or no longer does: nothing was sent."""


def append(store: Store, frames: Mapping[str, pl.DataFrame | pa.Table]) -> Receipt:
    """Commit rows, by table, in one transaction; durable on return. `received_at` is stamped here.

    Raises StoreError where the store cannot be opened or its owner does not take the rows.
    """
    batch = {name: _table(name, frame) for name, frame in frames.items()}
    deadline = time.monotonic() + _WAIT_FOR_OWNER_S
    while True:
        try:
            with Writer(store) as writer:
                return writer.write(batch)
        except StoreInUse as in_use:
            try:
                body = pack(batch)
                answer = ask_owner(store, APPEND_PATH, body, "application/zip", _OWNER_TAKES_S)
                return Receipt(**{f.name: answer[f.name] for f in dataclasses.fields(Receipt)})
            except (FileNotFoundError, _NotListening) as absent:
                if time.monotonic() > deadline:
                    raise (absent if isinstance(absent, _NotListening) else in_use) from None
            time.sleep(0.1)


def pack(batch: Batch) -> bytes:
    """A batch as one body: a zip of Arrow files named by table."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, table in batch.items():
            sink = io.BytesIO()
            with pa.ipc.new_file(sink, table.schema) as stream:
                stream.write_table(table)
            archive.writestr(f"{name}.arrow", sink.getvalue())
    return body.getvalue()


def unpack(body: bytes, received_at: datetime | None = None) -> dict[str, pa.Table]:
    """The inverse of `pack`, the rows received then (UTC). Raises InvalidPayload."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            return {
                name.removesuffix(".arrow"): _table(
                    name.removesuffix(".arrow"),
                    pa.ipc.open_file(archive.read(name)).read_all(),
                    received_at,
                )
                for name in archive.namelist()
            }
    except (zipfile.BadZipFile, pa.ArrowInvalid) as error:
        raise InvalidPayload("a body that is no batch", "a zip of Arrow files") from error


def _table(
    name: str, frame: pl.DataFrame | pa.Table, received_at: datetime | None = None
) -> pa.Table:
    if name not in KEYS:
        raise InvalidPayload(f"table {name!r}", "one of " + ", ".join(KEYS))
    rows = frame.to_dicts() if isinstance(frame, pl.DataFrame) else frame.to_pylist()
    return arrow_table(name, rows, received_at)


def ask_owner(
    store: Store, path: str, body: bytes, content_type: str, timeout_s: float
) -> dict[str, Any]:
    """What the process that owns writing answers. Raises StoreError, FileNotFoundError where none says so."""
    owner = published(location_of(store).local)
    address = urlsplit(owner["url"])
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=timeout_s)
    try:
        headers = {"Authorization": f"Bearer {owner['token']}", "Content-Type": content_type}
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        kind = _NotListening if isinstance(error, ConnectionRefusedError) else StoreError
        raise kind(
            f"no answer from the writer at {owner['url']}: {error}", "it running", "try again"
        ) from error
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise StoreError(
            f"{response.status} from the writer at {owner['url']}", "200", answer.get("message", "")
        )
    return answer
