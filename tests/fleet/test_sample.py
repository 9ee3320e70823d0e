"""The generated files are the same for the same seed, and there is one set for each example."""

from __future__ import annotations

import pytest

from observability.fleet.sample import SAMPLES, write_sample
from tests.fleet.conftest import SPECS
from traces.errors import WrongUse


def test_each_example_has_a_sample():
    assert set(SAMPLES) == set(SPECS)


@pytest.mark.parametrize("name", SPECS)
def test_the_same_seed_writes_the_same_bytes(name, sample, tmp_path):
    write_sample(name, tmp_path / "again")
    write_sample(name, tmp_path / "other", seed=8)

    for path in sample(name).iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
        assert (tmp_path / "other" / path.name).read_bytes() != path.read_bytes()


def test_a_name_without_a_sample_is_refused(tmp_path):
    with pytest.raises(WrongUse, match="did you mean cmapss"):
        write_sample("cmaps", tmp_path)
