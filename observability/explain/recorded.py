"""What a device recorded of a decision for its model, and what it kept to itself."""

from __future__ import annotations

from observability.explain.attributed import Recorded
from observability.models.registry import RegisteredModel
from traces import Decision
from traces.conventions import PSEUDONYM, WITHHELD
from traces.errors import ModelError


def recorded(decision: Decision, model: RegisteredModel) -> Recorded:
    """What is needed to replay a decision; the model's threshold where the device recorded none.

    Raises ModelError where a feature stayed on the device, or only a pseudonym left it: NaN would be
    another input.
    """
    levels = decision.categoricals
    names = [
        feature.name
        for feature in model.features
        if feature.name in decision.withheld or levels.get(feature.name, "").startswith(PSEUDONYM)
    ]
    if names:
        raise ModelError(
            f"{', '.join(names)} {WITHHELD}",
            "every feature",
            "what the model saw cannot be replayed",
        )
    proposed = decision.recommendation
    threshold = proposed.threshold if proposed else None
    return Recorded(
        inputs=decision.inputs,
        categoricals=decision.categoricals,
        score=proposed.score if proposed else None,
        threshold=model.threshold if threshold is None else threshold,
    )
