from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from observability.store import lake, opening
from observability.store.write import Writer
from tests.spans import batch, decision, decision_span

CATALOGS = "SELECT memory_usage_bytes FROM duckdb_memory() WHERE tag = 'OBJECT_CACHE'"


def test_catalogs_of_earlier_layouts_are_forgotten_where_memory_is_short(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "MEMORY_MB", 32)
    held = []
    with Writer(store) as writer, lake.cursor(writer.con) as con:
        for types in (range(300), *([number] for number in range(300, 320))):
            some = [decision(f"type{number}", inputs={"a": 1.0}) for number in types]
            writer.write(batch(*map(decision_span, some)))
            held += con.execute(CATALOGS).fetchall()
    assert any(after < before for before, after in itertools.pairwise(held))
