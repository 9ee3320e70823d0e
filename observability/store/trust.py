"""Which keys of a device are trusted: pinned on first use, and handed on by the key before.

A key is named by the SHA-256 of its public half, in hex. Nothing here knows who a device really is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from traces.checkpoint import UNSIGNED, Checkpoint

Place = tuple[str, int]
"""A chain and a number in it."""
Finding = Literal["good", "unsigned", "bad signature", "stranger"]


@dataclass(frozen=True, slots=True)
class Keys:
    """The key that signs now, and the earlier ones, each with the checkpoint that handed on from it."""

    current: str = ""
    retired: Mapping[str, Place] = field(default_factory=dict)


def judge(keys: Keys, checkpoint: Checkpoint, place: Place, *, seen: bool) -> Finding:
    """What to hold of a checkpoint at a place; `seen`: its chain had a verified one before.

    A retired key vouches for what it had signed: its own chain up to the handing on, and chains before.
    """
    if checkpoint.fault == UNSIGNED:
        return "unsigned"
    if checkpoint.fault:
        return "bad signature"
    if keys.current in ("", checkpoint.key_id):
        return "good"
    retired = keys.retired.get(checkpoint.key_id)
    if retired is None:
        return "stranger"
    before = place[1] <= retired[1] if place[0] == retired[0] else seen
    return "good" if before else "stranger"


def pinned(keys: Keys, checkpoint: Checkpoint) -> Keys:
    """The keys with this checkpoint's as the first one, where there was none."""
    return keys if keys.current else replace(keys, current=checkpoint.key_id)


def handed_on(keys: Keys, checkpoint: Checkpoint, place: Place) -> Keys:
    """The keys once the current one's checkpoint names the next."""
    if not checkpoint.next_key_id or checkpoint.key_id != keys.current:
        return keys
    return Keys(checkpoint.next_key_id, {**keys.retired, keys.current: place})
