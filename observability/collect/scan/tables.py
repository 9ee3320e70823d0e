"""Scanned decisions as tables of a commit: theirs, and those of the layouts and resources that they name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from observability.collect.bodies import Body, Stamp
from observability.collect.scan.columns import decision_columns
from observability.collect.scan.scanned import Scanned
from observability.collect.scan.stretches import number_array
from observability.store.records import Row
from observability.store.schema import KEYS, STAMPED, arrow_schemas, arrow_table

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RECEIVED_AT = pa.field("received_at", pa.timestamp("us", "UTC"))


def decision_tables(
    scanned: Scanned, chosen: np.ndarray, bodies: Sequence[Body], stamp: Stamp
) -> dict[str, pa.Table]:
    """The rows of the chosen spans, in the order of the spans."""
    layouts, layout_of = scanned.layouts, scanned.layout_of[chosen]
    resources = [envelope.row for envelope in scanned.envelopes]
    group_of, body_of = scanned.group_of[chosen], scanned.body_of[chosen]
    received = _microseconds(bodies)
    columns = decision_columns(scanned, chosen)
    columns["device_id"] = _spread(resources, "device_id", group_of)
    columns["resource_id"] = _spread(resources, "resource_id", group_of)
    columns["layout_id"] = _spread(layouts, "layout_id", layout_of)
    columns["origin"] = pa.repeat(pa.scalar(stamp.origin), len(chosen))
    columns["identity"] = pa.repeat(pa.scalar(stamp.identity), len(chosen))
    columns["clock_uncertainty_us"] = pa.nulls(len(chosen), pa.int64())
    columns["received_at"] = number_array(_RECEIVED_AT.type, received[body_of])
    own = [field for field in arrow_schemas()["decisions"] if field.name not in STAMPED]
    schema = pa.schema([*own, _RECEIVED_AT])
    return {
        "resources": _used("resources", resources, group_of, received[body_of]),
        "decisions": pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema),
        "layouts": _used("layouts", layouts, layout_of, received[body_of]),
    }


def _used(
    name: str, rows: Sequence[Row | None], row_of: np.ndarray, received: np.ndarray
) -> pa.Table:
    """The rows that spans name, once each, received when the first of these was."""
    kept: dict[str, tuple[Row, int]] = {}
    used, first = np.unique(row_of, return_index=True)
    for number, at in zip(used.tolist(), received[first].tolist(), strict=True):
        row = rows[number]
        if row is not None:
            kept.setdefault(row[KEYS[name][0]], (row, at))
    stamp = pa.array([at for _, at in kept.values()], _RECEIVED_AT.type)
    return arrow_table(name, [row for row, _ in kept.values()]).append_column(_RECEIVED_AT, stamp)


def _spread(rows: Sequence[Row | None], name: str, row_of: np.ndarray) -> pa.Array:
    values = pa.array([row and row[name] for row in rows], pa.utf8())
    return values.take(pa.array(row_of))


def _microseconds(bodies: Sequence[Body]) -> np.ndarray:
    """When each body was received, since 1970 UTC."""
    instants = [(body.received_at - _EPOCH) // timedelta(microseconds=1) for body in bodies]
    return np.array(instants, np.int64)
