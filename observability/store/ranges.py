"""Sets of sequence numbers as ranges: what arrived, what is missing, what two of them share."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

Range = tuple[int, int]
"""From and to, both included."""
Ranges = tuple[Range, ...]
"""In order, apart from each other by at least one number."""


def joined(*parts: Iterable[Range]) -> Ranges:
    """The numbers that are in any of the parts, whatever their order and overlap.

    >>> joined([(5, 7), (0, 2)], [(3, 3), (6, 9)])
    ((0, 3), (5, 9))
    """
    found: list[Range] = []
    for low, high in sorted(one for part in parts for one in part):
        if found and low <= found[-1][1] + 1:
            if high > found[-1][1]:
                found[-1] = (found[-1][0], high)
        else:
            found.append((low, high))
    return tuple(found)


def without(ranges: Iterable[Range], taken: Iterable[Range]) -> Ranges:
    """The numbers of `ranges` that are not among `taken`; both in order.

    >>> without([(0, 9)], [(3, 4), (8, 12)])
    ((0, 2), (5, 7))
    """
    taken = list(taken)
    found: list[Range] = []
    place = 0
    for first, last in ranges:
        low = first
        while place < len(taken) and taken[place][1] < low:
            place += 1
        for start, end in itertools.islice(taken, place, None):
            if start > last or low > last:
                break
            if start > low:
                found.append((low, start - 1))
            low = max(low, end + 1)
        if low <= last:
            found.append((low, last))
    return tuple(found)


def shared(ranges: Iterable[Range], other: Iterable[Range]) -> Ranges:
    """The numbers that are in both; both in order.

    >>> shared([(0, 9)], [(3, 4), (8, 12)])
    ((3, 4), (8, 9))
    """
    ranges = tuple(ranges)
    return without(ranges, without(ranges, other))


def missing(ranges: Ranges) -> Ranges:
    """The numbers from 0 up to the last that are in none.

    >>> missing(((2, 3), (7, 9)))
    ((0, 1), (4, 6))
    """
    return without([(0, ranges[-1][1])], ranges) if ranges else ()


def size(ranges: Iterable[Range]) -> int:
    """How many numbers.

    >>> size([(0, 1), (7, 7)])
    3
    """
    return sum(high - low + 1 for low, high in ranges)
