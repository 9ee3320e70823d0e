"""The replay spec: how a recorded data set becomes a fleet that decides.

Owns the form of examples/*.yaml. What can be checked without the data is checked here; what needs
the data (a column that it lacks) in recorded.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from observability.fleet import strict
from observability.models.features import Feature
from traces import Gate
from traces.errors import SpecError
from traces.gates import OPERATORS

_PARAMETERS = (
    "bagging_fraction",
    "bagging_freq",
    "feature_fraction",
    "lambda_l1",
    "lambda_l2",
    "learning_rate",
    "max_bin",
    "max_depth",
    "min_data_in_leaf",
    "min_gain_to_split",
    "num_leaves",
    "scale_pos_weight",
)
_RESERVED = ("device_id", "decided_at", "label", "label_known_at")
NUMERIC_OF = ("hour", "elapsed", "since_stop", "since_act", "running", "streak")
TEXT_OF = ("previous_action", "constant")
CONTEXT_OF = (*NUMERIC_OF, *TEXT_OF, "column", "device")
UNITS = {"seconds": 1.0, "minutes": 60.0, "hours": 3600.0, "days": 86400.0}


@dataclass(frozen=True, slots=True)
class Actions:
    """What to do below the threshold (and when a gate blocks), and from the threshold on."""

    fallback: str
    act: str


@dataclass(frozen=True, slots=True)
class Files:
    """Files of the data folder (globs allowed), cut to local days: `since` inclusive, `until` exclusive."""

    files: tuple[str, ...]
    since: date | None = None
    until: date | None = None
    device_prefix: str = ""


@dataclass(frozen=True, slots=True)
class Format:
    """How a file is written. `index` names a column that the rows have and the header lacks."""

    separator: str = ","
    columns: tuple[str, ...] = ()
    index: str = ""
    missing: str = ""
    quote: str = '"'


@dataclass(frozen=True, slots=True)
class Device:
    """Whose row it is: a column, shown through `name` (such as `engine-{:03d}`), or one `constant`."""

    column: str = ""
    constant: str = ""
    name: str = "{}"

    def __post_init__(self) -> None:
        _exactly_one("device", column=self.column, constant=self.constant)


@dataclass(frozen=True, slots=True)
class Time:
    """When a row was recorded: one column, date parts, or a counter of cycles of one length."""

    column: str = ""
    format: str = ""
    parts: tuple[str, ...] = ()
    cycle: str = ""
    every: str = ""
    origin: datetime | None = None
    zone: str = "UTC"

    def __post_init__(self) -> None:
        _exactly_one("time", column=self.column, parts=self.parts, cycle=self.cycle)
        if self.column and not self.format:
            raise SpecError(
                "time.column without time.format", 'a format such as "%Y-%m-%d %H:%M:%S"'
            )
        if self.cycle and not (self.every and self.origin):
            raise SpecError(
                "time.cycle without time.every and time.origin",
                "every: 1h and origin: 2020-01-01T00:00:00Z",
            )
        if self.every:
            strict.duration(self.every, "time.every")
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise SpecError(
                f"{self.zone!r} as time.zone", "a zone such as Europe/Brussels"
            ) from error


@dataclass(frozen=True, slots=True)
class Reading:
    """The label is `column operator limit`, `ahead` of the row, seen `known_after` that."""

    column: str
    operator: str
    limit: float
    ahead: str = "0s"
    known_after: str = "0s"

    def __post_init__(self) -> None:
        if self.operator not in OPERATORS:
            raise SpecError(
                f"{self.operator!r} as label.reading.operator", strict.one_of(OPERATORS)
            )
        strict.duration(self.ahead, "label.reading.ahead")
        strict.duration(self.known_after, "label.reading.known_after")


@dataclass(frozen=True, slots=True)
class RemainingLife:
    """The label is `at_most` cycles to live. Line i of `truth`: what device i had left after its last row."""

    at_most: int
    truth: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """What turns out to be true, in words, and who sees it."""

    positive: str
    negative: str
    source: str
    reading: Reading | None = None
    remaining_life: RemainingLife | None = None

    def __post_init__(self) -> None:
        _exactly_one("label", reading=self.reading, remaining_life=self.remaining_life)


@dataclass(frozen=True, slots=True)
class Model:
    """What is trained: LightGBM `parameters`, rounds, seed; `threshold` is a probability.

    Numeric features come first, then those with levels: the order in which decisions record them.
    """

    name: str
    version: str
    threshold: float
    features: tuple[Feature, ...]
    seed: int = 7
    trees: int = 100
    parameters: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.parameters:
            if name not in _PARAMETERS:
                raise SpecError(
                    f"unknown parameter {name!r} in model.parameters", strict.one_of(_PARAMETERS)
                )
        if not 0.0 < self.threshold < 1.0:
            raise SpecError(f"{self.threshold} as model.threshold", "a probability between 0 and 1")
        names = [feature.name for feature in self.features]
        if tuple(names) != (*self.numeric, *self.categorical):
            raise SpecError(
                "model.features with a number after a categorical", "those with levels last"
            )
        if not names or len(set(names)) != len(names) or set(names) & set(_RESERVED):
            raise SpecError(
                "model.features " + ", ".join(names),
                f"at least one, each once, none of {', '.join(_RESERVED)}",
            )

    @property
    def numeric(self) -> tuple[str, ...]:
        """Names of the numeric features, in the model's order."""
        return tuple(feature.name for feature in self.features if not feature.levels)

    @property
    def categorical(self) -> tuple[str, ...]:
        """Names of the features with levels, in the model's order."""
        return tuple(feature.name for feature in self.features if feature.levels)


