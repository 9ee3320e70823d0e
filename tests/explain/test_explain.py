from __future__ import annotations

import json
import math
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from observability.commands import explain as explain_command
from observability.commands import models as models_command
from observability.explain.explain import explain
from observability.explain.explanation import as_json
from tests.explain.conftest import NAMES
from traces.errors import WrongUse


def test_an_executed_decision_is_explained_in_full(con, plant) -> None:
    explanation = explain(con, plant.store, plant.ids["executed"])
    assert explanation is not None
    found = explanation.attributions
    assert found is not None
    assert found.adds_up
    assert found.replay_error == 0.0
    assert found.units == ("°R", "°R", "psia", "")
    assert found.threshold == 0.0
    assert explanation.score_margin == pytest.approx(found.replayed_score - 0.5)
    assert [outcome.label for outcome in explanation.stored.outcomes] == ["failed"]
    assert explanation.sentence.startswith("engine-049 chose ground: score 0.8")
    assert "over the threshold 0.5; most of it came from " in explanation.sentence
    assert [step.binding for step in explanation.gates] == [False, False]


def test_what_else_it_could_have_done_comes_from_its_earlier_decisions(con, plant) -> None:
    explanation = explain(con, plant.store, plant.ids["held"])
    assert explanation is not None
    assert explanation.missing == ()
    found = explanation.alternatives
    assert found is not None
    assert (found.action, found.gates_seen_in) == ("ground", plant.ids["executed"])
    assert {name: usual.count for name, usual in explanation.usual.items()} == dict.fromkeys(
        NAMES, 2
    )
    assert found.flips.exact
    assert found.flips.one is not None
    assert found.flips.one.action == "ground"
    parts = (*found.shares.features, *found.shares.gates)
    assert [part.name for part in parts] == [*NAMES, "powered", "sensor_plausible"]
    assert found.shares.base + math.fsum(part.share for part in parts) == pytest.approx(1.0)
    json.dumps(as_json(explanation), allow_nan=False)


def test_a_blocked_decision_names_its_own_alternative(con, plant) -> None:
    explanation = explain(con, plant.store, plant.ids["blocked"])
    assert explanation is not None
    assert explanation.alternatives is not None
    assert explanation.alternatives.action == "ground"
    shares = {part.name: part.share for part in explanation.alternatives.shares.gates}
    assert shares["sensor_plausible"] > 0.3
    assert shares["powered"] == 0.0


def test_the_first_decision_of_a_device_has_no_known_alternative(con, plant) -> None:
    explanation = explain(con, plant.store, plant.ids["executed"])
    assert explanation is not None
    assert explanation.alternatives is None
    assert explanation.missing == (
        "what else the device could have done is not known: found no earlier decision of this device"
        " that proposed another action; expected one, on the other side of the threshold",
    )


def test_a_blocked_decision_names_the_gate_that_bound_it(con, plant) -> None:
    explanation = explain(con, plant.store, plant.ids["blocked"])
    assert explanation is not None
    powered, plausible = explanation.gates
    assert (powered.margin, powered.binding, powered.replays) == (4.0, False, True)
    assert plausible.binding
    assert [powered.decisive, plausible.decisive] == [False, True]
    assert plausible.margin == plausible.verdict.observed - 1500.0
    assert explanation.sentence.startswith(
        "engine-049 chose fly: the model proposed ground (score 0.8"
    )
    assert ", but gate sensor_plausible blocked it: T30 " in explanation.sentence
    assert explanation.sentence.endswith(" is not >= 1500.")


def test_a_missing_value_is_explained_and_stays_missing(con, plant) -> None:
    explanation = explain(con, plant.store, plant.ids["missing value"])
    assert explanation is not None
    assert explanation.attributions is not None
    assert explanation.attributions.adds_up
    assert math.isnan(explanation.attributions.values[3])
    assert as_json(explanation)["attributions"]["values"][3] is None


@pytest.mark.parametrize(
    ("what", "missing"),
    [
        ("unknown model", "no model rul 9 is registered here"),
        ("other digest", "the digest differs: the device ran rul 1 sha256:000000000000"),
        ("no reference", "no reference registered for bare 1"),
        ("other inputs", "without the input s4, s11, s2"),
    ],
)
def test_what_cannot_be_attributed_says_why_and_keeps_the_rest(
    con, plant, what: str, missing: str
) -> None:
    explanation = explain(con, plant.store, plant.ids[what])
    assert explanation is not None
    assert explanation.attributions is None
    assert len(explanation.missing) == 1
    assert missing in explanation.missing[0]
    assert explanation.sentence.startswith("engine-049 chose ")


