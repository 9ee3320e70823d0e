"""Each page over a real store: with data, empty, with an id that is not there, and without a store."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.seed import TRAP


def words(app: AppTest) -> str:
    """All that the page says, with Markdown's escapes taken away."""
    said = [app.title, app.header, app.markdown, app.caption, app.error, app.warning]
    text = "\n".join(str(element.value) for kind in said for element in kind)
    cells = "\n".join(str(cell) for table in app.table for cell in table.value.to_numpy().ravel())
    tiles = "\n".join(f"{tile.label} {tile.value} {tile.delta}" for tile in app.metric)
    return (
        f"{text}\n{cells}\n{tiles}".replace("\\", "").replace("\u202f", " ").replace("\u2060", "")
    )


def title(app: AppTest) -> str:
    return str(app.title[0].value).replace("\\", "")


def shown_id(app: AppTest) -> str:
    value = app.query_params["id"]
    return value if isinstance(value, str) else value[0]


def test_the_fleet_page_says_first_what_is_wrong_then_counts_it(open_page, seeded) -> None:
    app = open_page("fleet", seeded.store)
    assert not app.exception
    assert title(app).startswith("Needs attention: Model ghost 0.1 is unknown; Model pump-wear")
    assert "1 device stopped before the recording ends" in words(app)
    assert "Gate minimum_dwell blocks often" in words(app)
    for tile in (
        "Devices that decided 8 of 8 devices",
        "Decisions 448 56 per device",
        "312 of 448",
    ):
        assert tile in words(app)
    assert len(app.dataframe[0].value) == 8


def test_recorded_time_is_said_to_be_recorded(open_page, seeded) -> None:
    assert "recorded time · data as of 2024-05-02 00:00:00 UTC" in words(
        open_page("fleet", seeded.store)
    )


def test_a_time_range_leaves_out_what_lies_outside(open_page, seeded) -> None:
    app = open_page("fleet", seeded.store, range="1h")
    assert "in the last hour" in words(app) or "Needs attention" in words(app)
    decided = {tile.label: tile for tile in app.metric}["Devices that decided"]
    assert (decided.value, decided.delta) == ("7", "of 8 devices")


def test_from_and_to_make_the_range_custom(open_page, seeded) -> None:
    app = open_page(
        "decisions", seeded.store, **{"from": "2024-05-01T01:00Z", "to": "2024-05-01T02:00Z"}
    )
    assert app.segmented_control(key="range").value == "custom"
    assert title(app) == "4 devices made 24 decisions in the chosen time"


def test_a_time_that_is_none_is_said_and_asks_nothing(open_page, seeded) -> None:
    app = open_page("decisions", seeded.store, **{"from": "soon"})
    assert "“soon” is no time" in words(app)
    assert "448 decisions" in words(app)


def test_the_decisions_page_filters_by_what_the_url_says(open_page, seeded) -> None:
    app = open_page(
        "decisions", seeded.store, device="pump-1", disposition="blocked", outcome="known"
    )
    assert not app.exception
    assert title(app).startswith("16 decisions of 1 device match")
    assert set(app.dataframe[0].value["device_id"]) == {"pump-1"}
    assert set(app.dataframe[0].value["binding_gate"]) == {"minimum_dwell"}


def test_a_filter_that_no_decision_meets_is_told_apart_from_no_data(
    open_page, seeded, empty
) -> None:
    filtered = open_page("decisions", seeded.store, device="pump-99")
    assert "No decision matches." in words(filtered)
    assert "No decision was received yet." in words(open_page("decisions", empty))


def test_the_decision_page_explains_a_decision(open_page, seeded) -> None:
    app = open_page("decision", seeded.store, id=seeded.blocked)
    assert not app.exception
    said = words(app)
    assert "but gate minimum_dwell blocked it" in said
    assert "The parts add up" in said
    assert "Explains the model, not the cause." in said
    assert "Correlated sensors share or swap credit." in said
    assert "Relative to 1,000 reference decisions, 2024-04-01 to 2024-04-25." in said
    assert "minimum_dwell** ◀ binding" in said
    assert "Had minimum_dwell passed, the device would have done **stop**." in said
    assert "Source" not in said and "inspection" in said
    assert "of reference decisions lead to run" in said
    assert [chart.key for chart in app.get("plotly_chart")] == [
        "decision_waterfall",
        "decision_shares",
    ]


