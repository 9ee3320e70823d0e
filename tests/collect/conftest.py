from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from observability.collect.scan.warmth import warm_up
from tests.collect.clients import PYTHON, Exporters, node_running, send_from_python


@pytest.fixture(scope="session", autouse=True)
def _compiled() -> None:
    """Before the first test, so that all of them go the way that a running receiver goes."""
    warm_up()


@pytest.fixture(scope="session", params=["python", "node"])
def exporters(request: pytest.FixtureRequest) -> Iterator[Exporters]:
    """OpenTelemetry's own, of each language. Node's are installed once and kept in pytest's cache."""
    if request.param == "python":
        yield Exporters(PYTHON, send_from_python)
        return
    for command in ("node", "npm"):
        if shutil.which(command) is None:
            pytest.skip(f"{command} is not installed")
    with node_running(request.config.cache.mkdir("node")) as made:
        yield made