@dataclass(frozen=True, slots=True)
class Context:
    """One context value; `of` says where it comes from.

    From the data: `column` (numbers), `device` (`values` by device id), `constant` (`value`), `hour`
    (local, 0 to 23). From what the device did before, durations in `unit`: `elapsed` since its first
    decision; `since_act` since it last did `act`; `since_stop` since it last went back to the fallback
    (both since its first decision where it never did); `running` since it took up `act`, else 0;
    `streak`, how many decisions just before recommended `act`; `previous_action`.
    """

    name: str
    of: str
    column: str = ""
    value: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    unit: str = "minutes"

    def __post_init__(self) -> None:
        if self.of not in CONTEXT_OF:
            raise SpecError(
                f"{self.of!r} as `of` of context {self.name!r}", strict.one_of(CONTEXT_OF)
            )
        if self.unit not in UNITS:
            raise SpecError(f"{self.unit!r} as unit of context {self.name!r}", strict.one_of(UNITS))
        for needs, key, given in (
            ("column", "column", self.column),
            ("constant", "value", self.value),
            ("device", "values", self.values),
        ):
            if self.of == needs and not given:
                raise SpecError(
                    f"context {self.name!r} of {self.of} without {key!r}", f"{key}: ..."
                )

    @property
    def is_numeric(self) -> bool:
        """Whether a gate can observe it."""
        return self.of not in TEXT_OF


@dataclass(frozen=True, slots=True)
class ReplaySpec:
    """A recorded data set as a fleet: who decides what, by which model, behind which gates."""

    name: str
    decision_type: str
    actions: Actions
    service: str
    training: Files
    decisions: Files
    device: Device
    time: Time
    label: Label
    model: Model
    format: Format = field(default_factory=Format)
    gates: tuple[Gate, ...] = ()
    context: tuple[Context, ...] = ()
    resource: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        observable = [*self.model.numeric, *(c.name for c in self.context if c.is_numeric)]
        actions = (self.actions.fallback, self.actions.act)
        for gate in self.gates:
            if gate.input not in observable:
                raise SpecError(
                    f"gate {gate.name!r} on {gate.input!r}",
                    "a numeric feature or context: " + ", ".join(observable),
                    strict.closest(gate.input, observable),
                )
            for action in gate.guards:
                if action not in actions:
                    raise SpecError(f"gate {gate.name!r} guards {action!r}", strict.one_of(actions))
        if self.label.remaining_life and not self.time.cycle:
            raise SpecError("label.remaining_life without time.cycle", "time counted in cycles")


def load(path: Path) -> ReplaySpec:
    """Read a spec. Raises SpecError: found, expected, hint, with the place in the file."""
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"no file {path}", "a replay spec", "see examples/") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" from line {mark.line + 1} on" if mark else ""
        raise SpecError(f"{path.name}, which is not YAML{line}", "a replay spec") from error
    return strict.read(ReplaySpec, given, path.name)


def _exactly_one(where: str, **given: object) -> None:
    if sum(bool(value) for value in given.values()) != 1:
        found = ", ".join(name for name, value in given.items() if value) or "none of them"
        raise SpecError(f"{found} in {where}", "exactly one of " + ", ".join(given))
