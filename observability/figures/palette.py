"""The colours of verdicts, each with its own shape and word elsewhere: colour never speaks alone.

Blocked is a gate at work, so no verdict is red.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Palette:
    """One colour for each disposition, as CSS colours, and for what surrounds the marks."""

    executed: str
    modified: str
    blocked: str
    deferred: str
    unknown: str

    def of(self, disposition: str) -> str:
        """The colour of a disposition; that of `unknown` for a word that is none."""
        known = ("executed", "modified", "blocked", "deferred")
        return getattr(self, disposition) if disposition in known else self.unknown


LIGHT = Palette("#0072B2", "#B87A00", "#C44900", "#7A8F2E", "#8A939D")
DARK = Palette("#56B4E9", "#E69F00", "#FF7F50", "#B5C96A", "#8F9AA6")
