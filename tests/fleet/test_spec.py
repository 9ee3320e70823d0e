"""A replay spec that does not fit is refused in one line, before anything is written."""

from __future__ import annotations

import pytest

from observability.fleet import recorded
from observability.fleet.spec import load
from tests.fleet.conftest import ROOT, SPECS, example
from traces.errors import SpecError

BROKEN = sorted((ROOT / "tests" / "invalid").glob("spec_*.yaml"))


@pytest.mark.parametrize("name", SPECS)
def test_every_example_names_itself_and_guards_only_its_risky_action(name):
    spec = example(name)

    assert spec.name == name
    assert {gate.guards for gate in spec.gates} == {(spec.actions.act,)}
    assert spec.model.features == (
        *(f for f in spec.model.features if not f.levels),
        *(f for f in spec.model.features if f.levels),
    )


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_spec_says_in_one_line_what_is_wrong(path, sample):
    said = path.read_text().splitlines()[0].removeprefix("# says: ")

    with pytest.raises(SpecError) as raised:
        spec = load(path)
        recorded.read(spec, sample("cmapss" if spec.time.cycle else "occupancy"))

    found = str(raised.value)
    for name in ("cmapss", "occupancy"):
        found = found.replace(str(sample(name)), "DATA")
    assert found == said


def test_no_spec_at_all_is_said_with_its_path(tmp_path):
    with pytest.raises(SpecError, match=r"no file .*absent\.yaml; expected a replay spec"):
        load(tmp_path / "absent.yaml")
