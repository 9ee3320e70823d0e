"""What `--store` and `--files` may say, and what is answered where they say something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from observability.store.location import location_here, location_of
from traces.errors import WrongUse

SHARED = "ducklake:postgres:dbname=whence host=db"


def test_a_folder_is_all_in_one(tmp_path: Path) -> None:
    found = location_of(tmp_path / "fleet")
    assert str(found) == found.files == str(tmp_path / "fleet")
    assert (found.local, found.data) == (tmp_path / "fleet", f"{tmp_path}/fleet/data")
    assert (found.postgres, found.in_s3) == ("", False)
    assert location_of(found) is found


def test_a_relative_folder_stays_where_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = location_of("fleet")
    assert (found.name, found.files) == ("fleet", str(tmp_path / "fleet"))
    assert found.environment() == {"WHENCE_STORE": str(tmp_path / "fleet"), "WHENCE_FILES": ""}


@pytest.mark.parametrize(
    "store", [SHARED, "ducklake:postgres:postgresql://db/whence", "ducklake:postgres:"]
)
def test_a_catalog_for_many_has_its_files_elsewhere(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    found = location_of(store, "s3://bucket/plant/north/")
    assert (found.in_s3, found.files) == (True, "s3://bucket/plant/north")
    assert found.local.parent == tmp_path / "whence"
    assert found.local != location_of(store, "s3://bucket/south").local
    assert location_of(store, tmp_path / "shared").data == f"{tmp_path}/shared/data"
    for name, value in found.environment().items():
        monkeypatch.setenv(name, value)
    assert location_here() == found


@pytest.mark.parametrize(
    ("store", "files", "told"),
    [
        ("", None, "store ''"),
        ("postgresql://db/whence", None, "a folder, or 'ducklake:postgres:"),
        ("ducklake:sqlite:a.sqlite", None, "a folder, or 'ducklake:postgres:"),
        ("s3://bucket/fleet", None, "a folder, or 'ducklake:postgres:"),
        ("fleet", "s3://bucket/fleet", "for the folder fleet"),
        (SHARED, None, "without --files"),
        (SHARED, "gs://bucket", "expected s3://bucket/prefix, or a folder"),
        (SHARED, "s3://", "expected s3://bucket/prefix, or a folder"),
        (SHARED, "s3://bucket/a b", "expected s3://bucket/prefix, or a folder"),
        (SHARED + " password=sesame", "s3://bucket", "a password in --store"),
        ("ducklake:postgres:postgresql://u:sesame@db/whence", "s3://bucket", "a password in"),
        ("ducklake:postgres:hots=db password=sesame", "s3://bucket", "cannot be read"),
        ("ducklake:postgres:hots=db", "s3://bucket", "hots"),
        ("postgres://u:sesame@db/whence", None, "a folder, or"),
    ],
)
def test_another_form_is_refused_in_one_line(store: str, files: str | None, told: str) -> None:
    with pytest.raises(WrongUse) as refused:
        location_of(store, files)
    assert told in str(refused.value)
    assert "sesame" not in str(refused.value)
    assert "\n" not in str(refused.value)
