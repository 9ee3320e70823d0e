"""The attribute names that a decision's columns come from, as numbers and as bytes to compare with.

The names are the codec's; this file only numbers them.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from traces import codec
from traces.conventions import CONTEXT_PREFIX, INPUT_PREFIX, REUSED_CONTEXT
from traces.decision import DISPOSITIONS, GATE_KINDS, VERDICTS

_TEXTS = (
    codec.TYPE, codec.MODEL_NAME, codec.MODEL_VERSION, codec.MODEL_DIGEST, codec.ACTION,
    codec.DISPOSITION, codec.RECOMMENDED, codec.CHAIN_ID, codec.CHAIN_PREV, codec.BOOT_ID,
)  # fmt: skip
_NUMBERS = (codec.SCORE, codec.THRESHOLD, codec.PASS_PROBABILITY)
_TEXT_LISTS = (
    codec.INPUT_NAMES, codec.CATEGORICAL_NAMES, codec.CATEGORICAL_VALUES,
    *codec.GATE_TEXTS.values(),
)  # fmt: skip
_NUMBER_LISTS = (codec.INPUT_VALUES, *codec.GATE_NUMBERS.values())
_INTEGERS = (codec.CHAIN_SEQ, codec.MONOTONIC_NS)
_FLAGS = (codec.EXPLORATION, codec.SYNCED)

KNOWN = (*_TEXTS, *_NUMBERS, *_TEXT_LISTS, *_NUMBER_LISTS, *_INTEGERS, *_FLAGS)
CONTEXT, REUSED, EXTRA = len(KNOWN), len(KNOWN) + 1, len(KNOWN) + 2
"""Ids of names that are not known: a context value's, with and without prefix, and any other."""

TEXT, FLAG, INTEGER, DOUBLE, TEXT_LIST, NUMBER_LIST = range(1, 7)
"""Kinds of values. A number may be an INTEGER too."""

ID = {name: number for number, name in enumerate(KNOWN)}
(
    TYPE, MODEL_NAME, MODEL_VERSION, MODEL_DIGEST, ACTION,
    DISPOSITION, RECOMMENDED, CHAIN_ID, CHAIN_PREV, BOOT_ID,
) = (ID[name] for name in _TEXTS)  # fmt: skip
SCORE, THRESHOLD, PASS_PROBABILITY = (ID[name] for name in _NUMBERS)
INPUT_NAMES, CATEGORICAL_NAMES, CATEGORICAL_VALUES, *_ = (ID[name] for name in _TEXT_LISTS)
INPUT_VALUES = ID[codec.INPUT_VALUES]
CHAIN_SEQ, MONOTONIC_NS = (ID[name] for name in _INTEGERS)
SYNCED = ID[codec.SYNCED]
FIRST_GATE, LAST_GATE_TEXT = ID[codec.GATE_TEXTS["name"]], ID[codec.GATE_TEXTS["operator"]]
KINDS, GATE_VERDICTS = ID[codec.GATE_TEXTS["kind"]], ID[codec.GATE_TEXTS["verdict"]]
LIMITS, OBSERVED = ID[codec.GATE_NUMBERS["limit"]], ID[codec.GATE_NUMBERS["observed"]]
REQUIRED = DISPOSITION + 1
"""The names before it are required."""

KIND_OF = np.array(
    [TEXT] * len(_TEXTS)
    + [DOUBLE] * len(_NUMBERS)
    + [TEXT_LIST] * len(_TEXT_LISTS)
    + [NUMBER_LIST] * len(_NUMBER_LISTS)
    + [INTEGER] * len(_INTEGERS)
    + [FLAG] * len(_FLAGS),
    np.uint8,
)
"""The kind that a known name's value must have."""

IN_COLUMNS = np.zeros(len(KNOWN), np.bool_)
IN_COLUMNS[
    [
        number
        for name, number in ID.items()
        if number not in (BOOT_ID, PASS_PROBABILITY, MONOTONIC_NS, SYNCED, ID[codec.EXPLORATION])
    ]
] = True
"""The known names whose values the columns reproduce; the others stay in `rest`."""


def _array(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8).copy()


def _joined(words: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    """Words as one array of bytes, and their bounds in it."""
    encoded = [word.encode() for word in words]
    bounds = np.cumsum([0, *map(len, encoded)]).astype(np.int32)
    return np.frombuffer(b"".join(encoded), np.uint8).copy(), bounds


NAMES, NAME_BOUNDS = _joined(KNOWN)
DISPOSITION_WORDS, DISPOSITION_BOUNDS = _joined(DISPOSITIONS)
KIND_WORDS, KIND_BOUNDS = _joined(GATE_KINDS)
VERDICT_WORDS, VERDICT_BOUNDS = _joined(VERDICTS)
CONTEXT_MARK = _array(CONTEXT_PREFIX)
INPUT_MARK = _array(INPUT_PREFIX.removesuffix("."))
CHAIN_MARK = _array("decision.chain.")
REUSED_A, REUSED_B, REUSED_C = map(_array, REUSED_CONTEXT)
