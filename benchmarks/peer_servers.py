"""The servers that peers.py compares: each started as its own documentation does, on SQLite and a free port.

Nothing of theirs leaves the machine: telemetry and outside resources are switched off.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import machine
from served import free_port, served

import observability

PEERS = machine.ROOT / ".peers"
_PROTOBUF = {"Content-Type": "application/x-protobuf"}
_NEWEST_BLOCKED = """
SELECT decision_id, device_id, decided_at, action, score, inputs, gates FROM decisions
WHERE disposition = 'blocked' ORDER BY decided_at DESC LIMIT 50
"""
_PHOENIX_PAGE = """
query ($id: ID!) { node(id: $id) { ... on Project {
  spans(first: 50, sort: {col: startTime, dir: desc},
        filterCondition: "attributes['decision']['disposition'] == 'blocked'") {
    edges { node { spanId name startTime attributes } } } } } }
"""


@dataclass(frozen=True)
class Peer:
    """A server that takes OTLP: where, with what headers, how many spans it has, and a page of 50 of them.

    `page` returns how many it was given.
    """

    url: str
    stored: Callable[[], int]
    page: Callable[[], int] | None = None
    headers: dict[str, str] = field(default_factory=lambda: dict(_PROTOBUF))


def installed(name: str) -> bool:
    """Whether peers.sh has installed it."""
    return (PEERS / name / "bin" / name).exists()


@contextlib.contextmanager
def whence(folder: Path) -> Iterator[Peer]:
    """The product."""
    with served(folder / "fleet") as server, observability.connect(folder / "fleet") as con:
        yield Peer(
            server.url,
            lambda: con.sql("SELECT count(*) FROM decisions").fetchall()[0][0],
            lambda: len(con.sql(_NEWEST_BLOCKED).fetchall()),
        )


@contextlib.contextmanager
def mlflow(folder: Path) -> Iterator[Peer]:
    """MLflow's tracking server. It refuses a filter on a number; no page is compared."""
    port, database = free_port(), folder / "mlflow.db"
    arguments = ["server", "--host", "127.0.0.1", "--port", str(port)]
    arguments += ["--backend-store-uri", f"sqlite:///{database}"]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    url = f"http://127.0.0.1:{port}"
    with _running("mlflow", arguments, folder, quiet, f"{url}/health"):
        headers = {**_PROTOBUF, "x-mlflow-experiment-id": "0"}
        yield Peer(url, lambda: _rows(database), None, headers)


@contextlib.contextmanager
def phoenix(folder: Path) -> Iterator[Peer]:
    """Arize Phoenix."""
    port = free_port()
    quiet = {
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
        "DO_NOT_TRACK": "1",
    }
    url = f"http://127.0.0.1:{port}"
    with _running("phoenix", ["serve"], folder, quiet, f"{url}/healthz"):
        database = folder / "phoenix.db"
        yield Peer(url, lambda: _rows(database), lambda: _phoenix_page(url))


@contextlib.contextmanager
def _running(
    name: str, arguments: list[str], folder: Path, environment: dict[str, str], health: str
) -> Iterator[None]:
    """The server's processes until the block ends; then all of them are gone."""
    command = [str(PEERS / name / "bin" / name), *arguments]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_for(health, process, folder / "log")
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):  # noqa: S310
            return
        time.sleep(0.2)
    raise SystemExit(f"a peer did not start: {log.read_text()[-500:]}")


def _rows(database: Path) -> int:
    """Spans in a peer's SQLite file."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as con:
        return con.execute("SELECT count(*) FROM spans").fetchone()[0]


def _phoenix_page(url: str) -> int:
    project = _asked(url, "{ projects(first: 1) { edges { node { id } } } }", {})
    key = project["projects"]["edges"][0]["node"]["id"]
    return len(_asked(url, _PHOENIX_PAGE, {"id": key})["node"]["spans"]["edges"])


def _asked(url: str, query: str, variables: dict[str, str]) -> dict:
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(  # noqa: S310
        f"{url}/graphql", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
        said = json.load(response)
    if "errors" in said:
        raise SystemExit(f"Phoenix refused a query: {said['errors'][0]['message']}")
    return said["data"]
