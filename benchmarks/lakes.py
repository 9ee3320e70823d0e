"""A PostgreSQL and an S3 endpoint of the benchmark's own, which can be stopped and started again.

PostgreSQL is Debian's; the endpoint is moto's, with its objects in memory, so to fail it is paused and
refused by a port that nobody answers on, not restarted.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from served import free_port

BUCKET = "whence"
ACCESS = {
    "AWS_ACCESS_KEY_ID": "benchmark",
    "AWS_SECRET_ACCESS_KEY": "benchmark",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@dataclass(frozen=True)
class Postgres:
    """A server on a socket in `folder`."""

    programs: Path
    folder: Path
    port: int

    @property
    def store(self) -> str:
        """What --store is given."""
        return (
            f"ducklake:postgres:dbname=postgres host={self.folder} port={self.port} user={_owner()}"
        )

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        options = f"-k {self.folder} -p {self.port} -c listen_addresses="
        self._control("start", "-w", "-l", str(self.folder / "log"), "-o", options)

    def stop(self) -> None:
        """Stop at once, as a crash does."""
        self._control("stop", "-w", "-m", "immediate")

    def _control(self, *arguments: str) -> None:
        data = str(self.folder / "data")
        _as_owner([str(self.programs / "pg_ctl"), "-D", data, *arguments])


def postgres_programs() -> Path | None:
    """The folder of initdb and pg_ctl; None where PostgreSQL is not installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


@contextlib.contextmanager
def postgres(programs: Path) -> Iterator[Postgres]:
    """A new server, running; gone at the end."""
    with tempfile.TemporaryDirectory(prefix="pg") as base:
        folder = Path(base)
        folder.chmod(0o755)
        shutil.chown(folder, _owner())
        initdb = [str(programs / "initdb"), "-D", str(folder / "data"), "-A", "trust", "-N"]
        _as_owner([*initdb, "-U", _owner()])
        server = Postgres(programs, folder, free_port())
        server.start()
        try:
            yield server
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):
                server.stop()


@dataclass(frozen=True)
class Endpoint:
    """An S3 endpoint; `files` is what --files is given."""

    url: str
    process: subprocess.Popen[bytes]
    files: str = f"s3://{BUCKET}/fleet"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to use it."""
        return {**ACCESS, "AWS_ENDPOINT_URL": self.url}

    def pause(self) -> None:
        """Answer nobody."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Answer again."""
        self.process.send_signal(signal.SIGCONT)


def has_endpoint() -> bool:
    """Whether moto is installed."""
    return importlib.util.find_spec("moto") is not None


@contextlib.contextmanager
def endpoint() -> Iterator[Endpoint]:
    """A new endpoint with an empty bucket."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            _make_bucket(url)
            yield Endpoint(url, process)
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()


def _make_bucket(url: str) -> None:
    request = urllib.request.Request(f"{url}/{BUCKET}", method="PUT")  # noqa: S310
    for _ in range(300):
        with contextlib.suppress(OSError), urllib.request.urlopen(request):  # noqa: S310
            return
        time.sleep(0.1)
    raise SystemExit("moto's server did not start")


def _owner() -> str:
    """Who runs PostgreSQL, which refuses root."""
    return "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def _as_owner(command: Sequence[str]) -> None:
    given = ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else command
    subprocess.run(
        given,
        check=True,
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
