"""What turned out to be true of each row, and from when on it could be known.

The invariant: `label_known_at` is the earliest instant at which the device's own future, as
recorded, settles the label. `label` is null where the recording never settles it.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from observability.fleet import strict
from observability.fleet.spec import Reading, RemainingLife, ReplaySpec
from traces.errors import SpecError
from traces.gates import holds


def with_labels(spec: ReplaySpec, frame: pl.DataFrame, truth: Path | None = None) -> pl.DataFrame:
    """The frame with `label` (Boolean) and `label_known_at` (UTC).

    `truth` holds what each device had left after its last row; without it the last row is the end.
    Raises SpecError where the truth file does not fit.
    """
    if spec.label.remaining_life is not None:
        every = strict.duration(spec.time.every, "time.every")
        return _remaining_life(
            frame, spec.label.remaining_life, spec.time.cycle, int(every.total_seconds()), truth
        )
    assert spec.label.reading is not None  # noqa: S101 - Label holds exactly one
    return _reading(frame, spec.label.reading)


def _remaining_life(
    frame: pl.DataFrame, rule: RemainingLife, cycle: str, cycle_seconds: int, truth: Path | None
) -> pl.DataFrame:
    devices = frame["device_id"].unique(maintain_order=True)
    left = _read_truth(truth, len(devices)) if truth else [0] * len(devices)
    after_last = pl.col("device_id").replace_strict(devices.to_list(), left, return_dtype=pl.Int64)
    remaining = (pl.col(cycle).max().over("device_id") - pl.col(cycle)).cast(pl.Int64) + after_last
    # A failure settles "at most n to live"; having lived n + 1 more cycles settles the contrary.
    settled_in = pl.when(pl.col("label")).then(pl.col("_remaining")).otherwise(rule.at_most + 1)
    return (
        frame.with_columns(remaining.alias("_remaining"))
        .with_columns((pl.col("_remaining") <= rule.at_most).alias("label"))
        .with_columns(
            label_known_at=pl.col("decided_at")
            + pl.duration(seconds=settled_in * cycle_seconds, time_unit="us")
        )
        .drop("_remaining")
    )


def _read_truth(path: Path, devices: int) -> list[int]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        found = f"no file {path.name} in {path.parent}"
        raise SpecError(found, "the truth that the spec names") from error
    if not all(line.isdigit() for line in lines):
        raise SpecError(f"{path.name}, which is no truth", "one whole number a line")
    if len(lines) != devices:
        found = f"{len(lines)} lines in {path.name} for {devices} devices"
        raise SpecError(found, "one line for each device, in their order")
    return [int(line) for line in lines]


def _reading(frame: pl.DataFrame, rule: Reading) -> pl.DataFrame:
    ahead = strict.duration(rule.ahead, "label.reading.ahead")
    known_after = strict.duration(rule.known_after, "label.reading.known_after")
    later = frame.select(
        "device_id",
        decided_at=pl.col("decided_at") - ahead,
        _seen=pl.col(rule.column),
    ).unique(["device_id", "decided_at"], keep="last")
    seen = pl.col("_seen").map_elements(
        lambda value: holds(rule.operator, value, rule.limit),
        return_dtype=pl.Boolean,
        skip_nulls=True,
    )
    return (
        frame.join(later, on=["device_id", "decided_at"], how="left", maintain_order="left")
        .with_columns(label=seen, label_known_at=pl.col("decided_at") + ahead + known_after)
        .drop("_seen")
    )
