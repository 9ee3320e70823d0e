"""Hypothesis strategies for the domain: decisions, outcomes, attribute values, whole OTLP spans."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from traces.conventions import NAMES, REUSED_CONTEXT
from traces.decision import (
    DISPOSITIONS,
    GATE_KINDS,
    VERDICTS,
    ChainPosition,
    ClockReading,
    Decision,
    GateVerdict,
    ModelVersion,
    Outcome,
    Recommendation,
    Review,
)
from traces.otlp import bare_envelope, key_values

INT64 = st.integers(-(2**63), 2**63 - 1)
DOUBLES = st.floats() | st.sampled_from([0.0, -0.0, 1.0, float(2**53), 1e308, 5e-324])
NUMBERS = DOUBLES | st.integers(-(2**53), 2**53)
"""Numbers as SDKs write them: an integer where a double is meant."""

TEXTS = st.text(max_size=12)
NAMED = st.text(min_size=1, max_size=12)
STORED = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
"""Texts that a column takes: a NUL is rejected at the door."""
STORED_NAMED = STORED.filter(bool)

SCALARS = TEXTS | st.booleans() | INT64 | DOUBLES
VALUES = st.recursive(
    st.none() | SCALARS | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
"""Everything that an OTLP attribute can be."""

UNNAMED = NAMED.filter(
    lambda name: name not in NAMES and not name.startswith(("decision.", *REUSED_CONTEXT))
)
EXTRAS = st.dictionaries(
    UNNAMED | st.sampled_from(["decision.chain.id", "decision.note", "http.route"]),
    VALUES,
    max_size=3,
)
DIGESTS = st.binary(min_size=32, max_size=32)
CONTEXT_NAMES = NAMED | st.sampled_from(["mode", "geo.location.lat", "feature_flag.result.variant"])


_MICROSECONDS = st.none() | st.integers(0, 2**63 - 1)


@st.composite
def decisions(draw: st.DrawFn, *, texts: st.SearchStrategy[str] = TEXTS) -> Decision:
    """Any decision that the codec can state; `texts` are what its text fields are made of."""
    named = texts.filter(bool)
    gates = st.builds(
        GateVerdict,
        name=texts,
        kind=st.sampled_from(GATE_KINDS),
        verdict=st.sampled_from(VERDICTS),
        reason=texts,
        input=texts,
        operator=texts,
        limit=DOUBLES,
        observed=DOUBLES,
    )
    optional = st.none() | DOUBLES
    chains = st.builds(ChainPosition, named, st.integers(0, 2**63 - 1), DIGESTS.map(bytes.hex))
    chain = draw(st.none() | chains)
    extra = draw(EXTRAS)
    if chain is not None:
        extra.pop("decision.chain.id", None)
    return Decision(
        type=draw(named),
        model=ModelVersion(draw(named), draw(named), draw(named)),
        action=draw(named),
        disposition=draw(st.sampled_from(DISPOSITIONS)),
        recommendation=draw(
            st.none() | st.builds(Recommendation, named, optional, optional, optional)
        ),
        inputs=draw(st.dictionaries(TEXTS, DOUBLES, max_size=5)),
        categoricals=draw(st.dictionaries(TEXTS, TEXTS, max_size=3)),
        gates=tuple(draw(st.lists(gates, max_size=3))),
        context=draw(st.dictionaries(CONTEXT_NAMES, SCALARS, max_size=3)),
        pass_probability=draw(optional),
        exploration=draw(st.none() | st.booleans()),
        value=draw(optional),
        latency_us=draw(_MICROSECONDS),
        budget_us=draw(_MICROSECONDS),
        withheld=tuple(draw(st.lists(texts, max_size=2))),
        chain=chain,
        clock=draw(st.none() | st.builds(ClockReading, named, INT64, st.booleans())),
        extra=extra,
    )


def outcomes(texts: st.SearchStrategy[str] = TEXTS) -> st.SearchStrategy[Outcome]:
    """Any outcome of any decision."""
    return st.builds(
        Outcome,
        trace_id=st.binary(min_size=16, max_size=16).map(bytes.hex),
        span_id=st.binary(min_size=8, max_size=8).map(bytes.hex),
        label=texts.filter(bool),
        source=texts.filter(bool),
        observed_unix_nano=INT64,
        value=st.none() | DOUBLES,
        extra=EXTRAS,
    )


def reviews(texts: st.SearchStrategy[str] = TEXTS) -> st.SearchStrategy[Review]:
    """Any review of any decision."""
    return st.builds(
        Review,
        trace_id=st.binary(min_size=16, max_size=16).map(bytes.hex),
        span_id=st.binary(min_size=8, max_size=8).map(bytes.hex),
        gate=texts.filter(bool),
        verdict=st.sampled_from(VERDICTS),
        by=texts.filter(bool),
        reason=texts,
        action=texts,
        extra=EXTRAS,
    )


ATTRIBUTES = st.dictionaries(NAMED, VALUES, max_size=4)
_UINT32 = st.integers(0, 2**32 - 1)
_UINT64 = st.integers(0, 2**64 - 1)
_TRACE_IDS = st.binary(min_size=16, max_size=16)
_SPAN_IDS = st.binary(min_size=8, max_size=8)
_PAIRS = ATTRIBUTES.map(key_values)
_EVENTS = st.builds(
    Span.Event,
    time_unix_nano=_UINT64,
    name=TEXTS | st.just("0"),
    attributes=_PAIRS,
    dropped_attributes_count=_UINT32,
)
_LINKS = st.builds(
    Span.Link,
    trace_id=_TRACE_IDS,
    span_id=_SPAN_IDS,
    trace_state=TEXTS,
    flags=_UINT32,
    attributes=_PAIRS,
    dropped_attributes_count=_UINT32,
)


@st.composite
def otlp_spans(draw: st.DrawFn) -> Span:
    """Any span message that the wire can carry, sensible or not."""
    span = Span(
        trace_id=draw(_TRACE_IDS),
        span_id=draw(_SPAN_IDS),
        parent_span_id=draw(st.just(b"") | _SPAN_IDS),
        trace_state=draw(TEXTS),
        flags=draw(_UINT32),
        name=draw(TEXTS | st.just("0")),
        kind=draw(st.integers(0, 5)),  # pyright: ignore[reportArgumentType]
        start_time_unix_nano=draw(_UINT64),
        end_time_unix_nano=draw(_UINT64),
        attributes=draw(_PAIRS),
        dropped_attributes_count=draw(_UINT32),
        events=draw(st.lists(_EVENTS, max_size=2)),
        dropped_events_count=draw(_UINT32),
        links=draw(st.lists(_LINKS, max_size=2)),
        dropped_links_count=draw(_UINT32),
    )
    code, message = draw(st.integers(0, 2)), draw(TEXTS | st.just("0"))
    if code or message:
        span.status.CopyFrom(Status(code=code, message=message))  # pyright: ignore[reportArgumentType]
    return span


@st.composite
def envelopes(draw: st.DrawFn) -> ResourceSpans:
    """Any resource and scope, as `bare_envelope` makes them."""
    resource_spans, scope_spans = (
        ResourceSpans(schema_url=draw(TEXTS)),
        ScopeSpans(schema_url=draw(TEXTS)),
    )
    resource_spans.resource.attributes.extend(draw(_PAIRS))
    resource_spans.resource.dropped_attributes_count = draw(_UINT32)
    for keys in draw(st.lists(st.lists(TEXTS, max_size=2), max_size=2)):
        resource_spans.resource.entity_refs.add(type="host", id_keys=keys, schema_url=draw(TEXTS))
    scope_spans.scope.name, scope_spans.scope.version = draw(TEXTS), draw(TEXTS | st.just("0"))
    scope_spans.scope.attributes.extend(draw(_PAIRS))
    scope_spans.scope.dropped_attributes_count = draw(_UINT32)
    return bare_envelope(resource_spans, scope_spans)


def same(left: Any, right: Any) -> bool:
    """Equal in value, type and order, and NaN equal to NaN."""
    return repr(left) == repr(right)
