"""The machine that a benchmark ran on, in words and beside its figures."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parent.parent


def described(*packages: str) -> str:
    """Cores, architecture and versions in one line."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    python = platform.python_version()
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {python}, {versions}"


def report(figures: dict[str, object], about: str, *packages: str) -> None:
    """Print the machine, what was done, a table, and the figures as one line of JSON."""
    print(f"\n{described(*packages)}\n{about}\n")
    for name, value in figures.items():
        print(f"  {name:34} {'not measured at this size' if value is None else value}")
    print(json.dumps(figures))


def peer(name: str) -> Path:
    """The interpreter of a peer's environment, whether or not peers.sh has made it."""
    return ROOT / ".peers" / name / "bin" / "python"


def peer_environment() -> dict[str, str]:
    """For peers that would report their use while they are timed."""
    return {**os.environ, "DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1"}


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def save(name: str, figures: dict[str, object]) -> None:
    """Keep the figures of a full run in results/, with the commit and the machine."""
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    machine = {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    results = ROOT / "benchmarks" / "results"
    results.mkdir(exist_ok=True)
    text = json.dumps({"commit": commit.stdout.strip(), "machine": machine, **figures}, indent=1)
    (results / f"{name}.json").write_text(text + "\n")
