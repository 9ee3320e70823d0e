"""A span's attributes as wire bytes and as canonical content, from what stays the same between spans.

Spans of one decision type differ in numbers and in few texts. A template holds all the rest, encoded
and in both orders, so that a device encodes a decision by packing its numbers. What fits no template is
encoded attribute by attribute. Both ways give the bytes of wire.py and chain.py, which alone define them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from traces.blanks import Blanks, Part, Slot, around, blanks, getter
from traces.chain import canonical_attribute, canonical_attributes, is_content
from traces.wire import attribute

_CONSTANT = {str, bool, bytes, tuple, type(None)}
_FLOATS = {float}
_TEXT = {str}
_EXACT = 2**53
_ITEM = 3
"""Bytes before each double of an attribute on the wire: tag and length of its AnyValue, tag of the double."""
_FEW = 8
"""A text that had more values than these is no constant of a template."""
_USES = 64
"""A template has to be used that often, on average, to be worth its making."""
_ALLOWANCE = 64
_MOST = 512


class Encoded(NamedTuple):
    """Attributes as fields of a Span message, and as the content of its digest."""

    fields: bytes
    content: bytes


def encode_plainly(attributes: Mapping[str, Any]) -> Encoded:
    """Attribute by attribute. Raises WrongUse for a value that OTLP cannot carry."""
    fields = b"".join([attribute(key, value) for key, value in attributes.items()])
    return Encoded(fields, canonical_attributes(attributes))


class Templates:
    """What spans were like so far. Of bounded size; for one thread at a time.

    Where nothing is `digested`, content is left empty.
    """

    def __init__(self, *, digested: bool = True) -> None:
        self._digested = digested
        self._forms: dict[tuple[Any, ...], _Form | None] = {}
        self._uses = self._made = 0

    def encode(self, attributes: Mapping[str, Any]) -> Encoded:
        """The same as `encode_plainly`, sooner."""
        self._uses += 1
        try:
            return self._from_template(attributes) or encode_plainly(attributes)
        except TypeError:  # a value that cannot be looked up, such as a list in a tuple
            return encode_plainly(attributes)

    def _from_template(self, attributes: Mapping[str, Any]) -> Encoded | None:
        values = tuple(attributes.values())
        shape = (*attributes, *map(type, values))
        form = self._forms.get(shape)
        if form is None:
            if shape not in self._forms and self._pays():
                self._forms[shape] = _form(attributes)
            return None
        read = form.read(values)
        if read is None:
            return None
        constants, numbers = read
        template = form.templates.get(constants)
        if template is None:
            if self._pays():
                self._forms[shape] = form.learnt(attributes, constants)
            return None
        return template.filled(form, attributes, numbers, self._digested)

    def _pays(self) -> bool:
        """Whether one more will pay; it counts as made if so."""
        if self._made > _ALLOWANCE + self._uses // _USES:
            return False
        self._made += 1
        if self._made % _MOST == 0:
            self._forms.clear()
        return True


_Taking = Callable[[Any], tuple[Any, ...]]


@dataclass(slots=True)
class _Form:
    """Spans with the same keys and types: which of their values are constants, which numbers."""

    keys: tuple[str, ...]
    constant: tuple[str, ...]
    scalars: tuple[str, ...]
    integers: tuple[str, ...]
    arrays: tuple[str, ...]
    lists: tuple[str, ...]
    varied: tuple[str, ...]
    seen: dict[str, set[Any]] = field(default_factory=dict)
    templates: dict[tuple[Any, ...], _Template] = field(default_factory=dict)
    texts: dict[tuple[str, Any], Encoded] = field(default_factory=dict)
    constants_of: _Taking = field(init=False)
    lists_of: _Taking = field(init=False)
    arrays_of: _Taking = field(init=False)
    scalars_of: _Taking = field(init=False)
    integers_of: _Taking = field(init=False)

    def __post_init__(self) -> None:
        self.constants_of, self.lists_of, self.arrays_of, self.scalars_of, self.integers_of = (
            getter(list(map(self.keys.index, some)))
            for some in (self.constant, self.lists, self.arrays, self.scalars, self.integers)
        )

    def read(self, values: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[float]] | None:
        """The key of the template for these values and their numbers; None where none can be."""
        arrays = self.arrays_of(values)
        numbers = list(itertools.chain.from_iterable(arrays))
        lengths = tuple(map(len, arrays))
        if arrays and (set(map(type, numbers)) != _FLOATS or 0 in lengths):
            return None
        numbers += self.scalars_of(values)
        for integer in self.integers_of(values):
            if not -_EXACT <= integer <= _EXACT:
                return None
        texts = tuple(map(tuple, self.lists_of(values)))
        return self.constants_of(values) + texts + lengths, numbers

    def text(self, key: str, value: Any) -> Encoded:
        """One attribute that varies, kept if it is text."""
        value = tuple(value) if type(value) is list else value
        kept = self.texts.get((key, value))
        if kept is None:
            kept = Encoded(attribute(key, value), canonical_attribute(key, value))
            if _is_text(value):
                if len(self.texts) >= _MOST:
                    self.texts.clear()
                self.texts[key, value] = kept
        return kept

    def learnt(self, attributes: Mapping[str, Any], constants: tuple[Any, ...]) -> _Form:
        """This form with a template for more constants, or one that knows what is no constant."""
        for key, value in zip((*self.constant, *self.lists), constants, strict=False):
            self.seen.setdefault(key, set()).add(value)
        varied = {key for key, values in self.seen.items() if len(values) > _FEW}
        if varied:
            return replace(
                self,
                constant=tuple(key for key in self.constant if key not in varied),
                lists=tuple(key for key in self.lists if key not in varied),
                varied=(*self.varied, *sorted(varied)),
                seen={key: values for key, values in self.seen.items() if key not in varied},
                templates={},
            )
        if all(_is_text(value) for value in constants if type(value) is tuple):
            self.templates[constants] = _template(self, attributes)
        return self


def _form(attributes: Mapping[str, Any]) -> _Form | None:
    """The form of spans like this one; None where one value is of a type that no template has."""
    kinds = {key: type(value) for key, value in attributes.items()}
    if not set(kinds.values()) <= _CONSTANT | {float, int, list}:
        return None
    texts = {
        key for key, kind in kinds.items() if kind is list and _is_text(tuple(attributes[key]))
    }
    return _Form(
        keys=tuple(kinds),
        constant=tuple(key for key, kind in kinds.items() if kind in _CONSTANT),
        scalars=tuple(key for key, kind in kinds.items() if kind in (float, int)),
        integers=tuple(key for key, kind in kinds.items() if kind is int),
        arrays=tuple(key for key, kind in kinds.items() if kind is list and key not in texts),
        lists=tuple(key for key in kinds if key in texts),
        varied=(),
    )


@dataclass(frozen=True, slots=True)
class _Template:
    """Spans with the same constants; `fields` and `content` wait for numbers and slots."""

    fields: Blanks
    content: Blanks

    def filled(
        self, form: _Form, attributes: Mapping[str, Any], numbers: list[float], digested: bool
    ) -> Encoded:
        """The bytes of these attributes."""
        slots = [attribute(key, attributes[key]) for key in form.integers]
        texts: list[bytes] = []
        for key in form.varied:
            text = form.text(key, attributes[key])
            slots.append(text.fields)
            texts.append(text.content)
        fields = self.fields.filled(numbers, slots)
        if not digested:
            return Encoded(fields, b"")
        return Encoded(fields, self.content.filled(_canonical(numbers), texts))


def _canonical(numbers: list[float]) -> list[float]:
    """Numbers with one NaN and no sign on a zero, as the digest takes them."""
    if math.isnan(sum(numbers)):
        return [math.nan if n != n else n + 0.0 for n in numbers]
    return [n + 0.0 for n in numbers] if 0.0 in numbers else numbers


def _template(form: _Form, attributes: Mapping[str, Any]) -> _Template:
    """The template of spans that share form and constants with this one."""
    numbers: dict[str, range] = {}
    at = 0
    for key in (*form.arrays, *form.scalars):
        count = len(attributes[key]) if key in form.arrays else 1
        numbers[key] = range(at, at + count)
        at += count
    slots = {key: Slot(n) for n, key in enumerate((*form.integers, *form.varied))}
    fields: list[Part] = []
    for key, value in attributes.items():
        encoded = attribute(key, value)
        fields += [slots[key]] if key in slots else around(encoded, numbers.get(key), _ITEM)
    slots = {key: Slot(n) for n, key in enumerate(form.varied)}
    content: list[Part] = []
    for key in filter(is_content, sorted(attributes)):
        encoded = canonical_attribute(key, attributes[key])
        content += [slots[key]] if key in slots else around(encoded, numbers.get(key), 0)
    return _Template(blanks("<", fields, at), blanks(">", content, at))


def _is_text(value: Any) -> bool:
    """Whether a value is text throughout: then what Python calls equal has equal bytes."""
    return type(value) is str or (type(value) is tuple and set(map(type, value)) <= _TEXT)
