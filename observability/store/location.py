"""Where a store lies: its catalog, its files and this machine's part of it.

Owns the forms of `--store` and `--files`. A folder holds all three; a PostgreSQL catalog leaves the files
in S3 or in a folder that all machines share, and only what is this machine's own here.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from traces.errors import StoreError, WrongUse, first_line

_SHARED = "ducklake:postgres:"
_S3 = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s?*\[\]]+)*/?")
_PATIENCE = (
    "connect_timeout=10 keepalives_idle=10 keepalives_interval=5 keepalives_count=3"
    " tcp_user_timeout=30000"
)
"""A server that is gone is noticed within half a minute."""
_EXAMPLE = "'ducklake:postgres:dbname=whence host=db'"


@dataclass(frozen=True, slots=True)
class Location:
    """Where a store lies.

    `name` is what people call it: the folder, or `ducklake:postgres:` and the connection string, which has no
    password. `catalog` is what DuckLake attaches. Below `files`, a folder or an S3 URL, lie data, models
    and references. `local` is the folder of what is this machine's: keys and the writer's address.
    """

    name: str
    catalog: str
    files: str
    local: Path

    def __str__(self) -> str:
        return self.name

    @property
    def postgres(self) -> str:
        """The connection string of the catalog that many may write to; empty: one process writes."""
        kind, _, conninfo = self.catalog.partition(":")
        return conninfo if kind == "postgres" else ""

    @property
    def in_s3(self) -> bool:
        """Whether the files are objects in S3."""
        return self.files.startswith("s3://")

    @property
    def arguments(self) -> str:
        """What to give a command."""
        store = f"--store {shlex.quote(self.name)}"
        return f"{store} --files {self.files}" if self.postgres else store

    def environment(self) -> dict[str, str]:
        """The variables by which another process finds it, in whichever folder it runs."""
        if self.postgres:
            return {"WHENCE_STORE": self.name, "WHENCE_FILES": self.files}
        return {"WHENCE_STORE": self.files, "WHENCE_FILES": ""}

    @property
    def data(self) -> str:
        """The folder or URL of the Parquet files."""
        return f"{self.files}/data"


Store = Location | Path | str
"""How a store may be named: by its location, its folder, or as `--store` does."""


def location_of(store: Store, files: str | Path | None = None) -> Location:
    """Where the store is that `--store` and `--files` name. Raises WrongUse.

    >>> location_of("fleet").files == str(Path("fleet").absolute())
    True
    >>> found = location_of("ducklake:postgres:dbname=whence host=db", "s3://bucket/plant/")
    >>> found.name.removeprefix("ducklake:postgres:"), found.data
    ('dbname=whence host=db', 's3://bucket/plant/data')
    """
    if isinstance(store, Location):
        return store
    text = str(store)
    if text.startswith(_SHARED):
        return _shared(text.removeprefix(_SHARED), str(files or ""))
    if not text or re.match(r"(ducklake|postgres(ql)?|s3|sqlite):", text):
        raise WrongUse(
            f"store {_without_password(text)!r}",
            f"a folder, or {_EXAMPLE} with --files",
            "see --store",
        )
    if files:
        raise WrongUse(
            f"--files {files} for the folder {text}",
            f"a folder alone, or --store {_EXAMPLE}",
            "a folder keeps its files in itself; see also $WHENCE_FILES",
        )
    folder = Path(text)
    files = str(folder.absolute())
    return Location(text, f"sqlite:{files}/catalog.sqlite", files, folder)


def location_here() -> Location:
    """Where the store is that WHENCE_STORE and WHENCE_FILES name. Raises WrongUse."""
    return location_of(os.environ.get("WHENCE_STORE") or "fleet", os.environ.get("WHENCE_FILES"))


def _shared(conninfo: str, files: str) -> Location:
    conninfo = _checked(conninfo)
    if not files:
        raise WrongUse(
            "a PostgreSQL store without --files",
            "s3://bucket/prefix, or a folder that all machines share",
            "$WHENCE_FILES is the default",
        )
    if "://" in files and not _S3.fullmatch(files):
        raise WrongUse(f"--files {files}", "s3://bucket/prefix, or a folder")
    files = files.rstrip("/") if "://" in files else str(Path(files).absolute())
    digest = hashlib.sha256(f"{conninfo} {files}".encode()).hexdigest()[:16]
    state = Path(os.environ.get("XDG_STATE_HOME") or Path("~/.local/state")).expanduser()
    catalog = f"postgres:{conninfo} {_PATIENCE}"
    return Location(_SHARED + conninfo, catalog, files, state / "whence" / digest)


def _checked(conninfo: str) -> str:
    """The connection string in libpq's `key=value` form. Raises WrongUse for one with a password."""
    try:
        from psycopg import Error
        from psycopg.conninfo import conninfo_to_dict, make_conninfo
    except ImportError as error:
        raise StoreError(
            "no package psycopg", "it installed", "pip install 'whence[server]'"
        ) from error
    try:
        parts: dict[str, Any] = conninfo_to_dict(conninfo)
    except Error as error:
        said = first_line(error) if "password" not in conninfo and "@" not in conninfo else ""
        raise WrongUse(
            f"a store whose connection string cannot be read {said}".strip(), _EXAMPLE
        ) from error
    if "password" in parts or "sslpassword" in parts:
        raise WrongUse(
            "a password in --store", "PGPASSWORD, or a line of ~/.pgpass", "others see arguments"
        )
    return make_conninfo(**parts)


def _without_password(text: str) -> str:
    return re.sub(r"(?<=://)[^/@]*@|password=\S*", "...", text)
