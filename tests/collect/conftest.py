from __future__ import annotations

import pytest

from observability.collect.scan.warmth import warm_up


@pytest.fixture(scope="session", autouse=True)
def _compiled() -> None:
    """Before the first test, so that all of them go the way that a running receiver goes."""
    warm_up()
