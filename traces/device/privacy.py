"""What leaves the device: each field kept, replaced by a pseudonym, or dropped before it is recorded.

Model and gates see the true values; what they say of a value that is not kept is withheld with it.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from traces.codec import context_attribute
from traces.conventions import PSEUDONYM, WITHHELD
from traces.decision import Decision, GateVerdict, Review, Scalar
from traces.errors import WrongUse
from traces.gates_of_kind import about

Treatment = Literal["keep", "pseudonymise", "drop"]
Policy = Mapping[str, Treatment]

REVIEWER = "decision.review.by"
"""The name, among those of `context`, of the person who reviews."""

_SHORTEST_KEY = 16
_REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class Privacy:
    """How each input, categorical and context value of a device's decisions is treated.

    Names are those of the decision; `enduser.*` stands for all that begin so, the longest such name
    wins, and what is not named is kept. A pseudonym is HMAC-SHA256 under `key`, 16 bytes or more that stay on
    the device: the same text gives the same one. Numeric inputs are kept or dropped. The score is
    kept, as are actions.

    >>> Privacy(context={"enduser.*": "pseudonymise"}, key=bytes(16)).pseudonym("anna")
    'pseudonym:3cb45e6cc9e3cd6e'
    """

    inputs: Policy = field(default_factory=dict)
    categoricals: Policy = field(default_factory=dict)
    context: Policy = field(default_factory=dict)
    key: bytes = field(default=b"", repr=False)
    _known: dict[tuple[Any, ...], Policy] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        _require(self.inputs, ("keep", "drop"), "a numeric input")
        _require(self.categoricals, get_args(Treatment), "a categorical")
        _require(self.context, get_args(Treatment), "a context value")
        chosen = {*self.categoricals.values(), *self.context.values()}
        if "pseudonymise" in chosen and len(self.key) < _SHORTEST_KEY:
            raise WrongUse(
                f"a key of {len(self.key)} bytes for pseudonyms",
                f"{_SHORTEST_KEY} bytes or more",
                "secrets.token_bytes(32), kept on the device",
            )

    def decision(self, decision: Decision) -> Decision:
        """The decision as it may leave the device. What was dropped is named in its `withheld`."""
        inputs = self._not_kept(self.inputs, decision.inputs)
        levels = self._not_kept(self.categoricals, decision.categoricals)
        context = self._not_kept(self.context, decision.context)
        if not (inputs or levels or context):
            return decision
        hidden = {*inputs, *levels, *context}
        texts = [decision.categoricals[n] for n in levels]
        texts += [v for v in map(decision.context.get, context) if isinstance(v, str)]
        dropped = [n for of in (inputs, levels) for n, how in of.items() if how == "drop"]
        dropped += [context_attribute(n) for n, how in context.items() if how == "drop"]
        return replace(
            decision,
            inputs={n: math.nan if n in inputs else v for n, v in decision.inputs.items()},
            categoricals={
                n: self._hidden(levels[n], v) if n in levels else v
                for n, v in decision.categoricals.items()
            },
            context={
                n: self._hidden(context[n], v) if n in context else v
                for n, v in decision.context.items()
                if context.get(n) != "drop"
            },
            gates=tuple(_without(hidden, texts, verdict) for verdict in decision.gates),
            withheld=(*decision.withheld, *dropped),
        )

    def review(self, review: Review) -> Review:
        """The review as it may leave the device: its `by` is treated as REVIEWER of `context`."""
        how = _treatment(self.context, REVIEWER)
        if how == "keep":
            return review
        return replace(
            review,
            by=WITHHELD if how == "drop" else self.pseudonym(review.by),
            reason=WITHHELD if review.by in review.reason else review.reason,
        )

    def pseudonym(self, value: Scalar) -> str:
        """What stands for a value: the prefix and 16 hex digits."""
        said = str(value).encode("utf-8", "surrogatepass")
        return PSEUDONYM + hmac.digest(self.key, said, "sha256").hex()[:16]

    def _not_kept(self, policy: Policy, names: Iterable[str]) -> Policy:
        """How the names are treated that are not kept; remembered, since they come again and again."""
        if not policy:
            return {}
        key = (id(policy), *names)
        known = self._known.get(key)
        if known is None:
            known = _not_kept(policy, names)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = known
        return known

    def _hidden(self, how: Treatment, value: Scalar) -> str:
        return "" if how == "drop" or value == "" else self.pseudonym(value)


def _require(policy: Mapping[str, str], allowed: Iterable[str], what: str) -> None:
    for name, how in policy.items():
        if how not in allowed:
            raise WrongUse(f"{how!r} for {name!r}, {what}", "one of " + ", ".join(allowed))


def _treatment(policy: Policy, name: str) -> Treatment:
    found = policy.get(name)
    if found is not None:
        return found
    prefixes = [p for p in policy if p.endswith("*") and name.startswith(p[:-1])]
    return policy[max(prefixes, key=len)] if prefixes else "keep"


def _not_kept(policy: Policy, names: Iterable[str]) -> Policy:
    chosen: dict[str, Treatment] = {}
    for name in names:
        how = _treatment(policy, name)
        if how != "keep":
            chosen[name] = how
    return chosen


def _without(hidden: Iterable[str], texts: Iterable[str], verdict: GateVerdict) -> GateVerdict:
    """The verdict without what it tells of a hidden value; it cannot be given again then."""
    of = next((name for name in hidden if about(verdict.input, name)), None)
    if of is not None:
        return GateVerdict(verdict.name, verdict.kind, verdict.verdict, WITHHELD, of)
    if any(text and text in verdict.reason for text in texts):
        return replace(verdict, reason=WITHHELD)
    return verdict
