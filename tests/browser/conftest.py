"""A served store and a real browser; skipped, visibly, where no Chromium is installed."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.pages.attributed import attribute
from tests.pages.seed import Seeded, seed

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# A page under a path asks there for its server first and finds it one level up: Streamlit's own way.
_LOOKING_FOR_ITS_SERVER = re.compile(r"/\w+/_stcore/(health|host-config)$")


class Visit:
    """One reader's browser on one server, and what it noticed on the way."""

    def __init__(self, page, base: str) -> None:
        self.page = page
        self.base = base
        self.errors: list[str] = []
        self.elsewhere: list[str] = []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._asked)

    def open(self, path: str) -> None:
        self.page.goto(self.base + path)
        self.settled()

    def settled(self) -> None:
        """Wait until the script has run to its end and nothing moves."""
        self.page.wait_for_selector('[data-testid="whence-done"]', state="attached", timeout=60_000)
        self.page.wait_for_selector(
            '[data-test-script-state="notRunning"]', state="attached", timeout=60_000
        )
        self.page.wait_for_timeout(600)

    def sees(self, selector: str, many: int) -> None:
        """Wait until that many are on the page: a chart is drawn when its part of the app has arrived."""
        from playwright.sync_api import expect

        expect(self.page.locator(selector)).to_have_count(many, timeout=60_000)

    def heading(self) -> str:
        return self.page.locator("h1").inner_text()

    def press_cell(self, row: int) -> None:
        """Press the button in the first column of the page's long table."""
        self.page.locator('[data-testid="stDataFrame"]').click(
            position={"x": 40, "y": 31 * row + 46}
        )

    def check(self) -> None:
        """What must hold at the end of every visit."""
        from axe_playwright_python.sync_playwright import Axe

        assert self.page.locator('[data-testid="stException"]').count() == 0
        assert self.errors == []
        assert self.elsewhere == []
        found = Axe().run(self.page).response["violations"]
        said = [
            f"{rule['impact']} {rule['id']}: {node['html'][:160]}\n{node['failureSummary']}"
            for rule in found
            for node in rule["nodes"]
        ]
        assert said == []

    def _heard(self, message) -> None:
        looking = _LOOKING_FOR_ITS_SERVER.search(message.location.get("url", ""))
        if message.type == "error" and not looking:
            self.errors.append(f"{message.text} {message.location}")

    def _asked(self, request) -> None:
        if not request.url.startswith(
            (self.base, self.base.replace("http", "ws"), "data:", "blob:")
        ):
            self.elsewhere.append(request.url)


@contextmanager
def served(store: Path, log: Path) -> Iterator[str]:
    """The app over a store on a free port, in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    base = f"http://127.0.0.1:{port}"
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(ROOT / "app.py"),
        f"--server.port={port}",
    ]
    environment = {**os.environ, "WHENCE_STORE": str(store), "WHENCE_URL": base}
    with log.open("wb") as output:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        try:
            _wait_for(base, server, log)
            yield base
        finally:
            server.terminate()
            server.wait(timeout=30)


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    if CHROMIUM is None:
        pytest.skip("no chromium is installed")
    playwright = pytest.importorskip("playwright.sync_api")
    pytest.importorskip("axe_playwright_python")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def fleet(chromium, tmp_path_factory: pytest.TempPathFactory) -> Seeded:
    seeded = seed(tmp_path_factory.mktemp("seeded") / "fleet", tmp_path_factory.mktemp("work"))
    attribute(seeded.store)
    return seeded


@pytest.fixture(scope="session")
def another(fleet: Seeded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the store, for a server of its own: a store has one writer."""
    return Path(shutil.copytree(fleet.store, tmp_path_factory.mktemp("another") / "fleet"))


@pytest.fixture(scope="session")
def base(fleet: Seeded, another: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(fleet.store, tmp_path_factory.mktemp("server") / "log.txt") as url:
        yield url


@pytest.fixture(scope="session")
def contexts(chromium) -> Iterator[Callable[[bool, int], object]]:
    """Browsers by appearance and width; the visits of one share its cache, as a reader's do."""
    opened: dict[tuple[bool, int], object] = {}

    def context(dark: bool, width: int):
        if (dark, width) not in opened:
            opened[dark, width] = chromium.new_context(
                viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
            )
        return opened[dark, width]

    yield context
    for one in opened.values():
        one.close()


@pytest.fixture
def visit(contexts, base: str) -> Iterator[Callable[..., Visit]]:
    """Open a page of one's own: `visit(dark=True, width=420)`."""
    pages = []

    def visiting(*, at: str = base, dark: bool = False, width: int = 1440) -> Visit:
        pages.append(contexts(dark, width).new_page())
        return Visit(pages[-1], at)

    yield visiting
    for page in pages:
        page.close()


def _wait_for(base: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(f"{base}/_stcore/health", timeout=2):  # noqa: S310 - a loopback address
                return
        except (URLError, OSError):
            time.sleep(0.1)
    pytest.fail(f"the app did not start: {log.read_text()[-2000:]}")
