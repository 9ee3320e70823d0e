"""The demo as a newcomer starts it: pages while it fills, and each trouble of the truth to be seen."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import ROOT, Visit

DAYS = 42
FIRST_S = 60.0
FILLED_S = 600.0
NOTHING_YET = "No device has decided yet"
FILLED = "live: decisions go on"


@dataclass(frozen=True, slots=True)
class Demo:
    url: str
    store: Path
    log: Path

    @property
    def truth(self) -> dict[str, dict[str, Any]]:
        """The troubles by kind."""
        told = json.loads((self.store / "truth.json").read_text())
        return {trouble["kind"]: trouble for trouble in told}


@pytest.fixture(scope="module")
def demo(chromium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("demo")
    asked = [str(folder / "fleet"), "--port", str(port), "--days", str(DAYS)]
    command = [sys.executable, "-m", "observability.fleet.demo", *asked]
    log = folder / "log.txt"
    with log.open("wb") as output:
        started = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
        try:
            _wait_for("Open http", log, started)
            yield Demo(f"http://127.0.0.1:{port}", folder / "fleet", log)
        finally:
            started.terminate()
            started.wait(timeout=30)


@pytest.fixture
def reader(demo: Demo, contexts) -> Iterator[Visit]:
    page = contexts(True, 1440).new_page()
    yield Visit(page, demo.url)
    page.close()


def test_a_page_shows_decisions_while_the_history_still_fills(demo: Demo, reader: Visit) -> None:
    reader.open("/")
    until = time.monotonic() + FIRST_S
    while reader.heading() == NOTHING_YET and time.monotonic() < until:
        reader.open("/")
    assert reader.heading() != NOTHING_YET
    assert "Devices newest decision first" in reader.page.locator("body").inner_text()
    assert FILLED not in demo.log.read_text()


def test_each_trouble_of_the_truth_is_said_on_a_page(demo: Demo, reader: Visit) -> None:
    _wait_for(FILLED, demo.log)
    told = demo.truth
    reader.open("/?range=all")
    fleet = reader.page.locator("body").inner_text()
    assert f"Device {told['silent_device']['devices'][0]} is silent" in fleet
    assert f"{told['approves_everything']['parameters']['operator']} passes everything" in fleet
    bad = told["bad_release"]["parameters"]
    assert f"pump-stop {bad['version']} recommends stop" in fleet
    gate = told["gate_limit"]
    assert f"{gate['parameters']['gate']} has another limit on {len(gate['devices'])}" in fleet
    assert (
        f"{gate['parameters']['limit']:g} instead of {gate['parameters']['usual_limit']:g}" in fleet
    )
    reader.check()

    reader.open("/drift?range=all")
    biased = told["biased_sensor"]
    assert reader.heading().startswith(
        f"{biased['input']} on {biased['devices'][0]} shifted, mean "
    )
    began = datetime.fromisoformat(biased["from"])
    days = [f"since {began + timedelta(days=late):%Y-%m-%d}" for late in range(3)]
    assert any(day in reader.heading() for day in days)
    reader.page.get_by_role("tab", name="Since when").click()
    reader.page.get_by_text(f"{biased['input']} has moved since 20").wait_for()
    reader.page.get_by_role("tab", name="Whose").click()
    reader.sees(".js-plotly-plot", 3)
    drift = reader.page.locator("body").inner_text()
    for kind in ("biased_sensor", "unit_change"):
        assert told[kind]["input"] in drift
    assert told["biased_sensor"]["devices"][0] in drift
    assert any(device in drift for device in told["unit_change"]["devices"])
    assert any(device in drift for device in told["load_change"]["devices"])
    reader.check()

    stuck = told["stuck_sensor"]
    reader.open(f"/device?range=all&id={stuck['devices'][0]}")
    assert f"{stuck['input']} stood still" in reader.heading()
    reader.check()

    reader.open("/health?range=all")
    assert reader.heading().startswith("This screen can be trusted")
    late = reader.page.locator("body").inner_text()
    assert all(device in late for device in told["network_outage"]["devices"])
    reader.check()


def _wait_for(text: str, log: Path, started: subprocess.Popen[bytes] | None = None) -> None:
    deadline = time.monotonic() + FILLED_S
    while time.monotonic() < deadline and (started is None or started.poll() is None):
        if text in log.read_text():
            return
        time.sleep(0.2)
    pytest.fail(f"the demo did not say {text!r}: {log.read_text()[-2000:]}")
