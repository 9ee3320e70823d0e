"""Whatever is said wrongly is answered in one line, with exit status 2, and nothing is written."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from observability.collect.serving import serving
from observability.store.lake import SCHEMA_VERSION

FILE = "{tmp}/out.jsonl"


def refused(said: Any) -> str:
    assert (said.status, said.out) == (2, "")
    (line,) = said.err.splitlines()
    assert line.startswith("whence: found ")
    return line


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["sql", "FROM decisions", "--store", "{tmp}/absent"], "no folder "),
        (
            ["sql", "FROM decisions", "--store", "{tmp}"],
            "which is no store; expected a store folder; hint: ",
        ),
        (
            ["sql", "FROM decisions", "--store", "{newer}"],
            f"schema version 99; expected at most {SCHEMA_VERSION}; hint: a newer",
        ),
        (["sql", "FROM nothing", "--store", "{store}"], "nothing does not exist"),
        (["sql", "SELEC", "--store", "{store}"], "syntax error"),
        (
            ["sql", "SELECT error('two' || chr(10) || 'lines')", "--store", "{store}"],
            "two; expected",
        ),
        (["sql", "DELETE FROM meta", "--store", "{store}"], "the store is open to read only"),
        (["sql", "DROP VIEW gates", "--store", "{store}"], "the store is open to read only"),
        (["export", "-o", FILE, "--store", "{tmp}/absent"], "no folder "),
        (
            ["export", "-o", "{tmp}/out.csv", "--store", "{store}"],
            "expected a name that ends in .jsonl",
        ),
        (
            ["export", "-o", FILE, "--store", "{store}", "--from", "yesterday"],
            "time 'yesterday'; expected ISO 8601",
        ),
        (
            ["export", "-o", FILE, "--store", "{store}", "--to", "2026-01-01"],
            "with Z, or 30m, 2h, 7d, 4w",
        ),
        (["export", "-o", FILE, "--store", "{store}", "--from", "9999999w"], "time '9999999w'"),
        (["export", "-o", FILE, "--store", "{store}", "--from", "999999w"], "time '999999w'"),
        (["export", "--store", "{store}"], "arguments are required: -o"),
        (["import", "{tmp}/absent.jsonl", "--store", "{store}"], "no file "),
        (["import", "{tmp}", "--store", "{store}"], "no file "),
        (["import", "{tmp}/prose.jsonl", "--store", "{store}"], "line 1 of "),
        (
            ["import", "{tmp}/good.jsonl", "--store", "{tmp}"],
            "with other content; expected a store or an empty",
        ),
        (["import", "{tmp}/good.jsonl", "--store", "{tmp}/prose.jsonl"], "with other content"),
        (["import", "{tmp}/good.jsonl", "--store", "{tmp}/prose.jsonl/x"], "which cannot be made"),
        (["import"], "arguments are required: FILE"),
        (["serve", "--store", "{tmp}", "--port", "0"], "with other content"),
        (["serve", "--store", "{newer}", "--port", "0"], "schema version 99"),
        (["serve", "--store", "{store}", "--host", "192.0.2.1"], "a loopback address"),
        (["serve", "--store", "{store}", "--host", "evil.example"], "a loopback address"),
        (["serve", "--store", "{store}", "--port", "99999"], "port 99999, which cannot be had"),
        (["serve", "--store", "{store}", "--port", "-1"], "port -1, which cannot be had"),
        (["serve", "--store", "{store}", "--port", "http"], "invalid int value"),
        (["collect", "--store", "{tmp}", "--port", "0"], "with other content"),
        (["collect", "--store", "{store}", "--host", "192.0.2.1"], "a loopback address"),
        (["collect", "--store", "{store}", "--port", "99999"], "port 99999, which cannot be had"),
        (["no-such-command"], "invalid choice"),
        ([], "required: COMMAND"),
        (["sql"], "required: QUERY"),
        (["sql", "FROM meta", "--store"], "expected one argument"),
        (["sql", "FROM meta", "--no-such-option"], "unrecognized arguments"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else "",
)
def test_one_line_says_what_was_found_and_expected(
    whence: Any, store: Path, tmp_path: Path, _made_once: Path, arguments: list[str], found: str
) -> None:
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "store.toml").write_text("schema_version = 99\n")
    (tmp_path / "prose.jsonl").write_text("no trace\n")
    (tmp_path / "good.jsonl").write_text("{}\n")
    places = {"tmp": tmp_path, "store": store, "newer": tmp_path / "newer"}
    assert found in refused(whence(*(argument.format(**places) for argument in arguments)))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "fleet",
        "good.jsonl",
        "newer",
        "prose.jsonl",
    ]


@pytest.mark.parametrize("command", ["serve", "collect"])
def test_a_port_in_use_is_named(whence: Any, store: Path, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused(whence(command, "--store", store, "--port", str(port)))
    assert f"port {port}, which cannot be had: " in line
    assert "expected a free port; hint: --port" in line


@pytest.mark.parametrize("command", ["serve", "collect"])
def test_a_store_that_is_being_served_is_not_served_twice(
    whence: Any, store: Path, command: str
) -> None:
    with serving(store):
        assert "in use by another process" in refused(
            whence(command, "--store", store, "--port", "0")
        )


def test_a_broken_pipe_is_no_error(known: Path) -> None:
    whence = f"{sys.executable} -m observability.cli"
    command = f"{whence} sql 'FROM range(100000)' --csv --store {known} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)  # noqa: S602
    assert (done.stdout, done.stderr) == ("range\n", "")


def test_the_command_itself_answers_in_one_line_and_exits_with_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "observability.cli", "sql", "FROM x", "--store", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


def test_help_is_help(whence: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["sql", "--help"], ["models", "add", "--help"]):
        with pytest.raises(SystemExit) as done:
            whence(*arguments)
        assert done.value.code == 0
        assert capsys.readouterr().out.startswith("usage: whence")


def test_each_command_is_imported_only_when_it_runs() -> None:
    code = "import sys, observability.cli as c; c._parser(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"duckdb", "polars", "numpy", "shap", "streamlit", "uvicorn"} & set(
        done.stdout.split()
    ) == set()
