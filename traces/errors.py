"""Every error that Whence raises on purpose.

WhenceError
├── WrongUse          a command or call with an argument that cannot be meant
├── InvalidSpan       a span that claims to be a decision or an outcome and is not
├── InvalidPayload    a body that is not the OTLP message it claims to be
├── TraceFileError    a file that is not OTLP JSON lines
├── StoreError        a folder that is no store, a newer store, a store in use
├── ModelError        an artifact that cannot be registered or run
├── SpoolError        a spool in use, full, unwritable, or of another key
├── KeyFileError      a device's key that is missing, there already, or no key
└── SpecError         a replay spec that does not fit its data
"""

from __future__ import annotations


class WhenceError(Exception):
    """What was found, what was expected, and a hint: one line for the person who has to act."""

    def __init__(self, found: str, expected: str = "", hint: str = "") -> None:
        self.found = found
        self.expected = expected
        self.hint = hint
        parts = [
            f"found {found}",
            f"expected {expected}" if expected else "",
            f"hint: {hint}" if hint else "",
        ]
        super().__init__("; ".join(part for part in parts if part))


class WrongUse(WhenceError):
    """An argument that cannot be meant."""


class InvalidSpan(WhenceError):
    """A span that claims to be a decision or an outcome and is not."""


class InvalidPayload(WhenceError):
    """A body that is not the OTLP message it claims to be."""


class TraceFileError(WhenceError):
    """A file that is not OTLP JSON lines."""


class StoreError(WhenceError):
    """A folder that is no store, a store of a newer version, or one in use."""


class ModelError(WhenceError):
    """A model artifact that cannot be registered or run."""


class SpoolError(WhenceError):
    """A device's spool that is in use, full, unwritable, or of another key."""


class KeyFileError(WhenceError):
    """A device's key that is missing, there already, or no key."""


class SpecError(WhenceError):
    """A replay spec that does not fit its data."""


def first_line(error: Exception) -> str:
    r"""What an error of another library says, without the drawing below it.

    >>> first_line(ValueError("no table x\nLINE 1: ..."))
    'no table x'
    """
    return (str(error).splitlines() or [type(error).__name__])[0]
