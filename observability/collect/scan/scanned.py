"""What the scan found in a buffer of bodies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from observability.collect.scan.envelopes import Envelope
from observability.store.records import Row


@dataclass(frozen=True, slots=True)
class Scanned:
    """Arrays by span: where it lies, fields, places of known attributes, group, body, layout, and `plain`.

    `attributes` is one table for all of them, `sorted` its rows in the order of names span by span.
    `plain` is what needs no library.
    `whole` says by body whether it could be scanned; `envelopes` are by group, `layouts` by number.
    """

    buf: np.ndarray
    spans: np.ndarray
    fields: np.ndarray
    attributes: np.ndarray
    sorted: np.ndarray
    slots: np.ndarray
    group_of: np.ndarray
    body_of: np.ndarray
    envelopes: list[Envelope]
    layouts: list[Row | None]
    layout_of: np.ndarray
    plain: np.ndarray
    whole: np.ndarray
