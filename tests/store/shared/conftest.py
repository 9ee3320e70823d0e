"""Stores with a PostgreSQL catalog and files in S3, each test its own."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from observability.store.location import Location, location_of
from tests.shared import BUCKET, Door, Postgres, s3

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:  # pytest's are closed to other users
        server = Postgres(Path(folder))
        server.start()
        yield server
        server.stop()


@pytest.fixture(scope="session")
def s3_door() -> Iterator[Door]:
    with pytest.MonkeyPatch.context() as patch, s3() as (door, environment):
        for name, value in environment.items():
            patch.setenv(name, value)
        yield door


@pytest.fixture
def database(postgres: Postgres) -> str:
    return "ducklake:postgres:" + postgres.create(f"fleet{next(_numbers)}")


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where this machine keeps its own part of such stores."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder))
        yield folder


@pytest.fixture
def lake(database: str, s3_door: Door, state: Path) -> Location:
    """Where nothing is yet."""
    return location_of(database, f"s3://{BUCKET}/{next(_numbers)}")
