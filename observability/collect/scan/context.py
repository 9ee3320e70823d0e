"""The context column: names and values as text, in the order in which they came."""

from __future__ import annotations

import functools
import struct
from typing import Any

import numpy as np
import pyarrow as pa

from observability.collect.scan import names
from observability.collect.scan.attributes import (
    AFTER,
    KEY,
    KEY_LENGTH,
    KIND,
    LENGTH,
    NAME_ID,
    VALUE,
)
from observability.collect.scan.compiled import compiled
from observability.collect.scan.spans import FIRST, LAST
from observability.collect.scan.stretches import text_array
from observability.collect.scan.wire import fixed, varint
from observability.store.records import as_text

NAME, NAME_BYTES, TEXT, TEXT_BYTES, VALUE_KIND = range(5)
_REMEMBERED = 1 << 16


def context_array(
    kind: pa.MapType, buf: np.ndarray, fields: Any, attributes: Any, chosen: Any
) -> pa.Array:
    """The context of the chosen spans."""
    bounds, entries, bits = _entries(buf, fields, attributes, chosen)
    spelt = np.flatnonzero(entries[:, VALUE_KIND] != names.TEXT)
    values = text_array(buf, entries[:, TEXT], entries[:, TEXT_BYTES])
    if len(spelt):
        kinds = entries[spelt, VALUE_KIND].tolist()
        texts = pa.array(map(_spelt, kinds, bits[spelt].tolist()), pa.utf8())
        place = np.arange(len(entries))
        place[spelt] = len(entries) + np.arange(len(spelt))
        values = pa.concat_arrays([values, texts]).take(pa.array(place))
    keys = text_array(buf, entries[:, NAME], entries[:, NAME_BYTES])
    offsets = pa.Array.from_buffers(pa.int32(), len(bounds), [None, pa.py_buffer(bounds)])
    return pa.MapArray.from_arrays(offsets, keys, values, type=kind)


@functools.lru_cache(_REMEMBERED)
def _spelt(kind: int, bits: int) -> str:
    """A value that is no text as `records` spells it."""
    if kind == names.FLAG:
        return as_text(bool(bits))
    if kind == names.INTEGER:
        return as_text(bits)
    return as_text(struct.unpack("<d", struct.pack("<q", bits))[0])


@compiled
def _entries(buf: Any, fields: Any, attributes: Any, chosen: Any) -> tuple[Any, Any, Any]:
    """Bounds of each span's entries; where name and text lie and the kind of value; the value's bits."""
    bounds = np.zeros(len(chosen) + 1, np.int32)
    entries = np.zeros((len(attributes), 5), np.int32)
    bits = np.zeros(len(attributes), np.int64)
    at = 0
    for number in range(len(chosen)):
        for place in range(fields[chosen[number], FIRST], fields[chosen[number], LAST]):
            row = attributes[place]
            if row[NAME_ID] == names.CONTEXT or row[NAME_ID] == names.REUSED:
                skip = len(names.CONTEXT_MARK) if row[NAME_ID] == names.CONTEXT else 0
                entry = entries[at]
                entry[NAME], entry[NAME_BYTES] = row[KEY] + skip, row[KEY_LENGTH] - skip
                entry[VALUE_KIND] = row[KIND]
                if row[KIND] == names.TEXT:
                    entry[TEXT], entry[TEXT_BYTES] = row[VALUE], row[LENGTH]
                elif row[KIND] == names.DOUBLE:
                    bits[at] = fixed(buf, row[VALUE], 8)
                else:
                    bits[at] = varint(buf, row[VALUE], row[AFTER])[0]
                at += 1
        bounds[number + 1] = at
    return bounds, entries[:at], bits[:at]
