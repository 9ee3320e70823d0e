"""What devices send at their worst, from the spans through counted cubes to the drift page's values.

Each oddity has an input of its own, or a decision type; healthy inputs stand beside them. What cannot be
judged says why, what is odd is told, and nothing hides the shift of another input.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import duckdb
import lightgbm
import numpy as np
import polars as pl
import pytest

from observability.models import registry
from observability.models.features import Feature
from observability.monitor.baseline import MOST_LEVELS, usual_of
from observability.monitor.calibration import Insufficient
from observability.monitor.drift import by_device, by_input, drift, overlay
from observability.monitor.triage import triage, watch_all
from observability.monitor.watched import Watched, alarms
from observability.store import lake
from observability.store.read import Window
from observability.store.read_cubes import progress
from observability.store.read_drift import decided_types
from observability.store.write import Writer
from tests.monitor.counting import DAY, START, build, made, send
from tests.spans import MODEL, NOON
from traces import ModelVersion
from traces.device import RecordedClock

BASELINE_DAYS, DAYS, EACH = 28, 12, 24
DEVICES = tuple(f"pump-{n}" for n in range(1, 5))
LEVELS = tuple(f"part-{n}" for n in range(10_000))
COMMON = 1 / np.arange(1, len(LEVELS) + 1)
COMMON /= COMMON.sum()
NUMBERS = ("null", "constant", "woken", "two", "extreme", "glitch", "plain")
ODD, JUMPING, NEW = "pump.odd", "pump.jump", "pump.new"
SHIFTED = 4


def values(chance: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    """So many rows of each input as it usually is."""
    return {
        "null": np.full(rows, np.nan),
        "constant": np.full(rows, 7.0),
        "woken": np.full(rows, 7.0),
        "two": (chance.random(rows) < 0.05).astype(float),
        "extreme": chance.choice([-1e308, 1e308, 0.0, 1.0], rows),
        "glitch": chance.normal(20, 1, rows),
        "plain": chance.normal(20, 1, rows),
        "part": np.array(LEVELS)[chance.choice(len(LEVELS), rows, p=COMMON)],
    }


def registered(store: Path, folder: Path, chance: np.random.Generator) -> ModelVersion:
    """A model whose reference is the 28 days before noon."""
    rows = BASELINE_DAYS * EACH * len(DEVICES)
    usual = values(chance, rows)
    usual["glitch"][1000] = 1e6
    step = np.arange(rows) // len(DEVICES)
    frame = pl.DataFrame(
        {
            "device_id": [DEVICES[n % len(DEVICES)] for n in range(rows)],
            "decided_at": [START - (int(n) + 1) * DAY / EACH for n in step],
            **usual,
        }
    )
    frame.write_parquet(folder / "reference.parquet")
    train = lightgbm.Dataset(
        chance.normal(size=(200, len(NUMBERS) + 1)),
        chance.integers(0, 2, 200),
        feature_name=[*NUMBERS, "part"],
    )
    parameters = {"objective": "binary", "num_leaves": 3, "verbosity": -1, "num_threads": 1}
    (folder / "model.txt").write_text(lightgbm.train(parameters, train, 1).model_to_string())
    return registry.add(
        store, folder / "model.txt", name="odd", version="1",
        features=(*(Feature(name) for name in NUMBERS), Feature("part", levels=LEVELS)),
        reference=folder / "reference.parquet",
    ).version  # fmt: skip


def odd(chance: np.random.Generator, device: str, model: ModelVersion) -> list:
    spans = []
    rows = values(chance, DAYS * EACH)
    rows["glitch"][50] = -1e6
    rows["woken"][SHIFTED * EACH :] = 50.0
    if device == "pump-2":
        rows["glitch"][SHIFTED * EACH :] += 1.0
    if device == "pump-3":
        rows["part"][SHIFTED * EACH :] = LEVELS[-1]
    for n in range(DAYS * EACH):
        inputs = {name: column[n].item() for name, column in rows.items()}
        spans.append(made(model, n * DAY / EACH, ODD, **inputs))
    return spans


def jumping(chance: np.random.Generator, device: str, model: ModelVersion) -> list:
    rows = values(chance, DAYS * EACH)["plain"]
    if device == "pump-2":
        rows[SHIFTED * EACH :] += 1.5
    spans = [made(model, n * DAY / EACH, JUMPING, plain=float(x)) for n, x in enumerate(rows)]
    if device == "pump-3":
        spans += [
            made(model, at - START, JUMPING, plain=20.0)
            for at in (
                datetime(1970, 1, 1, 0, 5, tzinfo=START.tzinfo),
                datetime(2100, 1, 1, tzinfo=START.tzinfo),
            )
        ]
    return spans


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    store, chance = folder / "fleet", np.random.default_rng(5)
    clock = RecordedClock(NOON + 12 * 24 * 3600 * 10**9)
    Writer(store, clock).close()
    model = registered(store, folder, chance)
    with Writer(store, clock) as writer:
        for device in DEVICES:
            send(writer, odd(chance, device, model), device)
            send(writer, jumping(chance, device, model), device)
        few = [made(model, n * DAY, ODD, plain=1e6) for n in range(3)]
        send(writer, few, "pump-few")
        send(writer, (made(MODEL, n * DAY / EACH, NEW, plain=float(n)) for n in range(2 * EACH)))
        build(writer)
    return store


@pytest.fixture(scope="module")
def con(store: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with lake.connect(store) as opened, lake.reading(opened):
        yield opened


@pytest.fixture(scope="module")
def watched(store: Path, con: duckdb.DuckDBPyConnection) -> dict[str, Watched]:
    found = watch_all(con, decided_types(con), functools.partial(usual_of, con, store))
    return {each.drift.decision_type: each for each in found}


def reason(watched: Watched, device: str | None, name: str) -> Insufficient:
    stream = watched.drift.place(device) * len(watched.drift.names) + watched.drift.names.index(
        name
    )
    return watched.evidence.insufficient[stream]


def alarmed(watched: Watched) -> set[tuple[str | None, str]]:
    return {(alarm.device, alarm.name) for alarm in alarms(watched) if alarm.device}


def test_everything_that_was_sent_is_counted(con: duckdb.DuckDBPyConnection) -> None:
    sent = len(DEVICES) * DAYS * EACH
    assert progress(con).select("decision_type", "counted", "waiting").rows() == [
        (JUMPING, sent + 2, 0),
        (ODD, sent + 3, 0),
    ]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("null", Insufficient.NO_VALUES),
        ("constant", Insufficient.ONE_BIN),
        ("woken", Insufficient.ONE_BIN),
    ],
)
def test_what_the_baseline_never_saw_vary_is_not_judged_and_says_why(
    watched: dict[str, Watched], name: str, why: Insufficient
) -> None:
    of = watched[ODD]
    assert {reason(of, device, name) for device in (None, *DEVICES)} == {why}
    assert np.isnan(by_input(of.drift).psi[of.drift.names.index(name)]).all()
    assert math.isnan(overlay(of.drift, name, None).psi)


def test_a_constant_that_wakes_up_and_an_input_that_is_all_null_show_in_the_values(
    watched: dict[str, Watched],
) -> None:
    of = watched[ODD].drift
    woken = overlay(of, "woken", None, of.after + SHIFTED + 1)
    assert (woken.usual_mean, woken.mean) == (7.0, 50.0)
    assert overlay(of, "null", "pump-1").missing == 1
    assert overlay(of, "constant", "pump-1").mean == 7.0


def test_a_device_with_three_decisions_has_no_psi_and_touches_no_other(
    watched: dict[str, Watched],
) -> None:
    of = watched[ODD]
    assert reason(of, "pump-few", "plain") is Insufficient.NO_VALUES
    names, cells = by_device(of.drift, "plain")
    few = names.index("pump-few")
    assert np.isnan(cells.psi[few]).all()
    assert cells.values[few].sum() == 3


def test_extreme_values_have_no_mean_but_a_psi(watched: dict[str, Watched]) -> None:
    found = overlay(watched[ODD].drift, "extreme", None)
    assert math.isnan(found.usual_mean) and math.isnan(found.mean)
    assert 0 <= found.psi < 0.1
    assert reason(watched[ODD], "pump-1", "extreme") is Insufficient.NOTHING


def test_glitches_and_ten_thousand_categories_hide_no_shift_and_nothing_else_alarms(
    watched: dict[str, Watched],
) -> None:
    assert alarmed(watched[ODD]) == {("pump-2", "glitch"), ("pump-3", "part")}
    assert watched[ODD].drift.usual.shape[-1] == MOST_LEVELS + 1


def test_clocks_that_jump_stretch_nothing_hide_no_shift_and_are_told(
    watched: dict[str, Watched], con: duckdb.DuckDBPyConnection
) -> None:
    of = watched[JUMPING]
    assert (of.drift.width, len(of.drift.starts), of.drift.astray) == (DAY, DAYS + 1, 1)
    assert alarmed(of) == {("pump-2", "plain")}
    whole = drift(con, of.drift.baseline, JUMPING, Window())
    assert (len(whole.starts), whole.astray) == (DAYS + 1, 2)


def test_one_day_of_baseline_judges_nothing(watched: dict[str, Watched]) -> None:
    of = watched[NEW]
    assert of.judged == 0
    assert set(of.evidence.insufficient) == {Insufficient.FEW_DAYS}


def test_the_troubles_are_the_two_sensors_and_the_parts(
    con: duckdb.DuckDBPyConnection, watched: dict[str, Watched]
) -> None:
    found = triage(con, tuple(watched.values()))
    assert {(each.devices, each.inputs) for each in found} == {
        (("pump-2",), ("glitch",)),
        (("pump-2",), ("plain",)),
        (("pump-3",), ("part",)),
    }
    assert all(abs(each.since - (START + SHIFTED * DAY)) <= 2 * DAY for each in found)
