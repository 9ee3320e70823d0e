"""Protobuf's wire format, byte by byte, as strictly as its own writers are.

What is not written in the shortest form counts as malformed here: the library reads it, and its
bytes cannot be kept as they came.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from observability.collect.scan.compiled import compiled_in_place
from observability.collect.scan.memory import compare_memory, load_integer


@compiled_in_place
def varint(buf: Any, pos: int, end: int) -> tuple[Any, Any]:
    """The 64 bits of a varint and where it ends; -1 where it is malformed."""
    value = np.int64(0)
    shift = np.int64(0)
    while pos < end and shift < 64:
        byte = np.int64(buf[pos])
        pos += 1
        value |= (byte & 127) << shift
        if byte < 128:
            if (byte == 0 and shift > 0) or (shift == 63 and byte > 1):
                break
            return value, pos
        shift += 7
    return np.int64(0), np.int64(-1)


@compiled_in_place
def content(buf: Any, pos: int, end: int) -> tuple[Any, Any]:
    """Where a length-delimited content starts and stops, from its length on; (-1, -1) where malformed."""
    length, start = varint(buf, pos, end)
    if start < 0 or length < 0 or length > end - start:
        return np.int64(-1), np.int64(-1)
    return start, start + length


@compiled_in_place
def fixed(buf: Any, pos: int, size: int) -> Any:
    """The little-endian integer of so many bytes, at most 8, as 64 bits."""
    if size == 8:
        return load_integer(buf.ctypes.data + pos)
    value = np.int64(0)
    for index in range(size):
        value |= np.int64(buf[pos + index]) << np.int64(8 * index)
    return value


@compiled_in_place
def is_text(buf: Any, start: int, stop: int) -> bool:
    """Whether the bytes are UTF-8 (RFC 3629) without a NUL."""
    pos = start
    while pos < stop:
        byte = buf[pos]
        if 0 < byte < 128:
            pos += 1
            continue
        size = _sequence(buf, pos, stop)
        if size == 0:
            return False
        pos += size
    return True


@compiled_in_place
def _sequence(buf: Any, pos: int, stop: int) -> int:
    """The length of the multi-byte character there; 0 where there is none."""
    lead = buf[pos]
    if lead < 0xC2 or lead > 0xF4:
        return 0
    size = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    if pos + size > stop:
        return 0
    for index in range(1, size):
        if buf[pos + index] & 0xC0 != 0x80:
            return 0
    second = buf[pos + 1]
    overlong = (lead == 0xE0 and second < 0xA0) or (lead == 0xF0 and second < 0x90)
    outside = (lead == 0xED and second > 0x9F) or (lead == 0xF4 and second > 0x8F)
    return 0 if overlong or outside else size


@compiled_in_place
def same(buf: Any, left: int, right: int, length: int) -> bool:
    """Whether two stretches of one buffer hold the same bytes."""
    start = buf.ctypes.data
    return compare_memory(start + left, start + right, length) == 0


@compiled_in_place
def order(buf: Any, left: int, left_length: int, right: int, right_length: int) -> int:
    """Negative, zero or positive as the left text sorts before, with or after the right."""
    start = buf.ctypes.data
    differs = compare_memory(start + left, start + right, min(left_length, right_length))
    if differs != 0:
        return differs
    return left_length - right_length


@compiled_in_place
def starts_with(buf: Any, at: int, length: int, prefix: Any) -> bool:
    """Whether a text begins with `prefix` (bytes as an array)."""
    if length < len(prefix):
        return False
    for index in range(len(prefix)):  # compiled: a loop is what is fast
        if buf[at + index] != prefix[index]:
            return False
    return True


@compiled_in_place
def one_of(buf: Any, at: int, length: int, words: Any, bounds: Any) -> int:
    """Which of the words (joined, with their bounds) the text is; -1 for none."""
    for word in range(len(bounds) - 1):
        first, stop = bounds[word], bounds[word + 1]
        if stop - first == length:
            index = 0
            while index < length and buf[at + index] == words[first + index]:
                index += 1
            if index == length:
                return word
    return -1
