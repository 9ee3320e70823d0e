"""What a model attended to over a fleet: its stored attributions, summed, drawn as a sample, compared.

Attributions of two specs never meet: every query is about one `Explained`. Only rows that are in order
(status ok) count; each stands for `weight` decisions. Sums name the parts by their index, as that is
several times faster than to unnest them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import duckdb
import polars as pl

from observability.store.read import Window, frame, one
from observability.store.read_decisions import Filters, bucket_width, condition
from observability.store.read_drift import Input, Rows, recorded_at
from observability.store.read_explained import Explained, asked, columns, of_model, of_spec

BUCKETS = 60
"""The most buckets that sums over time have."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How many attributions there are, of how many devices; times UTC, None of nothing.

    `left_out` are not in order, for reasons such as `left_out_why`; `decided` counts the model's
    decisions, explained or not.
    """

    attributions: int
    devices: int
    first_at: datetime | None
    last_at: datetime | None
    left_out: int
    left_out_why: str | None
    decided: int


def extent(con: duckdb.DuckDBPyConnection, of: Explained, window: Window) -> Extent:
    """How much of it lies in a window."""
    found = one(
        con,
        "SELECT count(*) FILTER (status = 'ok') AS attributions,"
        " count(DISTINCT device_id) FILTER (status = 'ok') AS devices,"
        " min(decided_at) FILTER (status = 'ok') AS first_at,"
        " max(decided_at) FILTER (status = 'ok') AS last_at,"
        " count(*) FILTER (status <> 'ok') AS left_out,"
        " mode(status) FILTER (status <> 'ok') AS left_out_why"
        f" FROM attributions WHERE {of_spec(window)}",
        asked(of, window, "spec"),
    )
    decided = one(
        con,
        f"SELECT count(*) AS decided FROM decisions WHERE {of_model(window)}",
        asked(of, window, "digest"),
    )
    return Extent(**found, **decided)


def over_time(
    con: duckdb.DuckDBPyConnection, of: Explained, window: Window, known: Extent
) -> tuple[timedelta, pl.DataFrame]:
    """The width of buckets, and a row of each that has attributions.

    bucket (its start), attributions, weight, and a0, a1, ...: the weighted sum of |phi| by input.
    """
    width = bucket_width(known.first_at, known.last_at, at_most=BUCKETS)
    sums = "".join(
        f", sum(weight * abs(phi[{n + 1}])::DOUBLE) AS a{n}" for n in range(len(of.inputs))
    )
    found = frame(
        con,
        "SELECT time_bucket(to_seconds($width_s), decided_at) AS bucket,"
        f" count(*) AS attributions, sum(weight) AS weight{sums}"
        f" FROM attributions WHERE {of_spec(window)} AND status = 'ok' GROUP BY bucket ORDER BY bucket",
        {**asked(of, window, "spec"), "width_s": width.total_seconds()},
    )
    return width, found


def drawn(
    con: duckdb.DuckDBPyConnection, of: Explained, window: Window, selection: Filters, at_most: int
) -> tuple[int, pl.DataFrame]:
    """How many attributions are selected, and at most so many of them, drawn by their weight.

    What is drawn looks like all decisions, and so do its first rows; each time it is the same.
    device_id, decision_id, decided_at, base, output, phi, and
    x0, x1, ...: the inputs as recorded.
    """
    these, given = _selected(of, window, selection)
    # Efraimidis and Spirakis: the least of -ln(u) / weight are a weighted sample without replacement.
    place = "-ln(((hash(decision_id) >> 11) + 1) / 9007199254740992.0) / weight"
    pool = f"FROM attributions {these} WHERE {of_spec(window)} AND status = 'ok'"
    selected = one(con, f"SELECT count(*) AS selected {pool}", given)["selected"]
    places, ids = recorded_at(con, of.decision_type, of.inputs)
    inputs = "".join(f", {found} AS x{n}" for n, found in enumerate(places))
    rows = frame(
        con,
        "WITH chosen AS MATERIALIZED ("
        f"SELECT device_id, decision_id, decided_at, base, output, phi, {place} AS place {pool}"
        f" ORDER BY place LIMIT $at_most), recorded AS (SELECT device_id, decision_id{inputs}"
        f" FROM decisions WHERE {of_model(window)}"
        " AND decision_id IN (SELECT decision_id FROM chosen))"
        " SELECT * EXCLUDE (place) FROM chosen JOIN recorded USING (device_id, decision_id)"
        " ORDER BY place, decision_id",
        {**given, **ids, "digest": of.model_digest, "at_most": at_most},
    )
    return selected, rows


def parts_compared(
    con: duckdb.DuckDBPyConnection, of: Explained, window: Window, selection: Filters
) -> pl.DataFrame:
    """Weighted sums of the parts, a row of the selection and one of the rest, where they have any.

    selected, attributions, weight, and by input s0, s1, ... of phi, q0, q1, ... of its square.
    """
    these, given = _selected(of, window, selection, mark=True)
    sums = "".join(
        f", sum(weight * phi[{n}]::DOUBLE) AS s{n - 1},"
        f" sum(weight * phi[{n}]::DOUBLE * phi[{n}]) AS q{n - 1}"
        for n in range(1, len(of.inputs) + 1)
    )
    return frame(
        con,
        "SELECT coalesce(selected, false) AS selected, count(*) AS attributions,"
        f" sum(weight) AS weight{sums} FROM attributions {these}"
        f" WHERE {of_spec(window)} AND status = 'ok' GROUP BY ALL ORDER BY selected",
        given,
    )


def inputs_compared(
    con: duckdb.DuckDBPyConnection, of: Explained, window: Window, selection: Filters
) -> pl.DataFrame:
    """Means and variances of what the model's decisions recorded, of the selection and of the rest.

    All of its decisions count, explained or not. selected, decisions, and by column of `columns` its
    n0, m0, v0, ...: recorded values, their mean and variance.
    """
    places, ids = recorded_at(con, of.decision_type, of.inputs)
    names: dict[str, str] = {}
    values = []
    for n, (number, level) in enumerate(columns(of)):
        if level is None:
            values.append(f"CASE WHEN isfinite({places[number]}) THEN {places[number]} END AS x{n}")
        else:
            names[f"level{n}"] = level
            values.append(f"({places[number]} = $level{n})::INTEGER::DOUBLE AS x{n}")
    recorded = "".join(f", {value}" for value in values)
    sums = "".join(
        f", count(x{n}) AS n{n}, avg(x{n}) AS m{n}, var_pop(x{n}) AS v{n}"
        for n in range(len(values))
    )
    narrowed = _narrowed(of, selection)
    return frame(
        con,
        f"SELECT selected, count(*) AS decisions{sums} FROM ("
        f"SELECT coalesce({condition(narrowed)}, false) AS selected{recorded}"
        f" FROM decisions WHERE {of_model(window)}) GROUP BY selected ORDER BY selected",
        {
            **asked(of, window, "digest"),
            **narrowed.parameters(),
            **ids,
            **names,
        },
    )


def mean_parts(
    con: duckdb.DuckDBPyConnection, of: Explained, window: Window, device: str | None = None
) -> dict[str, Any]:
    """Weighted means over a window, of the fleet or of a device: attributions (how many), base, output, phi.

    phi is a list by input; all means are None where there is nothing.
    """
    means = ", ".join(f"sum(weight * phi[{n}]::DOUBLE) / sum(weight)" for n in _places(of))
    return one(
        con,
        "SELECT count(*) AS attributions, sum(weight * base) / sum(weight) AS base,"
        f" sum(weight * output) / sum(weight) AS output, [{means}] AS phi FROM attributions"
        f" WHERE {of_spec(window)} AND status = 'ok' AND ($device IS NULL OR device_id = $device)",
        {**asked(of, window, "spec"), "device": device},
    )


def as_rows(of: Explained, window: Window) -> Rows:
    """Attributions as rows that can be counted: for each input its phi, as if a device recorded that."""
    values = "".join(f", phi[{n}]::DOUBLE AS x{n - 1}" for n in _places(of))
    return Rows(
        "SELECT device_id, decided_at, NULL::VARCHAR AS model, NULL::TIMESTAMPTZ AS received_at"
        f"{values} FROM attributions WHERE {of_spec(window)} AND status = 'ok'",
        asked(of, window, "spec"),
        tuple(Input(each.name) for each in of.inputs),
    )


def _places(of: Explained) -> range:
    return range(1, len(of.inputs) + 1)


def _selected(
    of: Explained, window: Window, selection: Filters, *, mark: bool = False
) -> tuple[str, Mapping[str, Any]]:
    """What joins the selected decisions to attributions; nothing where nothing narrows them.

    With `mark`, the others stay, `selected` being NULL in their rows.
    """
    if not (mark or selection.narrows or selection.window != Window()):
        return "", asked(of, window, "spec")
    narrowed = _narrowed(of, selection)
    these = (
        f"{'LEFT' if mark else ''} JOIN (SELECT device_id, decision_id, true AS selected"
        f" FROM decisions WHERE {of_model(window)} AND {condition(narrowed)})"
        " USING (device_id, decision_id)"
    )
    return these, {**asked(of, window, "spec", "digest"), **narrowed.parameters()}


def _narrowed(of: Explained, selection: Filters) -> Filters:
    """A selection lies within one decision type and one model: their filters ask nothing more."""
    return replace(selection, type=of.decision_type, model=None)
