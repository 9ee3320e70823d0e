"""The decision page on what the device did with numbers, people and fields that it kept to itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from observability.store.records import span_key
from observability.store.write import Writer
from tests.pages.test_pages import title, words
from tests.spans import NOON, batch, decision, decision_span, review_span, rows
from traces import Clamp, Decision, Gate, HumanGate, Interlock, ModelVersion, Recommendation
from traces.device import Privacy

INPUTS = {"temperature": 91.5, "vibration": 2.0, "pressure": 4.0}
STOP = Recommendation("stop", 0.9, 0.5)


@pytest.fixture
def shown(seeded: Any, open_page: Any, tmp_path: Path) -> Callable[..., Any]:
    """The page of one more decision of the seeded store's model, with the reviews that it got."""

    def show(value: Decision, *verdicts: Any) -> Any:
        store = shutil.copytree(seeded.store, tmp_path / "fleet")
        sent = decision_span(value)
        reviews = [
            review_span(sent, verdict, end_time_unix_nano=NOON + (60 * minutes + 1) * 10**9)
            for minutes, verdict in verdicts
        ]
        decision_id = span_key(sent)
        with Writer(store) as writer:
            writer.write(batch(sent, *reviews, device="pump-9"))
        return open_page("decision", store, id=decision_id)

    return show


@pytest.fixture
def model(seeded: Any) -> ModelVersion:
    ((name, version, digest),) = rows(seeded.store, "SELECT name, version, digest FROM models")
    return ModelVersion(name, version, digest)


def cells(app: Any, column: str) -> dict[str, str]:
    """Of the table with that column, the column by the row's first cell."""
    table = next(table.value for table in app.table if column in table.value)
    return dict(zip(table.iloc[:, 0], table[column], strict=True))


def test_what_was_withheld_is_called_so_and_not_explained_as_missing(shown, model) -> None:
    privacy = Privacy(inputs={"temperature": "drop"}, context={"operator": "drop"})
    gates = (Gate("plausible", "temperature", "<=", 80.0).judge(INPUTS),)
    value = decision(
        model=model,
        inputs=INPUTS,
        recommendation=STOP,
        gates=gates,
        disposition="blocked",
        context={"operator": "anna"},
    )
    app = shown(privacy.decision(value))
    assert not app.exception
    said = words(app)
    assert "Not explained: temperature withheld on the device" in said
    assert cells(app, "Usual range")["temperature"] == "–"
    values = cells(app, "Value")
    assert values["temperature"] == "○ withheld on the device"
    assert "2" in values["vibration"]
    assert cells(app, "Compared")["temperature"] == "–"
    assert cells(app, "Observed")["**plausible** ◀ binding"] == "temperature withheld on the device"
    tables = "\n".join(table.value.to_csv() for table in app.table)
    assert "operator,○ withheld on the device" in tables.replace("*", "")
    assert "anna" not in said + tables
    assert "91.5" not in said + tables
    assert not app.get("plotly_chart")


def test_a_pseudonym_of_an_input_is_no_level_to_explain(shown, model) -> None:
    privacy = Privacy(categoricals={"temperature": "pseudonymise"}, key=bytes(16))
    value = decision(
        model=model, categoricals={"temperature": "hot"}, inputs={"vibration": 1.0, "pressure": 2.0}
    )
    assert "Not explained: temperature withheld on the device" in words(
        shown(privacy.decision(value))
    )


def test_a_modified_value_is_shown_beside_the_one_proposed(shown, model) -> None:
    gate = Clamp("full_load", "throttle", high=0.62).judge({"value(throttle)": 0.9})
    value = decision(
        model=model,
        recommendation=Recommendation("throttle", 0.9, 0.5, 0.9),
        gates=(gate,),
        action="throttle",
        value=0.62,
        disposition="modified",
        latency_us=2412,
        budget_us=2000,
    )
    app = shown(value)
    tiles = {tile.label: tile.value.replace("\\", "") for tile in app.metric}
    assert (tiles["Model proposed"], tiles["Device did"]) == ("throttle 0.9", "throttle 0.62")
    assert "chose throttle 0.62: the model proposed throttle 0.9" in title(app)
    said = words(app)
    assert "Had full_load passed, the device would have done **throttle 0.9**." in said
    assert "▲ over budget:** 2,412 µs of 2,000 µs" in said


DEFERRED = {
    "recommendation": STOP,
    "gates": (HumanGate("approval").judge({}),),
    "disposition": "deferred",
}


def test_a_deferred_decision_waits_for_a_person(shown, model) -> None:
    said = words(shown(decision(model=model, **DEFERRED)))
    assert "Waiting for a person since 2026-01-01 12:00:01 UTC." in said


def test_a_review_closes_what_was_deferred(shown, model) -> None:
    said = words(shown(decision(model=model, **DEFERRED), (1, "defer"), (4, "pass")))
    assert "passed on by **op-3** 1 min later" in said
    assert "approved by **op-3** 4 min later: seen on site; the device then did **stop**." in said
    assert "Waiting for a person" not in said


def test_a_review_that_only_passed_it_on_leaves_it_waiting(shown, model) -> None:
    said = words(shown(decision(model=model, **DEFERRED), (1, "defer")))
    assert "Waiting for a person" in said


def test_an_interlock_says_whether_it_held(shown, model) -> None:
    gates = (
        Interlock("automatic", "mode", ("auto",)).judge({"mode": "manual"}),
        Interlock("keyed", "key", (True,)).judge({"key": True}),
    )
    app = shown(decision(model=model, recommendation=STOP, gates=gates, disposition="blocked"))
    observed = {name.replace("*", ""): said for name, said in cells(app, "Observed").items()}
    assert observed["automatic ◀ binding"].replace("\\", "") == 'mode in ["auto"]: no'
    assert observed["keyed"].replace("\\", "") == "key in [true]: yes"
