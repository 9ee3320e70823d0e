"""Values as a span can carry them: nothing that a device hands over is lost for its Python type.

The SDK turns NumPy's numbers into text, and exporters drop an attribute with an integer over 64
bits or a text that is no Unicode.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from traces.decision import Scalar

_INT64 = 2**63
_AS_IT_IS = {float, bool, bytes, type(None)}


def carried(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes that the SDK and its exporters take as they are."""
    return {text(name): _value(value) for name, value in attributes.items()}


def scalar(value: Any) -> Scalar:
    """NumPy scalars become Python's; what is no scalar becomes its text. Never raises.

    >>> scalar(2**70), scalar(None)
    ('1180591620717411303424', 'None')
    """
    if isinstance(value, str):
        return text(value)
    with contextlib.suppress(Exception):
        value = value.item() if hasattr(value, "item") else value
    try:
        if isinstance(value, bool | float):
            return value
        if isinstance(value, int) and -_INT64 <= value < _INT64:
            return int(value)
        return text(str(value))
    except Exception:
        return f"<{type(value).__name__}>"


def _value(value: Any) -> Any:
    kind = type(value)
    if kind in _AS_IT_IS or (kind is str and value.isascii()):
        return value
    if isinstance(value, list | tuple):
        kinds = set(map(type, value))
        if kinds == {float} or (kinds == {str} and "".join(value).isascii()):
            return value
        return [_value(item) for item in value]
    if isinstance(value, Mapping):
        return {text(str(name)): _value(item) for name, item in value.items()}
    return scalar(value)


def text(given: str) -> str:
    """Lone surrogates, as undecodable file names have them, become escapes."""
    return given if given.isascii() else given.encode("utf-8", "backslashreplace").decode()
