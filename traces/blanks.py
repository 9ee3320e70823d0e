"""Bytes with blanks: constant bytes, and places where numbers and whole parts are filled in.

All constants and numbers are packed by one call, however many they are, and cut where the parts go.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

_DOUBLE = 8


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of an attribute that is encoded each time: which of them."""

    number: int


Part = bytes | int | Slot
"""Constant bytes, the place of a number (which of them), or a slot."""


@dataclass(frozen=True, slots=True)
class Blanks:
    """One packing of numbers and constants in some order, cut where the slots are."""

    pack: Callable[..., bytes]
    ordered: Callable[[Any], tuple[Any, ...]]
    constants: tuple[bytes, ...]
    cuts: tuple[tuple[slice, int], ...]
    rest: slice

    def filled(self, numbers: Sequence[float], slots: Sequence[bytes]) -> bytes:
        """The bytes with these numbers and slots."""
        packed = self.pack(*self.ordered((*numbers, *self.constants)))
        if not self.cuts:
            return packed
        out = []
        for before, number in self.cuts:
            out.append(packed[before])
            out.append(slots[number])
        out.append(packed[self.rest])
        return b"".join(out)


def blanks(order: str, parts: Sequence[Part], count: int) -> Blanks:
    """Parts to fill with `count` numbers in that byte order, as `struct` writes it."""
    constants: list[bytes] = []
    places: list[int] = []
    cuts: list[tuple[slice, int]] = []
    format_, size, cut = order, 0, 0
    for kind, group in itertools.groupby(parts, key=type):
        for part in [b"".join(group)] if kind is bytes else group:  # pyright: ignore[reportArgumentType]
            if isinstance(part, Slot):
                cuts.append((slice(cut, size), part.number))
                cut = size
            elif isinstance(part, bytes):
                format_ += f"{len(part)}s"
                size += len(part)
                places.append(count + len(constants))
                constants.append(part)
            else:
                format_ += "d"
                size += _DOUBLE
                places.append(part)
    pack = struct.Struct(format_).pack
    return Blanks(pack, getter(places), tuple(constants), tuple(cuts), slice(cut, None))


def around(encoded: bytes, numbers: range | None, mark: int) -> list[Part]:
    """An attribute with places for its numbers, each a double after `mark` constant bytes."""
    if numbers is None:
        return [encoded]
    begin = len(encoded) - len(numbers) * (mark + _DOUBLE)
    parts: list[Part] = [encoded[:begin]]
    for number in numbers:
        parts += [encoded[begin : begin + mark], number] if mark else [number]
    return parts


def getter(keys: Sequence[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """What takes these keys off a mapping or a sequence, as a tuple."""
    if len(keys) > 1:
        return itemgetter(*keys)
    if not keys:
        return lambda _: ()
    (key,) = keys
    return lambda of: (of[key],)
