"""Generated files of each spec and a store into which they were replayed, made once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

import observability
from observability.fleet.replay import Replayed, replay
from observability.fleet.sample import write_sample
from observability.fleet.spec import ReplaySpec, load

ROOT = Path(__file__).parents[2]
SPECS = ("cmapss", "occupancy", "beijing")


@dataclass(frozen=True)
class Fleet:
    spec: ReplaySpec
    data: Path
    store: Path
    done: Replayed

    def rows(self, query: str) -> list[tuple]:
        with observability.connect(self.store) as con:
            return con.execute(query).fetchall()

    def connect(self) -> duckdb.DuckDBPyConnection:
        return observability.connect(self.store)


def example(name: str) -> ReplaySpec:
    return load(ROOT / "examples" / f"{name}.yaml")


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp(f"sample-{name}")
            write_sample(name, made[name])
        return made[name]

    return folder


@pytest.fixture(scope="session", params=SPECS)
def fleet(request: pytest.FixtureRequest, sample, tmp_path_factory) -> Fleet:
    spec, data = example(request.param), sample(request.param)
    store = tmp_path_factory.mktemp("replayed") / spec.name
    return Fleet(spec, data, store, replay(spec, data, store=store, progress=False))
