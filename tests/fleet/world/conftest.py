from datetime import UTC, datetime

import pytest

from observability.fleet.world.world import World
from traces import Decision

START = datetime(2025, 10, 11, 12, tzinfo=UTC)
SMALL = {"seed": 7, "days": 21, "devices": 12, "start": START}


@pytest.fixture(scope="package")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="package")
def world():
    return World(**SMALL)


@pytest.fixture(scope="package")
def healthy():
    """The same fleet without any trouble."""
    return World(**SMALL, troubled=False)


@pytest.fixture(scope="package")
def models(world, folder):
    return world.train(folder)


@pytest.fixture(scope="package")
def events(world, models):
    return list(world.events(models))


@pytest.fixture(scope="package")
def healthy_events(healthy, models):
    return list(healthy.events(models))


@pytest.fixture(scope="package")
def decisions(events):
    """Decision events by id."""
    return {e.decision_id: e for e in events if isinstance(e.body, Decision)}


@pytest.fixture(scope="package")
def healthy_decisions(healthy_events):
    return {e.decision_id: e for e in healthy_events if isinstance(e.body, Decision)}


@pytest.fixture(scope="package")
def trouble(world):
    """The trouble of a kind."""
    return {trouble.kind: trouble for trouble in world.truth()}
