"""`whence gates backtest`: totals and flips, as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.gated import Case, write


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cases = [Case(True, 3), Case(False, 1), Case(True, 2, dwell=10), Case(None, 25, dwell=10)]
    return write(tmp_path_factory.mktemp("judged") / "fleet", cases)


def test_totals_come_first_and_then_the_newest_flips(whence: Any, judged: Path) -> None:
    said = whence("gates", "backtest", "pump.stop", "dwell", "--limit", "5", "--store", judged)
    assert (said.status, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[:2] == [
        "27 of 31 proposals of pump.stop would have gone another way with limit 5 of gate dwell",
        "decided 2026-01-01T12:00:00Z to 2026-01-01T12:30:00Z",
    ]
    assert "now act            27: 2 needed acts, 0 harmful acts" in lines
    assert sum(": unknown, observed 10" in line for line in lines) == 20
    assert "... and 7 older ones; --json lists all" in lines


def test_json_has_every_flip(whence: Any, judged: Path) -> None:
    rule = ("--add", "flow >= 80", "--json")
    said = json.loads(
        whence("gates", "backtest", "pump.stop", "drought", *rule, "--store", judged).out
    )
    assert (said["proposals"], said["replayed"], said["added"]) == (31, 31, "flow >= 80")
    assert (said["counts"]["false block"], said["counts"]["save"]) == (3, 1)
    assert {(flip["before"], flip["after"], flip["observed"]) for flip in said["flips"]} == {
        ("executed", "blocked", 50.0)
    }


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["dwell", "--limit", "soon"], "found limit 'soon'; expected a finite number"),
        (["dwell", "--limit", "nan"], "found limit 'nan'"),
        (["dwell"], "one of the arguments --limit --drop --add is required"),
        (["dwell", "--drop", "--limit", "3"], "not allowed with argument --drop"),
        (["dwel", "--drop"], "found no gate 'dwel' of pump.stop; expected one of dwell, flow"),
        (["new", "--add", "flow 80"], "found rule 'flow 80'; expected INPUT OP LIMIT"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_meant_is_one_line(whence: Any, judged: Path, arguments, found) -> None:
    said = whence("gates", "backtest", "pump.stop", *arguments, "--store", judged)
    assert (said.status, said.out) == (2, "")
    assert found in said.err
    assert len(said.err.splitlines()) == 1
