"""The pages of gates and of performance over real stores: with truth, without, and empty."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gated import Case, write
from tests.pages.test_pages import title, words


@pytest.fixture(scope="session")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two types: of one much is known, of the other nothing."""
    cases = (
        Case(True, 30), Case(False, 6), Case(True, 2, dwell=10), Case(None, 9, dwell=20),
        Case(False, 3, said="block"), Case(None, 4, score=0.1),
        Case(None, 4, type="unknown"), Case(None, 1, type="unknown", said="pass"),
    )  # fmt: skip
    return write(tmp_path_factory.mktemp("judged") / "fleet", cases)


def test_gates_first_say_what_blocked_most_and_how_much_of_it_is_known(open_page, judged) -> None:
    app = open_page("gates", judged)
    assert not app.exception
    assert title(app) == (
        "Gate dwell blocked 11 of 50 proposals of pump.stop: "
        "2 known to be wrong, 0 known to be right, 9 unknown"
    )
    gates, people = (table.value for table in app.dataframe)
    said = f"{gates.to_dict('list')} {people.to_dict('list')}".replace("\\u202f", " ")
    for cell in ("11 of 50 (22 %)", "2 (18.2 to 100 %)", "6 of 36 (16.7 %)", "op-1"):
        assert cell in said
    said = words(app)
    assert "0 of 50 proposals would have gone another way with limit 30 of gate dwell" in said


def test_a_slid_limit_says_what_would_have_become_of_which_proposals(open_page, judged) -> None:
    app = open_page("gates", judged)
    app.slider[0].set_value(20.0).run()
    said = words(app)
    assert "9 of 50 proposals would have gone another way with limit 20 of gate dwell" in said
    assert "9 would act (0 needed acts, 0 harmful acts); of both, 9 unknown" in said
    assert "9 were never put to approval" in said
    assert app.dataframe[2].value["meaning"].to_list() == ["unknown"] * 9


def test_a_gate_can_be_left_out(open_page, judged) -> None:
    app = open_page(
        "gates", judged, gates_how="without a gate", gates_type="unknown", gates_gate="flow"
    )
    assert title(app) == "No gate blocked any of 5 proposals of unknown"
    assert "0 of 5 proposals would have gone another way without gate flow" in words(app)


def test_a_rule_can_be_added_and_flips_what_its_input_says(open_page, judged) -> None:
    app = open_page("gates", judged, gates_how="one rule more")
    assert not app.exception
    assert "0 of 50 proposals would have gone another way" in words(app)
    assert app.selectbox(key="gates_input").options == ["minutes_running"]
    app.slider[0].set_value(30.0).run()
    said = words(app)
    assert "with a gate added (minutes_running <= 30)" in said
    assert "36 would be stopped (6 saves, 30 false blocks)" in said


def test_performance_first_says_how_many_acts_were_needed_and_how_many_can_be(
    open_page, judged
) -> None:
    app = open_page("performance", judged)
    assert not app.exception
    assert title(app).replace("\u202f", " ").replace("\u00a0", " ") == (
        "83.3 % of the acts of pump.stop that were carried out and labelled were needed (n = 36); "
        "of all proposed acts it can be 64 to 82 %"
    )
    said = words(app)
    assert "Recall, carried out not known" in said
    assert "Labelled, of acts 100 % 36 of 36 carried out" in said
    assert "Not to be believed: 36 labels of at least 100" in said
    assert "needs a recorded pass probability above 0; 0 of 50 proposals recorded one" in said


def test_too_few_labels_are_said_to_be_too_few(open_page, judged) -> None:
    app = open_page("performance", judged, performance_type="unknown")
    assert title(app) == (
        "Insufficient data on unknown: 0 decisions are labelled, at least 20 are needed"
    )
    assert "Mature after not known" in words(app)


def test_a_store_in_which_nothing_arrived_has_no_verdict(open_page, empty) -> None:
    for page in ("gates", "performance"):
        app = open_page(page, empty)
        assert not app.exception
        assert title(app).startswith("No decision yet")


def test_a_time_in_which_no_gate_judged_says_so(open_page, judged) -> None:
    app = open_page("gates", judged, **{"from": "2030-01-01T00:00Z"})
    assert title(app) == "No gate judged a proposal in the chosen time"
