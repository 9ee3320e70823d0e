from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from observability.cli import main

FIRST = Path(__file__).parents[1] / "store" / "fixtures" / "v1.zip"


class Said(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def whence(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run the command in this process."""

    def run(*arguments: str | Path) -> Said:
        status = main([str(argument) for argument in arguments])
        return Said(status, *capsys.readouterr())

    return run


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """A store whose content never changes: a decision, its outcome and another span."""
    shutil.unpack_archive(FIRST, tmp_path / "known")
    return tmp_path / "known"
