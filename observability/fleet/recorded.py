"""Recorded files -> one row a decision: device, instant, features, context.

Owns how a file is read. Its frames hold `device_id`, `decided_at` (UTC, microseconds), the features
under their own names, context from the data as `context.<name>`, and from labels.py `label` and
`label_known_at`; they are in order of time, then device.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from observability.fleet import strict
from observability.fleet.labels import with_labels
from observability.fleet.spec import Files, Format, ReplaySpec, Time
from traces.errors import SpecError

CONTEXT = "context."
_BLANKS = re.compile(rb"[ \t]+")
_PARTS = ("year", "month", "day", "hour", "minute", "second")


@dataclass(frozen=True, slots=True)
class Recorded:
    """The rows to train on and the rows to decide on."""

    training: pl.DataFrame
    decisions: pl.DataFrame


def read(spec: ReplaySpec, data: Path) -> Recorded:
    """Read the files of a spec from the folder `data`. Raises SpecError where they do not fit it."""
    return Recorded(
        training=_rows(spec, data, spec.training, truth=""),
        decisions=_rows(
            spec,
            data,
            spec.decisions,
            truth=spec.label.remaining_life.truth if spec.label.remaining_life else "",
        ),
    )


def _rows(spec: ReplaySpec, data: Path, files: Files, truth: str) -> pl.DataFrame:
    texts = pl.concat([_read_needed(path, spec) for path in _found(data, files)])
    frame = texts.select(
        _device_ids(spec, files, texts),
        _decided_at(spec.time, texts),
        *(_numbers(texts, name) for name in _numeric_columns(spec)),
        *(pl.col(name) for name in spec.model.categorical),
    )
    if frame["decided_at"].null_count():
        found = f"{frame['decided_at'].null_count()} rows without a time in {files.files[0]}"
        raise SpecError(found, "a time in each row")
    frame = with_labels(spec, frame, truth=data / truth if truth else None)
    frame = _cut(frame, files, spec.time.zone)
    if frame.is_empty():
        raise SpecError(f"no row in {', '.join(files.files)}", "rows between `since` and `until`")
    names = [spec.time.cycle] if spec.time.cycle else []
    return (
        frame.with_columns(_context(spec))
        .drop(
            [name for name in {*_numeric_columns(spec), *names} if name not in spec.model.numeric]
        )
        .sort("decided_at", "device_id", maintain_order=True)
    )


def _found(data: Path, files: Files) -> list[Path]:
    paths = [path for pattern in files.files for path in sorted(data.glob(pattern))]
    for pattern in files.files:
        if not any(data.glob(pattern)):
            raise SpecError(
                f"no file {pattern} in {data}",
                "the files that the spec names",
                "give their folder with --data",
            )
    return paths


def _read_needed(path: Path, spec: ReplaySpec) -> pl.DataFrame:
    """The columns that the spec names, as texts; missing is null."""
    table = _read_texts(path, spec.format)
    needed = _needed(spec)
    for name in needed:
        if name not in table.columns:
            raise SpecError(
                f"no column {name!r} in {path.name}",
                strict.one_of(table.columns),
                strict.closest(name, table.columns),
            )
    return table.select(needed)


def _read_texts(path: Path, form: Format) -> pl.DataFrame:
    content = path.read_bytes()
    separator = form.separator
    if separator == "whitespace":
        content = b"\n".join(_BLANKS.sub(b" ", line.strip()) for line in content.splitlines())
        separator = " "
    names = list(form.columns)
    if not names:
        head, _, content = content.partition(b"\n")
        line = head.decode("utf-8-sig").strip()
        names = next(csv.reader([line], delimiter=separator, quotechar=form.quote), [])
        names = [form.index, *names] if form.index else names
    try:
        return pl.read_csv(
            content,
            has_header=False,
            new_columns=names,
            separator=separator,
            quote_char=form.quote,
            null_values=[form.missing] if form.missing else None,
            infer_schema=False,
            schema=dict.fromkeys(names, pl.String),
        )
    except pl.exceptions.PolarsError as error:
        raise SpecError(
            f"{path.name}, whose rows do not have {len(names)} columns",
            "rows of " + ", ".join(names),
            "name an unnamed first column in format.index, or all in format.columns",
        ) from error


def _needed(spec: ReplaySpec) -> list[str]:
    time = spec.time
    named = [
        spec.device.column,
        time.column,
        *time.parts,
        *_numeric_columns(spec),
        *spec.model.categorical,
    ]
    return list(dict.fromkeys(name for name in named if name))


def _numeric_columns(spec: ReplaySpec) -> list[str]:
    named = [
        *spec.model.numeric,
        spec.time.cycle,
        spec.label.reading.column if spec.label.reading else "",
        *(context.column for context in spec.context),
    ]
    return list(dict.fromkeys(name for name in named if name))


def _numbers(texts: pl.DataFrame, name: str) -> pl.Series:
    """A column as doubles; missing is null."""
    given = texts[name].str.strip_chars()
    numbers = given.cast(pl.Float64, strict=False)
    _refuse_unread(given, numbers, "a number, or what format.missing says")
    return numbers


def _refuse_unread(given: pl.Series, read_: pl.Series, expected: str) -> None:
    unread = given.filter(read_.is_null() & given.is_not_null())
    if len(unread):
        raise SpecError(f"{unread[0]!r} in column {given.name!r}", expected)


def _device_ids(spec: ReplaySpec, files: Files, texts: pl.DataFrame) -> pl.Series:
    device = spec.device
    if device.constant:
        return pl.Series(
            "device_id", [files.device_prefix + device.constant] * len(texts), dtype=pl.String
        )
    given = texts[device.column]
    if given.null_count():
        raise SpecError(
            f"{given.null_count()} rows without {device.column!r}", "a device in each row"
        )
    values = given.unique(maintain_order=True)
    names = {value: files.device_prefix + _device_name(device.name, value) for value in values}
    return given.replace_strict(names, return_dtype=pl.String).alias("device_id")


def _device_name(template: str, value: str) -> str:
    try:
        return template.format(int(value) if value.isdigit() else value)
    except (ValueError, IndexError, KeyError) as error:
        found = f"{template!r} as device.name for {value!r}"
        raise SpecError(found, "a template such as engine-{:03d}") from error


def _decided_at(time: Time, texts: pl.DataFrame) -> pl.Series:
    """UTC instants; null where a part is missing or where the local time does not exist."""
    if time.cycle:
        assert time.origin is not None  # noqa: S101 - Time holds it
        seconds = strict.duration(time.every, "time.every").total_seconds()
        since = (
            (_numbers(texts, time.cycle) * seconds * 1e6)
            .round()
            .cast(pl.Int64)
            .cast(pl.Duration("us"))
        )
        origin = pl.Series([time.origin]).cast(pl.Datetime("us", "UTC"))
        return (origin + since).alias("decided_at")
    if time.column:
        given = texts[time.column]
        local = given.str.to_datetime(time.format, time_unit="us", strict=False)
        _refuse_unread(given, local, f"a time as {time.format}")
    else:
        parts = {
            part: _numbers(texts, name).cast(pl.Int32)
            for part, name in zip(_PARTS, time.parts, strict=False)
        }
        local = (
            pl.DataFrame(parts).select(pl.datetime(*map(pl.col, parts), time_unit="us")).to_series()
        )
    zoned = local.dt.replace_time_zone(time.zone, ambiguous="earliest", non_existent="null")
    return zoned.dt.convert_time_zone("UTC").alias("decided_at")


def _cut(frame: pl.DataFrame, files: Files, zone: str) -> pl.DataFrame:
    day = pl.col("decided_at").dt.convert_time_zone(zone).dt.date()
    if files.since:
        frame = frame.filter(day >= files.since)
    if files.until:
        frame = frame.filter(day < files.until)
    return frame


def _context(spec: ReplaySpec) -> list[pl.Expr]:
    """Context that the data alone tells; the rest is memory.py's."""
    columns = []
    for context in spec.context:
        if context.of == "column":
            value = pl.col(context.column)
        elif context.of == "hour":
            value = (
                pl.col("decided_at").dt.convert_time_zone(spec.time.zone).dt.hour().cast(pl.Float64)
            )
        elif context.of == "device":
            value = pl.col("device_id").replace_strict(
                context.values, default=None, return_dtype=pl.Float64
            )
        elif context.of == "constant":
            value = pl.lit(context.value)
        else:
            continue
        columns.append(value.alias(CONTEXT + context.name))
    return columns
