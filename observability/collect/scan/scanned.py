"""What the scan found in a buffer of bodies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from observability.store.records import Row


@dataclass(frozen=True, slots=True)
class Scanned:
    """Arrays by span: fields, places of known attributes, group, body, and whether it is `plain`.

    `attributes` is one table for all of them, `sorted` its rows in the order of names span by span.
    `whole` says by body whether it could be scanned; `resources` are by group, None where refused.
    """

    buf: np.ndarray
    fields: np.ndarray
    attributes: np.ndarray
    sorted: np.ndarray
    slots: np.ndarray
    group_of: np.ndarray
    body_of: np.ndarray
    resources: list[Row | None]
    plain: np.ndarray
    whole: np.ndarray
