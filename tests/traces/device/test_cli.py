from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from observability.cli import main
from traces.device import keys

ROOT = Path(__file__).parents[3]
BASE = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
from observability.cli import main
sys.exit(main(sys.argv[1:]))
"""
ABSENT = (
    "duckdb",
    "numpy",
    "polars",
    "pyarrow",
    "streamlit",
    "yaml",
    "uvicorn",
    "tqdm",
    "requests",
)


def test_keys_are_created_and_rotated_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["device", "keys", "create", str(tmp_path)]) == 0
    made = keys.load(tmp_path)
    assert made is not None
    assert f"key_id          {made.key_id}\n" in capsys.readouterr().out
    assert main(["device", "keys", "rotate", str(tmp_path), "--json"]) == 0
    following = keys.load(tmp_path, keys.NEXT)
    assert following is not None
    assert json.loads(capsys.readouterr().out) == {
        "key_id": following.key_id,
        "public_key": following.public.hex(),
    }
    for action in ("create", "rotate"):
        assert main(["device", "keys", action, str(tmp_path)]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    "wrong", [[], ["keys"], ["keys", "create"], ["keys", "burn", "x"], ["status"], ["fly"]]
)
def test_wrong_use_is_said_in_one_line(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["device", *wrong]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("command", [("keys", "create"), ("status",)])
def test_the_commands_run_with_the_base_install_alone(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    keys.create(tmp_path / "other")
    code = BASE.format(absent=ABSENT)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, "device", *command, str(tmp_path), "--json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if command == ("status",):
        assert "Traceback" not in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["key_id"]
