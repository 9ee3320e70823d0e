"""What every test runs under: the same examples each time, without deadlines, no files left behind."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from observability.store.write import Writer
from tests import troubled as fleets

settings.register_profile("fixed", deadline=None, derandomize=True, database=None, max_examples=40)
settings.register_profile(
    "attack",
    deadline=None,
    database=None,
    max_examples=1500,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


@pytest.fixture(scope="session")
def _made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("empty") / "fleet"
    Writer(store).close()
    return store


@pytest.fixture(scope="session")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small fleet with known troubles, every decision explained; not to be written to."""
    store = tmp_path_factory.mktemp("troubled") / "fleet"
    return fleets.explained(fleets.recorded(store, fleets.troubled))


@pytest.fixture
def store(_made_once: Path, tmp_path: Path) -> Path:
    """A store of real time in which nothing has arrived; a copy, since making one takes a while."""
    return shutil.copytree(_made_once, tmp_path / "fleet")
