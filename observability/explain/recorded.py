"""What a device recorded of a decision for its model, and what it kept to itself."""

from __future__ import annotations

from observability.explain.attributed import Recorded
from observability.models.registry import RegisteredModel
from traces import Decision
from traces.conventions import PSEUDONYM, WITHHELD
from traces.errors import ModelError


def withheld(decision: Decision, model: RegisteredModel) -> str:
    """Which features stayed on the device, or only a pseudonym left it: NaN would be another input.

    One line, empty where the model can be replayed.
    """
    levels = decision.categoricals
    names = [
        feature.name
        for feature in model.features
        if feature.name in decision.withheld or levels.get(feature.name, "").startswith(PSEUDONYM)
    ]
    if not names:
        return ""
    return f"{', '.join(names)} {WITHHELD}: what the model saw there cannot be replayed here"


def recorded(decision: Decision, model: RegisteredModel) -> Recorded:
    """What is needed to replay a decision; the model's threshold where the device recorded none.

    Raises ModelError where something of it was withheld.
    """
    kept_back = withheld(decision, model)
    if kept_back:
        raise ModelError(kept_back, "every feature")
    proposed = decision.recommendation
    threshold = proposed.threshold if proposed else None
    return Recorded(
        inputs=decision.inputs,
        categoricals=decision.categoricals,
        score=proposed.score if proposed else None,
        threshold=model.threshold if threshold is None else threshold,
    )