def test_a_lost_artifact_is_missing_not_an_error(con, plant, tmp_path) -> None:
    explanation = explain(con, tmp_path, plant.ids["executed"])
    assert explanation is not None
    assert explanation.attributions is None
    assert "found no file" in explanation.missing[0]


def test_an_unknown_decision_is_none(con, plant) -> None:
    assert explain(con, plant.store, "0" * 32 + "-" + "0" * 16) is None


def asked_for(plant, id_: str, **options: object) -> Namespace:
    asked = {"store": str(plant.store), "id": id_, "json": False, "verify": False}
    return Namespace(**{**asked, "versus": "fleet", **options})


def test_the_command_prints_what_the_value_holds(plant, capsys) -> None:
    asked = Namespace(
        store=str(plant.store), id=plant.ids["executed"], json=False, verify=False, versus="fleet"
    )
    assert explain_command.run(asked) == 0
    said = capsys.readouterr().out
    for expected in (
        "engine-049 chose ground",
        "outcome    failed",
        "release    1 on 1 of 1 devices that decided in the 24 h before",
        "verdict    proposed ground, score 0.8",
        "chain: not chained",
        "drift      not known: 1 decisions of the 7 days before beside all of the reference (1,500 rows)",
        "nearest    none: no earlier decision of this type and version was known then",
        "pass    powered",
        "base",
        "threshold",
        "°R",
    ):
        assert expected in said
    assert "Relative to 1,000 rows of sha256:" in said
    assert "Explains the model, not the cause." in said


def test_the_command_says_what_else_could_have_been(con, plant, capsys) -> None:
    asked = Namespace(
        store=str(plant.store), id=plant.ids["blocked"], json=False, verify=False, versus="fleet"
    )
    assert explain_command.run(asked) == 0
    said = capsys.readouterr().out
    assert "binding, had it passed, the device would have acted" in said
    assert "instead    ground, with the smallest change of" in said
    assert "one input   none of what people can change" in said
    assert "shares of the action fly" in said


def test_the_command_prints_the_full_value_as_json(con, plant, capsys) -> None:
    asked = Namespace(
        store=str(plant.store),
        id=plant.ids["missing value"],
        json=True,
        verify=False,
        versus="fleet",
    )
    assert explain_command.run(asked) == 0
    explanation = explain(con, plant.store, plant.ids["missing value"])
    assert explanation is not None
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(as_json(explanation)))


def test_the_command_refuses_an_unknown_id(plant) -> None:
    with pytest.raises(WrongUse, match="found no decision nope"):
        explain_command.run(asked_for(plant, "nope"))


def models(plant, **options: object) -> int:
    return models_command.run(Namespace(**{"store": str(plant.store), "json": False, **options}))


def test_registered_models_are_listed_and_shown(plant, capsys) -> None:
    assert models(plant, action="list") == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in listed] == [
        ["NAME", "VERSION"],
        ["bare", "1"],
        ["rul", "1"],
    ]
    assert models(plant, action="show", name="rul", version=None) == 0
    shown = capsys.readouterr().out
    assert plant.model.version.digest in shown
    assert "T30 [°R]" in shown
    assert models(plant, action="show", name="rul", version="1", json=True) == 0
    assert json.loads(capsys.readouterr().out)[0]["reference"]["rows"] == 1500


def test_a_model_is_added_by_command(plant, tmp_path: Path, capsys) -> None:
    features = tmp_path / "features.yaml"
    features.write_text("".join(f"- name: {name}\n" for name in ("T30", "s4", "s11", "s2")))
    added = models(
        plant, action="add", file=str(plant.model.artifact_path), name="copy", version="1",
        reference=None, features=str(features), threshold=0.4, json=True,
    )  # fmt: skip
    assert added == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["name"], said["threshold"], said["digest"]) == (
        "copy",
        0.4,
        plant.model.version.digest,
    )


def test_an_unknown_model_is_refused_with_what_is_registered(plant) -> None:
    with pytest.raises(WrongUse, match=r"found no model pump 7; .*rul 1"):
        models(plant, action="show", name="pump", version="7")


def test_importing_the_explanation_loads_neither_shap_nor_lightgbm() -> None:
    asked = (
        "import sys, observability.explain.explain, observability.models.registry;"
        "print({'shap', 'lightgbm', 'numba', 'plotly'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert said.stdout == "set()\n"
