"""`whence sql`: ask the store, read-only."""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
from datetime import datetime
from typing import Any

import duckdb

import observability
from traces.errors import WrongUse, first_line


def run(arguments: argparse.Namespace) -> int:
    """Print a query's result as a table, CSV or JSON. Raises WrongUse where the query is refused."""
    with observability.connect(arguments.store) as con:
        try:
            answer = con.sql(arguments.query)
            if answer is None:
                return 0
            if arguments.json:
                names = _distinct(answer.columns)
                rows = [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
                print(json.dumps(_as_json(rows), ensure_ascii=False))
            elif arguments.csv:
                writer = csv.writer(sys.stdout, lineterminator="\n")
                writer.writerow(answer.columns)
                writer.writerows([_as_cell(value) for value in row] for row in answer.fetchall())
            else:
                answer.show(max_rows=100)
        except duckdb.Error as error:
            raise WrongUse(
                first_line(error),
                "a query that the store can answer",
                "`whence sql 'SHOW TABLES'` lists what there is; the store is open to read only",
            ) from error
    return 0


def _distinct(names: list[str]) -> list[str]:
    """Column names, with a number behind one that an earlier column has: an object has each name once."""
    out: list[str] = []
    for name in names:
        number, free = 2, name
        while free in out:
            number, free = number + 1, f"{name}_{number}"
        out.append(free)
    return out


def _as_cell(value: Any) -> Any:
    """A value in one cell of a table: what is nested as JSON."""
    plain = _as_json(value)
    nested = isinstance(plain, list | dict)
    return json.dumps(plain, ensure_ascii=False) if nested else plain


def _as_json(value: Any) -> Any:
    """A value as JSON has it: times ISO 8601 with Z, bytes hex, NaN null."""
    match value:
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case bytes():
            return value.hex()
        case float():
            return value if math.isfinite(value) else None
        case list() | tuple():
            return [_as_json(item) for item in value]
        case dict():
            return {str(key): _as_json(item) for key, item in value.items()}
        case bool() | int() | str() | None:
            return value
        case _:
            return str(value)
