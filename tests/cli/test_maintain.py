"""`whence maintain`: by itself, and by the process that serves the store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from observability.collect.serving import serving
from tests.spans import decision_span as decided
from tests.spans import group, post, protobuf_body, rows
from tests.store.test_maintain import files, filled


def test_it_says_what_it_did(whence: Any, tmp_path: Path) -> None:
    store = filled(tmp_path / "fleet", days=1)
    status, out, _ = whence("maintain", "--store", store)
    assert status == 0
    assert out.startswith("0 rows older than 184 days removed, 0 chain events folded, ")
    done = json.loads(whence("maintain", "--store", store, "--json").out)
    assert (done["merged"], done["retention_days"]) == (0, 184)
    assert len(rows(store, "FROM maintenance")) == 2


def test_a_store_that_is_served_is_maintained_by_its_owner(whence: Any, tmp_path: Path) -> None:
    store = filled(tmp_path / "fleet", days=6)
    with serving(store) as url:
        done = whence("maintain", "--store", store, "--json", "--retention-days", "3", "--override")
        answer = json.loads(done.out)
        assert (done.status, answer["retention_days"], answer["expired"] > 0) == (0, 3, True)
        assert post(url, protobuf_body(group([decided()]))).status == 200
        assert post(url, b"3", path="/whence/maintain").status == 401
    assert rows(store, "SELECT retention_days FROM maintenance") == [(3,)]
    assert len(files(store, "outcomes")) > 0


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--retention-days", "30"], "--retention-days 30; expected at least 184; hint: "),
        (["--retention-days", "0", "--override"], "--retention-days 0; expected at least 1"),
        (["--retention-days", "many"], "invalid int value"),
    ],
)
def test_wrong_use_is_one_line_and_changes_nothing(
    whence: Any, store: Path, arguments: list[str], found: str
) -> None:
    status, out, err = whence("maintain", "--store", store, *arguments)
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert found in err
    assert rows(store, "FROM maintenance") == []


def test_a_folder_that_is_no_store_is_not_made_one(whence: Any, tmp_path: Path) -> None:
    status, _, err = whence("maintain", "--store", tmp_path / "absent")
    assert (status, "no folder" in err) == (2, True)
    assert list(tmp_path.iterdir()) == []
