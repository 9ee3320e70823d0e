"""Seeded randomness that can be entered at any block of time.

The invariant: a number depends on its path (seed, purpose, block) alone, never on what was drawn
before, so that a live fleet continues exactly where its history ended.
"""

from __future__ import annotations

import numpy as np

SLOTS = 96  # slots of 15 minutes in a block of one day
_WARM_UP_BLOCKS = 2
_NO_NEGATIVES = 1 << 20  # warm-up blocks lie before block 0, and entropy takes no negative number

DEVICES, SENSORS, EPISODES, JITTER, PEOPLE, OUTCOMES, IDS, DELIVERY, TRAINING = range(9)


def draw(*path: int) -> np.random.Generator:
    """The generator of a path."""
    entropy = np.random.SeedSequence([part + _NO_NEGATIVES for part in path])
    return np.random.Generator(np.random.PCG64(entropy))


def autocorrelated(path: tuple[int, ...], block: int, phi: np.ndarray) -> np.ndarray:
    """AR(1) series of unit variance, shape `(SLOTS, n_channels)`, for one block.

    `phi` has shape `(n_channels,)`. Starting two blocks early forgets the start to 2 % of a standard
    deviation at phi = 0.98, so neighbouring blocks join.
    """
    scale = np.sqrt(1.0 - phi**2)
    state = np.zeros_like(phi)
    series = np.empty((SLOTS, phi.size))
    for number in range(block - _WARM_UP_BLOCKS, block + 1):
        white = draw(*path, number).standard_normal((SLOTS, phi.size)) * scale
        for slot in range(SLOTS):
            state = phi * state + white[slot]
            if number == block:
                series[slot] = state
    return series
