"""`whence export`: decisions, with their outcomes, reviews and the other spans of their traces, as a file."""

from __future__ import annotations

import argparse
import json
from datetime import datetime
from pathlib import Path

from tqdm import tqdm

import observability
from observability.store.lake import now
from observability.store.moments import moment
from observability.store.selection import Selection, count_spans, select_spans
from traces.errors import WrongUse
from traces.files import write_trace_file


def run(arguments: argparse.Namespace) -> int:
    """Write the selection; exit 1 where it is empty. Raises WrongUse, StoreError or TraceFileError."""
    output = Path(arguments.output)
    if output.suffix != ".jsonl":
        raise WrongUse(
            f"output {output}", "a name that ends in .jsonl", "OTLP JSON lines is the form written"
        )
    with observability.connect(arguments.store) as con:
        at: datetime = now(con)
        selection = Selection(
            decision_type=arguments.type,
            device_id=arguments.device,
            since=arguments.since and moment(arguments.since, at),
            until=arguments.until and moment(arguments.until, at),
            decision_ids=tuple(arguments.id) if arguments.id else None,
        )
        counts = count_spans(con, selection)
        if not counts["decisions"]:
            print("no decision matches; nothing written")
            return 1
        spans = select_spans(con, selection)
        write_trace_file(output, tqdm(spans, total=sum(counts.values()), unit="span", disable=None))
    if arguments.json:
        print(json.dumps({"file": str(output), **counts}))
    else:
        print(
            f"{counts['decisions']:,} decisions, {counts['outcomes']:,} outcomes, "
            f"{counts.get('reviews', 0):,} reviews and "
            f"{counts['spans']:,} other spans written to {output}"
        )
    return 0
