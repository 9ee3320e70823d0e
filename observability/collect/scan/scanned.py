"""What the scan found in a buffer of bodies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from observability.collect.scan.envelopes import Envelope


@dataclass(frozen=True, slots=True)
class Scanned:
    """Arrays by span: where it lies, fields, places of known attributes, group, body, whether it is `plain`.

    `attributes` is one table for all of them, `sorted` its rows in the order of names span by span.
    `whole` says by body whether it could be scanned; `envelopes` are by group.
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
    plain: np.ndarray
    whole: np.ndarray
