"""`whence serve` as people start it: pages and receiver in one process on one port."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

import observability
from observability.store.append import append
from observability.store.write import Writer
from tests.spans import JSON, batch, decision_span, group, json_body, post, protobuf_body, rows


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"{url} does not answer; exit status {server.poll()}")


def test_pages_and_receiver_are_one_process_on_one_port_until_it_is_told_to_stop(
    tmp_path: Path,
) -> None:
    store, port = tmp_path / "fleet", free_port()
    command = [
        sys.executable,
        "-m",
        "observability.cli",
        "serve",
        "--store",
        str(store),
        "--port",
        str(port),
    ]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for(url, server)
            assert post(url, protobuf_body(group([decision_span()]))).status == 200
            assert post(url, json_body(group([decision_span()])), JSON).json == {}
            assert post(url, b"{}", JSON, Host="evil.example").status == 403
            with observability.connect(store) as con:
                assert con.sql("SELECT count(*) FROM d_pump_stop").fetchall() == [(2,)]
            assert append(store, batch(decision_span())).stored["decisions"] == 1
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=30)
        finally:
            server.kill()
    assert not (store / "writer.json").exists()
    with Writer(store) as writer:
        writer.write(batch(decision_span()))
    assert rows(store, "SELECT count(*) FROM decisions") == [(4,)]
