"""`whence explain`: why one decision was made, as text or as the full value, and whether that holds."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator

import observability
from observability.explain.explain import explain
from observability.explain.explanation import FLEET, as_json
from observability.explain.text import lines
from observability.explain.verify import Verification, verify
from observability.explain.wording import utc
from traces.errors import WrongUse


def run(arguments: argparse.Namespace) -> int:
    """Print the explanation of one decision, or whether it can be computed again: 0 only for a match.

    Raises WrongUse where no such decision is stored.
    """
    if arguments.verify and arguments.versus != FLEET:
        raise WrongUse("--verify with --versus", "one of them", "what is stored says versus what")
    with observability.connect(arguments.store) as con:
        if arguments.verify:
            found = verify(con, arguments.store, arguments.id)
        else:
            found = explain(con, arguments.store, arguments.id, arguments.versus)
    if found is None:
        raise WrongUse(
            f"no decision {arguments.id} in {arguments.store}",
            "<32 hex trace id>-<16 hex span id> of a stored decision",
            "`whence sql 'SELECT decision_id FROM decisions LIMIT 5'` lists some",
        )
    if arguments.json:
        sys.stdout.write(json.dumps(as_json(found), ensure_ascii=False) + "\n")
    else:
        said = _verified(found) if isinstance(found, Verification) else lines(found)
        sys.stdout.write("\n".join(said) + "\n")
    return 0 if not isinstance(found, Verification) or found.verdict == "match" else 1


def _verified(found: Verification) -> Iterator[str]:
    yield f"{found.verdict}: {found.why}"
    if found.largest_difference is not None:
        yield f"largest difference  {found.largest_difference:.3g}, in the unit of the parts"
    if found.computed_at is not None and found.spec_id is not None:
        yield f"stored              {utc(found.computed_at)} by spec {found.spec_id[:19]}"
    if found.residual is not None:
        yield f"residual            {found.residual:.3g}"
    if found.replay_error is not None:
        yield f"replay error        {found.replay_error:.3g}, in the unit of the score"
