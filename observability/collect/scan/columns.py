"""The rows of `decisions` for scanned spans, as Arrow columns of the table's own form."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

import numpy as np
import pyarrow as pa

from observability.collect.scan import names
from observability.collect.scan.attributes import LENGTH, VALUE
from observability.collect.scan.canonical import digested, rests
from observability.collect.scan.compiled import compiled
from observability.collect.scan.context import context_array
from observability.collect.scan.scanned import Scanned
from observability.collect.scan.spans import ENDED, SPAN, STARTED, TRACE
from observability.collect.scan.stretches import (
    from_bounds,
    gathered,
    integers,
    list_array,
    list_bounds,
    number_array,
    number_items,
    numbers,
    text_array,
    text_items,
)
from observability.store.schema import arrow_schemas
from traces import codec

_TEXTS = {
    "decision_type": names.TYPE,
    "model_name": names.MODEL_NAME,
    "model_version": names.MODEL_VERSION,
    "model_digest": names.MODEL_DIGEST,
    "recommendation": names.RECOMMENDED,
    "action": names.ACTION,
    "disposition": names.DISPOSITION,
    "chain_id": names.CHAIN_ID,
}
_NUMBERS = {"score": names.SCORE, "threshold": names.THRESHOLD}
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8).copy()


def decision_columns(scanned: Scanned, chosen: np.ndarray) -> dict[str, pa.Array]:
    """The columns of the chosen spans that the spans themselves state."""
    buf, attributes = scanned.buf, scanned.attributes
    fields, slots = scanned.fields[chosen], scanned.slots[chosen]
    types = {field.name: field.type for field in arrow_schemas()["decisions"]}
    columns: dict[str, pa.Array] = {}
    for name, known in _TEXTS.items():
        places = slots[:, known]
        rows = attributes[places]
        given = places > 0
        columns[name] = text_array(buf, rows[:, VALUE], np.where(given, rows[:, LENGTH], 0), given)
    for name, known in _NUMBERS.items():
        places = np.ascontiguousarray(slots[:, known])
        columns[name] = number_array(pa.float64(), numbers(buf, attributes, places), places > 0)
    started, ended = fields[:, STARTED], fields[:, ENDED]
    columns["start_unix_nano"] = number_array(pa.int64(), started)
    columns["end_unix_nano"] = number_array(pa.int64(), ended)
    columns["decided_at"] = number_array(types["decided_at"], ended // 1000)
    columns["decision_id"] = _fixed_width(
        pa.utf8(), _keys(buf, np.ascontiguousarray(fields[:, [TRACE, SPAN]])), 49
    )
    columns["inputs"] = _number_lists(scanned, types["inputs"], slots[:, names.INPUT_VALUES])
    columns["categoricals"] = _text_lists(
        scanned, types["categoricals"], slots[:, names.CATEGORICAL_VALUES]
    )
    columns["gates"] = _gates(scanned, types["gates"], slots)
    columns["context"] = context_array(types["context"], buf, scanned.fields, attributes, chosen)
    columns |= _chain(scanned, slots)
    columns["digest"] = _digests(scanned, chosen)
    bounds, rest = rests(buf, scanned.fields, attributes, chosen)[::-1]
    columns["rest"] = from_bounds(pa.binary(), bounds, rest)
    return columns


def _digests(scanned: Scanned, chosen: np.ndarray) -> pa.Array:
    covered, bounds = digested(
        scanned.buf, scanned.fields, scanned.attributes, scanned.sorted, chosen
    )
    view, ends = memoryview(covered), bounds.tolist()
    sha256 = hashlib.sha256
    digests = b"".join(
        [sha256(view[start:end]).digest() for start, end in itertools.pairwise(ends)]
    )
    return _fixed_width(pa.binary(), np.frombuffer(digests, np.uint8), 32)


def _chain(scanned: Scanned, slots: np.ndarray) -> dict[str, pa.Array]:
    """The place in the chain; `chain_id` is one of the texts."""
    places = np.ascontiguousarray(slots[:, names.CHAIN_SEQ])
    given = places > 0
    rows = scanned.attributes[slots[:, names.CHAIN_PREV]]
    digits = gathered(scanned.buf, rows[:, VALUE], np.where(given, rows[:, LENGTH], 0))[1]
    prev = np.frombuffer(bytes.fromhex(digits.tobytes().decode()), np.uint8)
    bounds = np.concatenate([[0], np.cumsum(given) * 32])
    return {
        "seq": number_array(pa.int64(), integers(scanned.buf, scanned.attributes, places), given),
        "prev": from_bounds(pa.binary(), bounds, prev, given),
    }


def _gates(scanned: Scanned, kind: pa.ListType, slots: np.ndarray) -> pa.Array:
    children = []
    for field in kind.value_type:
        if field.name in codec.GATE_TEXTS:
            places = slots[:, names.ID[codec.GATE_TEXTS[field.name]]]
            children.append(_text_lists(scanned, pa.list_(pa.utf8()), places).values)
        else:
            places = slots[:, names.ID[codec.GATE_NUMBERS[field.name]]]
            children.append(_number_lists(scanned, pa.list_(pa.float64()), places).values)
    gates = pa.StructArray.from_arrays(children, fields=list(kind.value_type))
    places = np.ascontiguousarray(slots[:, names.FIRST_GATE])
    return list_array(kind, list_bounds(scanned.attributes, places), gates)


def _number_lists(scanned: Scanned, kind: pa.ListType, places: np.ndarray) -> pa.Array:
    places = np.ascontiguousarray(places)
    bounds = list_bounds(scanned.attributes, places)
    items = number_items(scanned.buf, scanned.attributes, places, bounds[-1])
    return list_array(kind, bounds, number_array(pa.float64(), items))


def _text_lists(scanned: Scanned, kind: pa.ListType, places: np.ndarray) -> pa.Array:
    places = np.ascontiguousarray(places)
    bounds = list_bounds(scanned.attributes, places)
    starts, lengths = text_items(scanned.buf, scanned.attributes, places, bounds[-1])
    return list_array(kind, bounds, text_array(scanned.buf, starts, lengths))


def _fixed_width(kind: pa.DataType, data: np.ndarray, width: int) -> pa.Array:
    return from_bounds(kind, np.arange(0, len(data) + 1, width), data)


@compiled
def _keys(buf: Any, places: Any) -> Any:
    """Trace and span ids as `<32 hex>-<16 hex>`, one behind the other."""
    out = np.empty(len(places) * 49, np.uint8)
    for index in range(len(places)):
        at = index * 49
        for byte in range(16):
            out[at + 2 * byte] = _HEX[buf[places[index, 0] + byte] >> 4]
            out[at + 2 * byte + 1] = _HEX[buf[places[index, 0] + byte] & 15]
        out[at + 32] = 0x2D
        for byte in range(8):
            out[at + 33 + 2 * byte] = _HEX[buf[places[index, 1] + byte] >> 4]
            out[at + 34 + 2 * byte] = _HEX[buf[places[index, 1] + byte] & 15]
    return out
