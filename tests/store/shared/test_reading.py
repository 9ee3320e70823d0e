"""A shared lake is read like a folder, and what is wrong with it is said in one line."""

from __future__ import annotations

import json
from pathlib import Path

import lightgbm
import numpy as np
import psycopg
import pytest

import observability
from observability.cli import main
from observability.models import registry
from observability.store.lake import SCHEMA_VERSION
from observability.store.location import Location, location_of
from observability.store.write import Writer
from tests.models.conftest import reference_frame
from tests.shared import BUCKET, Door, Postgres
from tests.spans import batch, decision_span
from traces.errors import StoreError, WrongUse


def fill(lake: Location, count: int) -> None:
    with Writer(lake) as writer:
        writer.write(batch(*(decision_span() for _ in range(count))))


def test_commands_and_notebooks_name_it_as_a_folder(
    lake: Location,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fill(lake, 2)
    where = ["--store", lake.name, "--files", lake.files]
    exported = str(tmp_path / "out.jsonl")
    assert main(["export", "-o", exported, *where]) == 0
    assert main(["import", exported, *where]) == 0
    assert "2 were stored already" in capsys.readouterr().out
    monkeypatch.setenv("WHENCE_STORE", lake.name)
    monkeypatch.setenv("WHENCE_FILES", lake.files)
    assert main(["sql", "SELECT count(*) AS n FROM d_pump_stop", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"n": 2}]
    with observability.connect(lake.name, files=lake.files) as con:
        assert con.sql("SELECT count(*) FROM decisions").fetchall() == [(2,)]
        with pytest.raises(Exception, match="read-only"):
            con.execute("DELETE FROM decisions")


def test_a_model_registered_here_is_read_on_every_machine(
    lake: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.random.default_rng(7).normal(size=(200, 2))
    data = lightgbm.Dataset(rows, rows[:, 0] > 0, feature_name=["s0", "s1"])
    plain = {"objective": "binary", "verbosity": -1, "num_threads": 1}
    artifact, reference = tmp_path / "model.txt", tmp_path / "reference.parquet"
    lightgbm.train(plain, data, 2).save_model(artifact)
    reference_frame(rows).write_parquet(reference)
    fill(lake, 1)
    added = registry.add(lake, artifact, name="pump", version="3", reference=reference)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another machine"))
    elsewhere = location_of(lake.name, lake.files)
    with observability.connect(elsewhere) as con:
        found = registry.find(con, elsewhere, added.version)
    assert found is not None
    assert found.reference_path is not None
    assert found.artifact_path.is_relative_to(tmp_path / "another machine")
    assert found.artifact_path.read_bytes() == artifact.read_bytes()
    assert found.reference_path.read_bytes() == reference.read_bytes()


def refused(lake: Location) -> str:
    with pytest.raises(StoreError) as told:
        observability.connect(lake)
    assert "\n" not in str(told.value)
    return str(told.value)


def test_a_database_without_a_store_is_none(lake: Location) -> None:
    assert "which is no store; expected a database with a store" in refused(lake)


def test_a_newer_store_is_refused(lake: Location) -> None:
    fill(lake, 1)
    with Writer(lake) as writer:
        writer.con.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    assert f"schema version 99; expected at most {SCHEMA_VERSION}" in refused(lake)
    with pytest.raises(StoreError, match="schema version 99"):
        Writer(lake)


def test_other_files_than_the_stores_are_refused(lake: Location) -> None:
    fill(lake, 1)
    assert "does not match existing data path" in refused(
        location_of(lake.name, f"s3://{BUCKET}/elsewhere")
    )


def test_what_does_not_answer_is_named(
    lake: Location, postgres: Postgres, s3_door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(lake, 1)
    absent = location_of("ducklake:postgres:" + postgres.conninfo("absent"), lake.files)
    assert 'database "absent" does not exist' in refused(absent)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in refused(lake)


def test_a_server_that_does_not_wait_for_its_disk_is_refused(lake: Location) -> None:
    with psycopg.connect(lake.postgres, autocommit=True) as con:
        name = con.execute("SELECT current_database()").fetchall()[0][0]
        con.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')  # pyright: ignore
    with pytest.raises(StoreError, match="synchronous_commit off"):
        Writer(lake)


def test_no_secret_is_shown(lake: Location) -> None:
    fill(lake, 1)
    with observability.connect(lake) as con:
        shown = str(con.sql("FROM duckdb_secrets()").fetchall())
    assert "secret=redacted" in shown
    with pytest.raises(WrongUse) as told:
        location_of("ducklake:postgres:dbname=fleet password=sesame", lake.files)
    assert "sesame" not in str(told.value)
