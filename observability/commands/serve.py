"""`whence serve`: pages and receiver on one port. Runs from a checkout, where app.py lies."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import observability
from observability.collect.address import listen, url_of
from observability.collect.receiver import TRACES_PATH
from observability.store.location import Location
from observability.store.write import Writer
from traces.errors import WrongUse


def run(arguments: argparse.Namespace) -> int:
    """Check what can be checked, then become the server. Raises WrongUse or StoreError."""
    app = Path(observability.__file__).parent.parent / "app.py"
    if not app.is_file():
        raise WrongUse(
            "an installed package without app.py", "a checkout", "run `whence serve` from a clone"
        )
    listen(arguments.host, arguments.port).close()
    store: Location = arguments.store
    Writer(store).close()
    url = url_of(arguments.host, arguments.port)
    print(f"Whence serves {store}\n  pages     {url}\n  receiver  {url}{TRACES_PATH}", flush=True)
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
