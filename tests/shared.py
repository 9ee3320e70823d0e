"""A real PostgreSQL and a real S3 endpoint on this machine, and doors before them that can be shut."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

BUCKET = "fleet"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": "eu-central-1",
}


class Postgres:
    """A server in a folder, with its socket there; `fsync` is off, as nobody pulls the plug."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._data = folder, folder / "data"
        self._bin = _postgres_programs()
        self._as = _unprivileged(folder)
        self._run("initdb", "-A", "trust", "-U", "whence", "--no-sync", "-E", "UTF8")

    def start(self) -> None:
        options = f"-k {self._folder} -c listen_addresses= -c fsync=off"
        self._run("pg_ctl", "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """As a crash would."""
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    def conninfo(self, database: str) -> str:
        return f"dbname={database} host={self._folder} user=whence"

    def create(self, database: str) -> str:
        """A new database; returns its connection string."""
        import psycopg
        from psycopg import sql

        with psycopg.connect(self.conninfo("postgres"), autocommit=True) as con:
            con.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        return self.conninfo(database)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), "-D", str(self._data), *arguments]
        environment = {**os.environ, "LC_ALL": "C"}
        log = self._folder / "output"  # a server keeps the pipe that it inherits
        with log.open("ab") as output:
            subprocess.run(
                command, check=True, stdout=output, stderr=output, cwd=self._folder,
                env=environment, user=self._as,
            )  # fmt: skip


def _postgres_programs() -> Path:
    found = shutil.which("initdb")
    newest = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found and not newest:
        pytest.skip("no initdb: PostgreSQL's server is not installed")
    return Path(found or newest[-1]).resolve().parent


def _unprivileged(folder: Path) -> str | None:
    """Whom the server runs as: it refuses root. The folder becomes that one's."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            os.chown(folder, user.pw_uid, user.pw_gid)
            return name
    pytest.skip("no user postgres or nobody: PostgreSQL does not run as root")


class Door:
    """A loopback port before another one; while it is shut, connections are refused and cut."""

    def __init__(self, port: int) -> None:
        self._behind = port
        self._passing: set[socket.socket] = set()
        self._flowing = threading.Event()
        self._flowing.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._listen()

    def shut(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for each in tuple(self._passing):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def open(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listen()

    def stop(self) -> None:
        """Accept, and pass nothing on."""
        self._flowing.clear()

    def go_on(self) -> None:
        self._flowing.set()

    def _listen(self) -> None:
        self._thread = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
        self._thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with listener, contextlib.suppress(OSError):
            while True:
                here, _ = listener.accept()
                threading.Thread(target=self._pass, args=(here,), daemon=True).start()

    def _pass(self, here: socket.socket) -> None:
        with here, socket.create_connection(("127.0.0.1", self._behind)) as there:
            self._passing.add(here)
            back = threading.Thread(target=self._copy, args=(there, here), daemon=True)
            back.start()
            self._copy(here, there)
            back.join()
            self._passing.discard(here)

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        """Until one of them ends."""
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self._flowing.wait()
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def s3() -> Iterator[tuple[Door, Mapping[str, str]]]:
    """An S3 endpoint with a bucket: the door before it, and the environment that leads there."""
    pytest.importorskip("moto.server", reason="no moto[server]: an S3 endpoint")
    port = _free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_for(port)
            door = Door(port)
            endpoint = f"http://127.0.0.1:{door.port}"
            _create_bucket(endpoint)
            yield door, {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}
            door.shut()
        finally:
            server.kill()


def _create_bucket(endpoint: str) -> None:
    from pyarrow.fs import S3FileSystem

    S3FileSystem(
        access_key="testing",
        secret_key="testing",  # noqa: S106
        endpoint_override=endpoint,
        allow_bucket_creation=True,
    ).create_dir(BUCKET)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
