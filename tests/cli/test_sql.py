from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parents[1] / "golden"
EVERYTHING = (
    "SELECT * EXCLUDE (gates), gates[1].reason AS reason, 'NaN'::DOUBLE AS nan,"
    " 'a' || chr(10) || '\"b' AS text, 1::DECIMAL(4, 2) AS price, DATE '2026-01-01' AS day,"
    " '\\xFF'::BLOB AS bytes, [1, NULL] AS list, 18446744073709551616::HUGEINT AS huge,"
    " NULL AS nothing FROM d_pump_stop"
)


@pytest.mark.parametrize("form", ["json", "csv"])
def test_what_a_query_prints_stays_as_it_is(whence: Any, known: Path, form: str) -> None:
    said = whence("sql", EVERYTHING, f"--{form}", "--store", known)
    assert (said.status, said.err) == (0, "")
    assert said.out == (GOLDEN / f"sql.{form}").read_text(encoding="utf-8")


def test_a_table_is_printed_for_people(whence: Any, known: Path) -> None:
    said = whence("sql", "SELECT device_id, temperature FROM d_pump_stop", "--store", known)
    assert said.status == 0
    assert "pump-07" in said.out
    assert "71.5" in said.out


def test_json_and_csv_can_be_read_back(whence: Any, known: Path) -> None:
    query = "SELECT range AS n, 'x,' || range AS text FROM range(250)"
    as_json = json.loads(whence("sql", query, "--json", "--store", known).out)
    as_csv = list(csv.DictReader(io.StringIO(whence("sql", query, "--csv", "--store", known).out)))
    assert len(as_json) == 250
    assert [{name: str(value) for name, value in row.items()} for row in as_json] == as_csv


def test_a_statement_without_rows_prints_nothing(whence: Any, known: Path) -> None:
    assert whence("sql", "SET threads = 1", "--store", known) == (0, "", "")


def test_columns_of_one_name_are_both_there(whence: Any, known: Path) -> None:
    (row,) = json.loads(whence("sql", "SELECT 1 AS a, 2 AS a", "--json", "--store", known).out)
    assert row == {"a": 1, "a_2": 2}


def test_the_store_is_that_of_the_environment_or_the_folder_fleet(
    whence: Any, known: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = ("sql", "SELECT count(*) AS n FROM decisions", "--json")
    monkeypatch.setenv("WHENCE_STORE", str(known))
    assert json.loads(whence(*query).out) == [{"n": 1}]
    monkeypatch.delenv("WHENCE_STORE")
    monkeypatch.chdir(known.rename(known.parent / "fleet").parent)
    assert json.loads(whence(*query).out) == [{"n": 1}]
