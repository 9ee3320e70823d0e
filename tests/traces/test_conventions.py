from __future__ import annotations

from pathlib import Path

from traces.conventions import REGISTRY, page

PAGE = Path(__file__).parents[2] / "docs" / "conventions.md"


def test_the_page_is_the_registry() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"


def test_no_name_is_registered_twice() -> None:
    names = [attribute.name for attribute in REGISTRY]
    assert len(names) == len(set(names))
