"""Universal Binary JSON, read: the form in which XGBoost saves models. Owns the format (ubjson.org)."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

_NUMBERS = {
    b"i": ">i1", b"U": ">u1", b"I": ">i2", b"u": ">u2", b"l": ">i4", b"m": ">u4", b"L": ">i8",
    b"M": ">u8", b"d": ">f4", b"D": ">f8",
}  # fmt: skip
_CONSTANTS = {b"Z": None, b"T": True, b"F": False}
_DEEPEST = 64


def parse(content: bytes) -> Any:
    r"""The value that the bytes hold; typed arrays of numbers as numpy arrays. Raises ValueError.

    >>> parse(b"{i\x01a[$U#i\x02\x07\x08i\x01bT}")["a"].tolist()
    [7, 8]
    """
    reader = _Reader(content)
    try:
        value = reader.value(reader.take(1), 0)
    except (struct.error, UnicodeDecodeError, KeyError) as error:
        raise ValueError(f"broken at byte {reader.at}") from error
    if content[reader.at :].strip(b"N\x00\n"):
        raise ValueError(f"more after byte {reader.at}")
    return value


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def take(self, count: int) -> bytes:
        taken = self.content[self.at : self.at + count]
        if count < 0 or len(taken) != count:
            raise ValueError(f"cut short at byte {self.at}")
        self.at += count
        return taken

    def marker(self) -> bytes:
        found = self.take(1)
        while found == b"N":
            found = self.take(1)
        return found

    def peeked(self, expected: bytes) -> bool:
        """Whether the next marker is this one, which is then read over."""
        found = self.content[self.at : self.at + 1] == expected
        self.at += found
        return found

    def numbers(self, marker: bytes, count: int) -> np.ndarray:
        type_ = np.dtype(_NUMBERS[marker])
        return np.frombuffer(self.take(count * type_.itemsize), type_)

    def length(self) -> int:
        return int(self.numbers(self.marker(), 1)[0])

    def text(self) -> str:
        return self.take(self.length()).decode("utf-8")

    def value(self, marker: bytes, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError("nested too deep")
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        if marker in _NUMBERS:
            return self.numbers(marker, 1)[0].item()
        if marker == b"C":
            return self.take(1).decode("utf-8")
        if marker in (b"S", b"H"):
            return self.text()
        if marker == b"[":
            return self.array(depth + 1)
        if marker == b"{":
            return self.mapping(depth + 1)
        raise ValueError(f"an unknown marker {marker!r} at byte {self.at}")

    def head(self) -> tuple[bytes | None, int | None]:
        """The type and the count of a container, where it states them."""
        type_ = self.take(1) if self.peeked(b"$") else None
        return type_, self.length() if self.peeked(b"#") else None

    def array(self, depth: int) -> Any:
        type_, count = self.head()
        if type_ in _NUMBERS and count is not None:
            return self.numbers(type_, count)
        values = []
        while len(values) != count:
            marker = type_ or self.marker()
            if count is None and marker == b"]":
                break
            values.append(self.value(marker, depth))
        return values

    def mapping(self, depth: int) -> dict[str, Any]:
        type_, count = self.head()
        found: dict[str, Any] = {}
        while len(found) != count:
            if count is None and self.peeked(b"}"):
                break
            key = self.text()
            found[key] = self.value(type_ or self.marker(), depth)
        return found
