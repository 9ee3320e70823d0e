"""The demo: the app over an empty store, and a simulated fleet that fills it and then goes on living.

Both are the product's own commands in processes of their own; this only starts them and ends them together.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path

_START_S = 60.0
_COMMAND = (sys.executable, "-m", "observability.cli")


def main() -> int:
    """Serve and simulate until one of them ends or Ctrl-C is pressed."""
    parser = argparse.ArgumentParser(description="A simulated fleet and its pages.")
    parser.add_argument("store", type=Path)
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--days", type=int, default=42)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # ends what it started, as Ctrl-C does
    where = ("--store", str(arguments.store))
    url = f"http://127.0.0.1:{arguments.port}"
    with subprocess.Popen([*_COMMAND, "serve", *where, "--port", str(arguments.port)]) as served:  # noqa: S603
        try:
            if not _is_up(served, arguments.store):
                return served.wait()
            sys.stdout.write(f"\nOpen {url} now: the history fills while you look.\n\n")
            sys.stdout.flush()
            days = ("--days", str(arguments.days))
            simulate = [*_COMMAND, "simulate", *where, "--endpoint", url, "--live", *days]
            return subprocess.call(simulate)  # noqa: S603
        except KeyboardInterrupt:
            return 0
        finally:
            served.terminate()


def _is_up(served: subprocess.Popen[bytes], store: Path) -> bool:
    """Whether the server owns its store before it ends or time is up."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and served.poll() is None:
        if (store / "writer.json").exists():
            return True
        time.sleep(0.1)
    return False


if __name__ == "__main__":
    sys.exit(main())
