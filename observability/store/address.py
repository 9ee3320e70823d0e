"""Where a writing process takes rows from others of its machine: `writer.json`, for its owner's eyes only."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

_NAME = "writer.json"


def publish(folder: Path, url: str) -> str:
    """Tell other processes where to hand their writes; returns the token that they must show."""
    token = secrets.token_urlsafe(32)
    temporary = folder / f"{_NAME}.part"
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps({"url": url, "pid": os.getpid(), "token": token}))
    temporary.replace(folder / _NAME)
    return token


def published(folder: Path) -> Mapping[str, str]:
    """What the last one to publish said: url and token. Raises FileNotFoundError where none did."""
    return json.loads((folder / _NAME).read_text())


def withdraw(folder: Path) -> None:
    """Take back what this process published; on a PostgreSQL store another's may lie there since."""
    try:
        if json.loads((folder / _NAME).read_text())["pid"] == os.getpid():
            (folder / _NAME).unlink(missing_ok=True)
    except FileNotFoundError:
        pass


def forget(folder: Path) -> None:
    """Remove what a writer left that is gone."""
    (folder / _NAME).unlink(missing_ok=True)
