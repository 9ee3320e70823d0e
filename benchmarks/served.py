"""The server under test, in a process of its own, and what a store holds of what was acknowledged."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import machine
import pyarrow as pa
from load import connect, post

import observability

START_S = 90.0
_EMPTY = {"Content-Type": "application/json"}


def has_command(name: str) -> bool:
    """Whether this version of `whence` has the command."""
    return importlib.util.find_spec(f"observability.commands.{name}") is not None


COMMAND = "collect" if has_command("collect") else "serve"
"""The receiver alone where there is such a command, else with the pages beside it."""


@dataclass(frozen=True)
class Server:
    """A server that answers; `opened_s` is how long that took from the start of its process."""

    url: str
    process: subprocess.Popen[bytes]
    opened_s: float

    def kill(self) -> None:
        """SIGKILL, and wait until it is dead."""
        self.process.kill()
        self.process.wait()

    def memory_mb(self, which: str = "VmRSS") -> float:
        """Resident memory now, or its peak (VmHWM)."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(which))


@contextlib.contextmanager
def served(store: Path | str, *options: str) -> Iterator[Server]:
    """Serve a store on a free port until the block ends, once it answers."""
    process, url, began_s = _begin(store, options)
    try:
        wait_for(url, process)
        yield Server(url, process, time.monotonic() - began_s)
    finally:
        process.terminate()
        process.wait(60)


def _begin(store: Path | str, options: Iterable[str]) -> tuple[subprocess.Popen[bytes], str, float]:
    port = free_port()
    where = ["--store", str(store), "--port", str(port), *options]
    began_s = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "observability.cli", COMMAND, *where],
        cwd=machine.ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return process, f"http://127.0.0.1:{port}", began_s


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return once an empty request is acknowledged."""
    until = time.monotonic() + START_S
    with contextlib.closing(connect(url)) as connection:
        while time.monotonic() < until and process.poll() is None:
            if post(connection, b"{}", _EMPTY) == "200":
                return
            time.sleep(0.02)
    raise SystemExit(f"the server did not start: exit status {process.poll()}")


def accounted(store: Path | str, acknowledged: Iterable[str], **where: str) -> dict[str, int]:
    """Of the acknowledged decisions: how many, how many are missing, how many are stored twice."""
    ids = pa.table({"decision_id": pa.array(list(acknowledged), pa.string())})
    with observability.connect(store, **where) as con:
        con.register("acknowledged", ids)
        lost = con.sql("SELECT count(*) FROM acknowledged ANTI JOIN decisions USING (decision_id)")
        twice = con.sql("SELECT count(*) - count(DISTINCT (device_id, decision_id)) FROM decisions")
        return {
            "acknowledged": ids.num_rows,
            "lost": lost.fetchall()[0][0],
            "twice": twice.fetchall()[0][0],
        }


def read_all(store: Path | str, **where: str) -> int:
    """Read every value of every table; returns how many tables there are. Raises duckdb.Error."""
    with observability.connect(store, **where) as con:
        tables = con.sql(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database()"
        ).fetchall()
        for (table,) in tables:
            con.sql(f"SELECT bit_xor(hash(each)) FROM {table} AS each").fetchall()  # noqa: S608
        return len(tables)


def compile_scan() -> None:
    """Have the scan compiled, as an installation does: half a minute once, a second afterwards."""
    subprocess.run(
        [sys.executable, "-m", "observability.collect.scan.warmth"], cwd=machine.ROOT, check=True
    )


def whence(*arguments: str) -> str:
    """Run a command to its end; returns what it printed."""
    command = [sys.executable, "-m", "observability.cli", *arguments]
    done = subprocess.run(command, cwd=machine.ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"whence {arguments[0]}: {done.stderr.strip()}")
    return done.stdout
