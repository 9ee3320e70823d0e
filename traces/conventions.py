"""The attribute registry: every name that Whence writes on a span, once.

`python -m traces.conventions` prints docs/conventions.md. The codec refers to these names and to
nothing else, and a test holds registry, codec and page together.
"""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA_VERSION = "0.1.0"
SCHEMA_URL = f"https://whence.invalid/schemas/{SCHEMA_VERSION}"
SCOPE_NAME = "whence"

DECISION_SPAN_PREFIX = "decision "
OUTCOME_SPAN = "decision.outcome"
CHECKPOINT_SPAN = "decision.checkpoint"
REVIEW_SPAN = "decision.review"
DEVICE_ID = "device.id"
CONTEXT_PREFIX = "decision.context."
INPUT_PREFIX = "decision.input."
PSEUDONYM = "pseudonym:"
"""What a text begins with that stands for one that stays on the device."""
WITHHELD = "withheld on the device"
"""The reason of a verdict on a value that stays on the device."""
REUSED_CONTEXT = ("geo.location.", "feature_flag.", "enduser.")


@dataclass(frozen=True, slots=True)
class Attribute:
    """One registered attribute: `on` is the span (or resource) that carries it."""

    name: str
    type: str
    on: str
    required: bool
    brief: str


def _decision(name: str, type_: str, brief: str, *, required: bool = False) -> Attribute:
    return Attribute(f"decision.{name}", type_, "decision", required, brief)


def _outcome(name: str, type_: str, brief: str, *, required: bool = False) -> Attribute:
    return Attribute(f"decision.{name}", type_, "outcome", required, brief)


def _checkpoint(name: str, type_: str, brief: str, *, required: bool = False) -> Attribute:
    return Attribute(f"decision.checkpoint.{name}", type_, "checkpoint", required, brief)


def _tombstone(name: str, type_: str, brief: str) -> Attribute:
    return Attribute(f"decision.tombstone.{name}", type_, "tombstone", True, brief)


def _review(name: str, brief: str, *, required: bool = False) -> Attribute:
    return Attribute(f"decision.review.{name}", "string", "review", required, brief)


REGISTRY: tuple[Attribute, ...] = (
    Attribute(
        DEVICE_ID, "string", "resource", True, "The device; stable across boots and updates."
    ),
    Attribute("device.model.identifier", "string", "resource", False, "The hardware model."),
    Attribute("service.name", "string", "resource", True, "The deciding program."),
    Attribute("service.version", "string", "resource", False, "Its version: the firmware."),
    Attribute("deployment.environment.name", "string", "resource", False, "Such as production."),
    _decision("type", "string", "What is decided, such as pump.stop; few values.", required=True),
    _decision("model.name", "string", "The model that recommended.", required=True),
    _decision(
        "model.version",
        "string",
        "Its version; on the span, since updates swap it mid-process.",
        required=True,
    ),
    _decision("model.digest", "string", "sha256:<64 hex> of the artifact that ran.", required=True),
    _decision("recommendation.action", "string", "What the model proposed."),
    _decision("recommendation.score", "double", "The model's output, in its own unit."),
    _decision("recommendation.threshold", "double", "The score from which the action is proposed."),
    _decision("recommendation.value", "double", "The number that the proposed action carries."),
    _decision("input.names", "string[]", "Names of the numeric inputs, in the model's order."),
    _decision("input.values", "double[]", "Their values, same order; missing = NaN."),
    _decision("input.categorical.names", "string[]", "Names of the categorical inputs."),
    _decision("input.categorical.values", "string[]", "Their values, same order."),
    _decision("gate.names", "string[]", "The gates, in the order of evaluation."),
    _decision("gate.kinds", "string[]", "rule or human, for each gate."),
    _decision("gate.verdicts", "string[]", "pass, block, modify or defer, for each gate."),
    _decision("gate.reasons", "string[]", "Why; empty where a gate passed."),
    _decision(
        "gate.inputs",
        "string[]",
        "What each rule observed: an input or context value x; tripped(x), where a hysteresis had "
        "tripped before; rate(x), per second; breach(x <= 1), for how many seconds that is broken; "
        'x in ["a"], 1 or 0; value(action).',
    ),
    _decision("gate.operators", "string[]", "< <= > >= == or !=; the rule passes while it holds."),
    _decision(
        "gate.limits",
        "double[]",
        "The limit in force then, in the unit of the input, to which a modify clamps; NaN where none.",
    ),
    _decision("gate.observed", "double[]", "The value observed then; NaN where none."),
    _decision("gate.pass_probability", "double", "Only where the gate policy randomises: P(pass)."),
    _decision("exploration", "boolean", "Whether this decision was a deliberate exploration."),
    _decision("action", "string", "What the device did.", required=True),
    _decision("action.value", "double", "The number it did it with, where the action carries one."),
    _decision("disposition", "string", "executed, blocked, modified or deferred.", required=True),
    Attribute(
        "error.type", "string", "decision", False, "Only where the pipeline itself failed: how."
    ),
    _decision("latency_us", "int", "How long model and gates took, microseconds."),
    _decision("budget_us", "int", "How long they may take, microseconds."),
    _decision(
        "withheld",
        "string[]",
        "What the device kept to itself: inputs by name, context by attribute.",
    ),
    _decision("chain.id", "string", "The device's chain of spans, a UUID4; on outcomes too."),
    _decision("chain.seq", "int", "Place in the chain, from 0 without gaps."),
    _decision("chain.prev", "string", "Chain head before this span, 64 lower-case hex digits."),
    _decision(
        "clock.boot_id", "string", "Which boot of the device the monotonic clock counts from."
    ),
    _decision("clock.monotonic_ns", "int", "The monotonic clock at the decision, nanoseconds."),
    _decision("clock.synced", "boolean", "Whether the wall clock was synchronised."),
    _outcome(
        "ref.trace_id", "string", "Trace id of the decision, 32 lower-case hex.", required=True
    ),
    _outcome("ref.span_id", "string", "Span id of the decision, 16 lower-case hex.", required=True),
    _outcome("outcome.label", "string", "What turned out to be true.", required=True),
    _outcome("outcome.value", "double", "The same as a number, where there is one."),
    _outcome("outcome.source", "string", "Sensor, system or person that saw it.", required=True),
    _outcome(
        "outcome.observed_at", "int", "When it was seen, nanoseconds since 1970 UTC.", required=True
    ),
    _checkpoint("seq_from", "int", "The first span that it covers.", required=True),
    _checkpoint("seq_to", "int", "The last, which is the one before it.", required=True),
    _checkpoint("head", "string", "The chain's link at seq_to, 64 hex digits.", required=True),
    _checkpoint("lost", "int[]", "Ranges evicted since the last one: from, to, from, to, ..."),
    _checkpoint("predecessor", "string", "The chain before, where its state was lost."),
    _checkpoint("key_id", "string", "SHA-256 of the public key, hex; absent where unsigned."),
    _checkpoint("public_key", "string", "The Ed25519 public key, 64 hex digits."),
    _checkpoint("next_public_key", "string", "The key that signs from the next one on."),
    _checkpoint(
        "signature", "string", "Ed25519, 128 hex digits; traces/checkpoint.py says of what."
    ),
    _tombstone(
        "seq_from", "int", "The first span that was evicted; decision.chain.id names the chain."
    ),
    _tombstone("seq_to", "int", "The last one."),
    _tombstone("digests", "bytes", "Their digests, 32 bytes each, in order; empty if gone too."),
    _tombstone("reason", "string", "Why they were evicted."),
    _review("gate", "The gate that asked a person.", required=True),
    _review("verdict", "pass, block, modify, or defer: passed on.", required=True),
    _review("by", "Who said so.", required=True),
    _review("reason", "Why."),
    _review("action", "What the device then did."),
)

