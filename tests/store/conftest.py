from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from observability.store.write import Writer


@pytest.fixture
def writer(store: Path) -> Iterator[Writer]:
    with Writer(store) as opened:
        yield opened
