from __future__ import annotations

import ast
import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

from observability.collect.serving import serving
from observability.store import lake
from traces.device import Sender, Spool

ROOT = Path(__file__).parents[3]
HEAVY = {
    "numpy",
    "duckdb",
    "polars",
    "pyarrow",
    "pandas",
    "shap",
    "plotly",
    "streamlit",
    "lightgbm",
    "requests",
}


def run(code: str, folder: Path = ROOT) -> str:
    """What the code prints, run in a folder: the lines of a page leave a spool where they run."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_device_side_loads_nothing_heavy() -> None:
    loaded = set(run("import sys, traces.device; print(*sys.modules)").split())
    assert loaded & (HEAVY | {"observability"}) == set()


def test_importing_observability_loads_nothing_heavy() -> None:
    loaded = set(run("import sys, observability; print(*sys.modules)").split())
    assert loaded & HEAVY == set()


def test_the_ten_lines_of_the_readme_record_a_decision(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (lines,) = re.findall(
        r"## Record a decision on a device\n+```python\n(.*?)```", readme, re.DOTALL
    )
    assert len([line for line in lines.splitlines() if line.strip()]) <= 10
    with serving(tmp_path / "fleet") as url:
        code = lines.replace("http://127.0.0.1:8501", url)
        assert url in code
        assert run(code + "\nrecorder.shutdown()\nprint(action)", tmp_path) == "stop\n"
        with contextlib.closing(Spool(tmp_path / "spool")) as spool:  # what it had no time to send
            sender = Sender(spool, url)
            sender.send()
            sender.stop(5)
    with lake.connect(tmp_path / "fleet") as con:
        assert con.sql("SELECT device_id, action, temperature FROM d_pump_stop").fetchall() == [
            ("pump-07", "stop", 71.2)
        ]


def test_the_lines_of_the_page_record_and_send_a_decision(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "device.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"Ten statements .*?```python\n(.*?)```", page, re.DOTALL)
    assert len(ast.parse(lines).body) == 10
    with serving(tmp_path / "fleet") as url:
        code = lines.replace("http://127.0.0.1:8501", url)
        code = code.replace('Path("spool")', f"Path({str(tmp_path / 'spool')!r})")
        end = (
            "\nrecorder.shutdown()\nsender.flush(30)\nsender.stop(5)\nspool.close()\nprint(action)"
        )
        assert run(code + end, tmp_path) == "stop\n"
    with lake.connect(tmp_path / "fleet") as con:
        assert con.sql("SELECT device_id, action FROM d_pump_stop").fetchall() == [
            ("pump-07", "stop")
        ]
        assert con.sql("SELECT name FROM spans").fetchall() == [("decision.checkpoint",)]


def test_importing_the_device_side_does_not_load_what_only_some_devices_use() -> None:
    loaded = set(run("import sys, traces.device; print(*sys.modules)").split())
    assert not {name for name in loaded if name.startswith(("cryptography", "opentelemetry.sdk"))}
    assert loaded & {"ssl", "http.client", "google.protobuf"} == set()


def test_the_sender_and_the_status_are_there_when_asked_for() -> None:
    assert (
        run(
            "import traces.device.status, traces.device as device;"
            "print(device.Sender.__name__, callable(device.status))"
        )
        == "Sender True\n"
    )
