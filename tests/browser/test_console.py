"""The console in a real browser. Each visit ends clean: no error, no foreign request, axe content."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.browser.conftest import served
from tests.pages.seed import TRAP


def parameters(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query)


def test_a_deep_link_is_right_even_as_the_first_request_of_a_server(
    visit, fleet, another, tmp_path: Path
) -> None:
    with served(another, tmp_path / "log.txt") as cold:
        reader = visit(at=cold)
        reader.open(f"/decision?id={fleet.blocked}")
        assert reader.page.title() == "Decision · Whence"
        assert "but gate minimum_dwell blocked it" in reader.heading()
        reader.sees(".js-plotly-plot", 2)
        assert reader.page.get_by_text("Explains the model, not the cause.").is_visible()
        assert reader.page.get_by_role("link", name="Fleet").is_visible()
        reader.check()


def test_from_the_fleet_to_a_device_to_one_of_its_decisions(visit) -> None:
    reader = visit()
    reader.open("/")
    assert reader.heading().startswith("Needs attention")
    reader.press_cell(1)
    reader.page.wait_for_url("**/device?**")
    reader.settled()
    device = parameters(reader.page.url)["id"][0]
    assert device.startswith("pump-")
    assert device in reader.heading()
    reader.page.get_by_role("button", name="Its decisions").click()
    reader.page.wait_for_url("**/decisions?**")
    reader.settled()
    assert parameters(reader.page.url)["device"] == [device]
    reader.press_cell(0)
    reader.page.wait_for_url("**/decision?**")
    reader.settled()
    assert reader.heading().startswith(f"{device} chose")
    reader.check()


def test_a_device_and_the_data_health_read_well_in_light_and_dark(visit) -> None:
    for dark in (False, True):
        reader = visit(dark=dark)
        reader.open("/device?id=pump-1")
        assert reader.heading().startswith("Nothing changed on pump-1")
        reader.sees(".js-plotly-plot", 2)
        reader.check()
        reader.page.get_by_role("link", name="Data health").click()
        reader.page.wait_for_url("**/health**")
        reader.settled()
        assert reader.heading().startswith("This screen can be trusted")
        reader.check()


def test_gates_and_performance_read_well_on_a_narrow_and_on_a_wide_screen(visit) -> None:
    reader = visit(dark=True, width=420)
    reader.open("/gates")
    assert reader.heading().startswith("Gate minimum_dwell blocked")
    reader.check()
    reader = visit()
    reader.open("/performance")
    assert "of the acts of pump.stop that were carried out" in reader.heading()
    reader.check()


def test_the_time_range_stays_in_the_url_from_page_to_page(visit) -> None:
    reader = visit()
    reader.open("/")
    reader.page.get_by_role("radio", name="24h").click()
    reader.settled()
    assert parameters(reader.page.url)["range"] == ["24h"]
    reader.page.get_by_role("link", name="Decisions").click()
    reader.page.wait_for_url("**/decisions**")
    reader.settled()
    assert parameters(reader.page.url)["range"] == ["24h"]
    assert reader.heading().endswith("in the last 24 hours")
    reader.check()


def test_drawing_over_the_bars_chooses_their_time(visit) -> None:
    reader = visit()
    reader.open("/decisions")
    everything = reader.heading()
    box = reader.page.locator(".js-plotly-plot .nsewdrag").bounding_box()
    reader.page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 20)
    reader.page.mouse.down()
    reader.page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 60, steps=8)
    reader.page.mouse.up()
    reader.page.wait_for_url("**from=**")
    reader.settled()
    assert parameters(reader.page.url)["range"] == ["custom"]
    assert parameters(reader.page.url)["from"][0].startswith("2024-05-01T")
    assert reader.heading() != everything
    reader.check()


def test_dark_is_dark_and_as_readable(visit, fleet) -> None:
    reader = visit(dark=True)
    reader.open(f"/decision?id={fleet.stopped}")
    background = reader.page.evaluate(
        "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
    )
    assert background == "rgb(18, 22, 27)"
    reader.check()


def test_a_press_on_a_dot_chooses_the_input_that_explanations_show(visit) -> None:
    reader = visit(dark=True)
    reader.open("/explanations?these_disposition=blocked")
    assert reader.heading().startswith("pump-wear 1.0.0 attends most to")
    reader.sees(".js-plotly-plot", 5)
    last = reader.page.locator(".js-plotly-plot").nth(1).locator(".scatterlayer .trace").last
    dot = last.locator("path.point").first.bounding_box()
    reader.page.mouse.click(dot["x"] + dot["width"] / 2, dot["y"] + dot["height"] / 2)
    reader.page.wait_for_url("**explained_input=**")
    reader.settled()
    assert parameters(reader.page.url)["explained_input"] == ["pressure"]
    reader.check()


def test_k_and_j_walk_through_a_devices_decisions(visit, fleet) -> None:
    reader = visit()
    reader.open(f"/decision?id={fleet.stopped}")
    reader.page.keyboard.press("k")
    reader.page.wait_for_function("id => !location.search.includes(id)", arg=fleet.stopped)
    reader.settled()
    reader.page.keyboard.press("j")
    reader.page.wait_for_function("id => location.search.includes(id)", arg=fleet.stopped)
    reader.settled()
    reader.check()


def test_a_narrow_screen_shows_the_fleet_too(visit) -> None:
    reader = visit(dark=True, width=420)
    reader.open("/")
    assert reader.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    reader.check()


def test_an_alert_is_acknowledged_on_a_narrow_screen(visit) -> None:
    reader = visit(dark=True, width=420)
    reader.open("/alerts")
    for _ in range(20):  # the server may have just begun
        if not reader.heading().startswith("No alert"):
            break
        reader.open("/alerts")
    assert "Model ghost 0.1 is unknown" in reader.page.locator("main, body").first.inner_text()
    reader.page.get_by_role("button", name="Acknowledge").first.click()
    reader.page.get_by_text(" acknowledged by ").first.wait_for()
    reader.settled()
    assert ", 1 acknowledged" in reader.heading()
    assert reader.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    reader.check()


def test_a_name_that_looks_like_markdown_asks_no_other_host(visit, fleet) -> None:
    reader = visit()
    reader.open(f"/decision?id={fleet.trap}")
    assert TRAP in reader.heading().replace("\u2060", "")
    assert reader.page.locator("a[href*=trap]").count() == 0
    reader.open("/")
    reader.open("/decisions")
    reader.check()
