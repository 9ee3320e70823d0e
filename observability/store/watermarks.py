"""How far explaining has come: for each model version and reference, the last rows that were looked at.

Positions are rowids, which grow with each commit and are never used again. Maintenance gives moved rows
new ones: they are looked at once more, and found to be explained.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from datetime import datetime

import duckdb

from observability.store.write import Writer

_ALL = """
SELECT model_name, model_version, model_digest, reference_id, decisions, reviews
FROM explain_watermarks
"""
_ONE = "model_name = ? AND model_version = ? AND model_digest = ? AND reference_id = ?"


@dataclass(frozen=True, slots=True)
class Subject:
    """What decisions are explained as: those of a model version, against one reference."""

    model_name: str
    model_version: str
    model_digest: str
    reference_id: str


@dataclass(frozen=True, slots=True)
class Watermark:
    """The last rows of `decisions` and of `reviews` that were looked at, by rowid; -1 is none."""

    decisions: int = -1
    reviews: int = -1


def watermarks(con: duckdb.DuckDBPyConnection) -> dict[Subject, Watermark]:
    """Those of all that was ever explained."""
    return {Subject(*row[:4]): Watermark(*row[4:]) for row in con.execute(_ALL).fetchall()}


def advance(writer: Writer, subject: Subject, to: Watermark, at: datetime) -> None:
    """Go on from there, as of `at` (UTC). Raises duckdb.Error and OSError, with nothing changed."""
    with writer.changing("explain_watermarks") as con:
        con.execute(f"DELETE FROM explain_watermarks WHERE {_ONE}", list(astuple(subject)))
        con.execute(
            "INSERT INTO explain_watermarks VALUES (?, ?, ?, ?, ?, ?, ?)",
            [*astuple(subject), *astuple(to), at],
        )
