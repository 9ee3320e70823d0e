from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path


def test_what_is_compiled_is_kept_where_the_environment_says(tmp_path: Path) -> None:
    code = """if True:
        import numpy as np
        from observability.collect.scan.compiled import cache_folder
        from observability.collect.scan.wire import varint
        assert varint(np.frombuffer(b"\\x96\\x01", np.uint8), 0, 2) == (150, 2)
        print(cache_folder())"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    kept = Path(done.stdout.strip())
    assert kept.parent == tmp_path
    assert list(kept.rglob("*.nbc"))


def test_where_nothing_can_be_kept_it_is_compiled_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    code = "from observability.collect.scan.compiled import cache_folder; print(cache_folder())"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "file")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "None"


def test_who_begins_while_another_compiles_takes_what_that_one_has_made(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    code = "from observability.collect.scan.compiled import cache_folder; print(cache_folder())"
    found = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    folder = Path(found.strip())
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [sys.executable, "-m", "observability.collect.scan.warmth"]
        with subprocess.Popen(command, env=environment) as other:
            (folder / "complete").touch()
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert other.wait(timeout=60) == 0
    assert list(folder.rglob("*.nb?")) == []