def test_the_decision_page_says_what_would_have_changed_the_action(open_page, seeded) -> None:
    app = open_page("decision", seeded.store, id=seeded.stopped)
    changes = next(table.value for table in app.table if "Would have to be" in table.value)
    assert changes["To"].iloc[0] == "**run**"
    assert set(changes["Input"]) <= {"temperature", "vibration", "pressure"}
    assert changes["Distance"].iloc[0].endswith(" IQR")
    assert "within what the reference has seen" in words(app)


def test_inputs_stand_beside_what_is_usual_with_its_count(open_page, seeded) -> None:
    app = open_page("decision", seeded.store, id=seeded.stopped)
    assert re.search(
        r"usual: 5th to 95th percentile of the device's last \d+ decisions", words(app)
    )
    inputs = next(table.value for table in app.table if "Usual range" in table.value)
    assert sorted(inputs["Input"]) == ["pressure", "temperature", "vibration"]
    assert list(inputs.columns)[-1] == "Pushed, log-odds"


def test_the_neighbours_of_a_decision_are_one_step_away(open_page, seeded) -> None:
    app = open_page("decision", seeded.store, id=seeded.stopped)
    app.button(key="go_k").click().run()
    assert shown_id(app) != seeded.stopped
    app.button(key="go_j").click().run()
    assert shown_id(app) == seeded.stopped


def test_an_explanation_that_is_not_in_order_shows_no_waterfall_and_says_why(
    open_page, seeded
) -> None:
    app = open_page("decision", seeded.store, id=seeded.mistaken)
    assert "This explanation is not in order" in app.error[0].value
    assert "not what the device ran" in words(app)
    assert not app.get("plotly_chart")
    inputs = next(table.value for table in app.table if "Usual range" in table.value)
    assert "Pushed, log-odds" not in inputs


def test_a_decision_of_an_unknown_model_is_shown_with_what_is_missing(open_page, seeded) -> None:
    app = open_page("decision", seeded.store, id=seeded.unknown_model)
    assert not app.exception
    assert "Not explained: no model ghost 0.1 is registered here" in words(app)


def test_what_was_not_recorded_is_called_so(open_page, seeded) -> None:
    app = open_page("decision", seeded.store, id=seeded.bare)
    assert not app.exception
    said = words(app)
    for expected in (
        "No gate was asked.",
        "No input was recorded.",
        "Not recorded.",
        "Not known yet.",
    ):
        assert expected in said


def test_a_name_that_looks_like_markdown_stays_a_name(open_page, seeded) -> None:
    app = open_page("decision", seeded.store, id=seeded.trap)
    assert not app.exception
    assert TRAP in words(app)
    drawn = "\n".join(
        [str(element.value) for element in (*app.title, *app.markdown, *app.warning)]
        + [f"{tile.value} {tile.delta}" for tile in app.metric]
        + [button.label for button in app.button]
        + [table.value.to_csv() for table in app.table]
    )
    assert "![trap](" not in drawn
    assert "\n:red[" not in drawn and " :red[" not in drawn


@pytest.mark.parametrize(
    "identity", ["0" * 32 + "-" + "0" * 16, "nonsense", "'; DROP TABLE decisions; --"]
)
def test_an_id_that_is_not_stored_is_not_found(open_page, seeded, identity: str) -> None:
    app = open_page("decision", seeded.store, id=identity)
    assert not app.exception
    assert title(app) == "No such decision"


def test_no_id_asks_for_one(open_page, seeded) -> None:
    assert title(open_page("decision", seeded.store)) == "Which decision?"


@pytest.mark.parametrize("page", ["fleet", "decisions", "decision"])
def test_an_empty_store_is_no_error(open_page, empty, page: str) -> None:
    app = open_page(page, empty)
    assert not app.exception
    assert "no data received yet" in words(app)


@pytest.mark.parametrize("page", ["fleet", "decisions", "decision"])
def test_a_folder_that_is_no_store_is_one_sentence(open_page, tmp_path: Path, page: str) -> None:
    app = open_page(page, tmp_path / "nowhere")
    assert not app.exception
    assert len(app.error) == 1
    assert "expected a store folder" in words(app)
