from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest

from observability.store import lake
from tests.gated import Case, write

LABELLED = (
    Case(True, 3, dwell=10),
    Case(False, 5, dwell=10),
    Case(None, 7, dwell=10),
    Case(True, 20),
    Case(False, 4),
    Case(None, 6),
    Case(None, 2, flow=120),
    Case(True, 4, said="pass"),
    Case(False, 1, said="pass"),
    Case(True, 2, said="block"),
    Case(None, 1, said="defer", person="op-2"),
    Case(True, 2, said="defer", answered="pass"),
    Case(False, 1, said="defer", answered="block"),
    Case(False, 10, score=0.2),
    Case(True, 1, score=0.3),
    Case(None, 19, score=0.1),
)


def of_type(name: str, *cases: Case) -> list[Case]:
    return [replace(case, type=name) for case in cases]


WEIGHED = (Case(True, 20, probability=0.5), Case(False, 5, probability=0.5))
OTHERS = (
    *of_type("calibrated", Case(True, 108), Case(False, 12)),
    *of_type("off", Case(True, 60), Case(False, 60)),
    *of_type("weighed", *WEIGHED),
    *of_type("half weighed", *WEIGHED, Case(True, 1)),
    *of_type("never", *WEIGHED, Case(None, 2, dwell=10, probability=0.0)),
    *of_type("one", Case(None, 1)),
    *of_type("few", Case(True, 5)),
    *of_type("young", Case(True, 40), Case(None, 6, days=29.9)),
    *of_type("old", Case(True, 40), Case(None, 6, days=20)),
)
"""What one store holds beside, so that it is made once."""


def half_told() -> list[Case]:
    """Proposals of type `all told` whose truth is known, and the same as `told`, known of half."""
    random = np.random.default_rng(7)
    every = [
        Case(bool(random.random() < 0.6), score=float(score), dwell=float(dwell), type="all told")
        for score, dwell in zip(
            random.choice([0.2, 0.9], 100), random.choice([10, 60], 100), strict=True
        )
    ]
    hidden = [replace(case, needed=None) if random.random() < 0.5 else case for case in every]
    return [*every, *(replace(case, type="told") for case in hidden)]


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of proposals to stop whose outcomes are known of some."""
    return write(tmp_path_factory.mktemp("labelled") / "fleet", (*LABELLED, *OTHERS, *half_told()))


@pytest.fixture(scope="session")
def con(labelled: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with lake.connect(labelled) as opened, lake.reading(opened):
        yield opened