NAMES: frozenset[str] = frozenset(attribute.name for attribute in REGISTRY)


def registered(name: str) -> str:
    """Return `name` if the registry has it; a KeyError here is a programming mistake."""
    if name not in NAMES:
        raise KeyError(name)
    return name


def page() -> str:
    """The registry as the text of docs/conventions.md."""
    lines = [
        "# The span conventions",
        "",
        f"Schema {SCHEMA_VERSION}. Generated by `python -m traces.conventions`: edit the registry,",
        "not this page.",
        "",
        "A decision is one span named `decision {type}`, kind INTERNAL; its end is the instant of the",
        "decision. An outcome is a later span named `decision.outcome` that links to it, a person's",
        "answer to a deferred decision one named `decision.review`; its end is the instant of the answer.",
        "Status stays Unset unless the decision pipeline itself failed: a blocked action is a gate at",
        "work, no error.",
    ]
    for on in ("resource", "decision", "outcome", "review", "checkpoint", "tombstone"):
        lines += [
            "",
            f"## On the {on}",
            "",
            "| attribute | type | required | meaning |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| `{a.name}` | {a.type} | {'yes' if a.required else ''} | {a.brief} |"
            for a in REGISTRY
            if a.on == on
        ]
        if on == "review":
            lines += [
                "",
                "And `decision.ref.trace_id` and `decision.ref.span_id`, as on the outcome.",
            ]
    return "\n".join([*lines, *_unregistered()]) + "\n"


def _unregistered() -> list[str]:
    """What is written or accepted beside the registered names."""
    return [
        "",
        "## Context",
        "",
        "`decision.context.<name>` holds any scalar: device state, mode, shift. Location, user and",
        "rollout arm reuse the standard names: "
        + ", ".join(f"`{prefix}*`" for prefix in REUSED_CONTEXT)
        + ".",
        "",
        "## What stays on the device",
        "",
        "An input that was dropped is NaN (or empty) and named in `decision.withheld`; dropped context is",
        f"only named there. A verdict on either has no operator, and the reason `{WITHHELD}`.",
        f"A pseudonym is `{PSEUDONYM}` and 16 hex digits.",
        "",
        "## Also accepted",
        "",
        "`decision.input.<name>` scalars and a map-valued `decision.input`, as other SDKs write them;",
        "integers where a double is meant; null for NaN. Every attribute that is not named here is kept",
        "as it came.",
    ]


if __name__ == "__main__":
    import sys

    sys.stdout.write(page())
