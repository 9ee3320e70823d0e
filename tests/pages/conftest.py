from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from observability.store.write import Writer
from tests.pages.seed import Seeded, seed

PAGES = Path(__file__).parents[2] / "pages"
Open = Callable[..., AppTest]


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Seeded:
    return seed(tmp_path_factory.mktemp("seeded") / "fleet", tmp_path_factory.mktemp("work"))


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A store in which nothing has arrived."""
    store = tmp_path / "fleet"
    Writer(store).close()
    return store


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Open:
    """Open a page over a store, with URL parameters, as a browser would."""

    def opened(page: str, store: Path, **parameters: str) -> AppTest:
        monkeypatch.setenv("WHENCE_STORE", str(store))
        monkeypatch.setitem(
            sys.modules, "__main__", sys.modules["__main__"]
        )  # the page takes its place
        app = AppTest.from_file(str(PAGES / "shell.py"), default_timeout=30)
        for name, value in parameters.items():
            app.query_params[name] = value
        if page != "fleet":
            app.switch_page(f"{page}.py")
        return app.run()

    return opened
