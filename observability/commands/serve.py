"""`whence serve`: pages and receiver on one port. Runs from a checkout, where app.py lies."""

from __future__ import annotations

import argparse
import ipaddress
import os
import socket
import sys
from pathlib import Path

import observability
from observability.store.location import Location
from observability.store.write import Writer
from traces.errors import WrongUse

_PORTS = 65536


def run(arguments: argparse.Namespace) -> int:
    """Check what can be checked, then become the server. Raises WrongUse or StoreError."""
    app = Path(observability.__file__).parent.parent / "app.py"
    if not app.is_file():
        raise WrongUse(
            "an installed package without app.py", "a checkout", "run `whence serve` from a clone"
        )
    _check_address(arguments.host, arguments.port)
    store: Location = arguments.store
    Writer(store).close()
    url = f"http://{arguments.host}:{arguments.port}"
    print(f"Whence serves {store}\n  pages     {url}\n  receiver  {url}/v1/traces", flush=True)
    options = {
        "server.address": arguments.host,
        "server.port": str(arguments.port),
        "server.headless": "true",
        "browser.gatherUsageStats": "false",
        "server.fileWatcherType": "none",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "streamlit", "run", str(app), *flags]
    environment = {**os.environ, **store.environment(), "WHENCE_URL": url}
    os.chdir(app.parent)
    os.execve(command[0], command, environment)  # noqa: S606


def _check_address(host: str, port: int) -> None:
    if not _is_loopback(host):
        raise WrongUse(
            f"--host {host}",
            "a loopback address",
            "other addresses need device credentials, which this version does not have",
        )
    try:
        if not 0 <= port < _PORTS:
            raise OSError(f"ports are 0 to {_PORTS - 1}")
        socket.create_server((host, port), family=_family(host)).close()
    except OSError as error:
        raise WrongUse(
            f"port {port}, which cannot be had: {error}", "a free port", "--port 8502"
        ) from error


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
