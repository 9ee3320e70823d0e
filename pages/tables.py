"""The long tables: which columns, under which names, written how. Values in, arguments of `grid` out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
import streamlit as st

from observability.monitor.backtest import Flip
from observability.monitor.cadence import Cadence
from pages.marks import bare_mark, chips

Table = dict[str, Any]
"""`shown`, a frame whose first column opens the row; `columns`, its configuration; `alt`."""

FLIPS_LISTED = 500
MISSING_LISTED = 200
_TIME = "YYYY-MM-DD HH:mm:ss"


def devices(rows: pl.DataFrame) -> Table:
    """The devices of `Fleet.devices`, newest first."""
    shown = rows.select(
        "device_id",
        "last_decided_at",
        pl.concat_list(pl.col("last_disposition").map_elements(bare_mark, pl.String)).alias("last"),
        "last_action",
        "decisions",
        (pl.col("blocked") / pl.col("decisions")).fill_nan(None).alias("blocked_share"),
        "blocked",
        "last_model",
    )
    columns = {
        "last_decided_at": st.column_config.DatetimeColumn("Last decision, UTC", format=_TIME),
        "last": chips("What became of it"),
        "last_action": "Last action",
        "decisions": st.column_config.NumberColumn("Decisions, n", format="localized"),
        "blocked_share": st.column_config.ProgressColumn(
            "Blocked share", format="percent", min_value=0, max_value=1, color="orange"
        ),
        "blocked": st.column_config.NumberColumn("Blocked, n", format="localized"),
        "last_model": "Model version",
    }
    return {
        "shown": shown,
        "opens": ("device_id", "Device"),
        "columns": columns,
        "alt": "Devices with their last decision, counts and model version",
    }


def decisions(rows: pl.DataFrame) -> Table:
    """The decisions of `Matching.newest`, newest first."""
    shown = rows.select(
        pl.col("decided_at").dt.strftime("%Y-%m-%d %H:%M:%S").alias("opened"),
        "device_id",
        "decision_type",
        "recommendation",
        pl.concat_list(pl.col("disposition").map_elements(bare_mark, pl.String)).alias("became"),
        "action",
        "binding_gate",
        "score",
        "threshold",
        "outcome",
        "model",
    )
    columns = {
        "device_id": "Device",
        "decision_type": "Type",
        "recommendation": "Model proposed",
        "became": chips("Disposition"),
        "action": "Device did",
        "binding_gate": "Binding gate",
        "score": st.column_config.NumberColumn("Score", format="%.3g"),
        "threshold": st.column_config.NumberColumn("Threshold", format="%.3g"),
        "outcome": "Outcome",
        "model": "Model version",
    }
    return {
        "shown": shown,
        "opens": ("opened", "Decided, UTC"),
        "columns": columns,
        "alt": "The newest matching decisions",
    }


def late_blocks(rows: pl.DataFrame) -> Table:
    """The stretches of `Late.blocks`, the newest receipt first."""
    shown = rows.select(
        "device_id", "first_at", "last_at", "decisions", "received_at",
        (pl.col("longest_s") / 3600).alias("longest_h"), "complete",
    )  # fmt: skip
    columns = {
        "first_at": st.column_config.DatetimeColumn("Decided from, UTC", format=_TIME),
        "last_at": st.column_config.DatetimeColumn("to", format=_TIME),
        "decisions": st.column_config.NumberColumn("Decisions, n", format="localized"),
        "received_at": st.column_config.DatetimeColumn("All here, UTC", format=_TIME),
        "longest_h": st.column_config.NumberColumn("Latest by, h", format="%.3g"),
        "complete": st.column_config.CheckboxColumn("Complete"),
    }
    return {
        "shown": shown,
        "opens": ("device_id", "Device"),
        "columns": columns,
        "alt": "Stretches of decisions that came late, by device",
    }


def conflicts(rows: pl.DataFrame) -> Table:
    """The conflicts of `Health.conflicts`, the newest first."""
    columns = {
        "received_at": st.column_config.DatetimeColumn("Came again, UTC", format=_TIME),
        "device_id": "Device",
        "kind": "Table",
    }
    return {
        "shown": rows.select("span_key", "received_at", "device_id", "kind"),
        "opens": ("span_key", "Id"),
        "columns": columns,
        "alt": "Spans that came again with other content",
    }


def missing(found: Cadence) -> Table:
    """The silences and gaps of a `Cadence`, at most `MISSING_LISTED`: what still goes on, then the newest."""
    why = {
        "never made": "never made: no number is missing",
        "not arrived yet": "made, not received yet",
        "dropped on the device": "made, dropped on the device",
        "unknown": "not known: not numbered",
    }
    rows = [
        (one.device_id, one.decision_type, one.since, None, one.due, "silent: nothing came later")
        for one in found.silent
    ] + [
        (one.device_id, one.decision_type, one.from_at, one.to_at, one.decisions, why[one.reason])
        for one in found.missed
    ]
    names = ["device_id", "decision_type", "from_at", "to_at", "decisions", "why"]
    sure = found.expected.select(
        "device_id",
        "decision_type",
        (pl.col("cadence_s") / 60).alias("cadence_min"),
        (pl.col("regular") / pl.col("gaps")).alias("regular"),
        "gaps",
    )
    listed = pl.DataFrame(rows[:MISSING_LISTED], names, orient="row", infer_schema_length=None)
    columns = {
        "decision_type": "Type",
        "from_at": st.column_config.DatetimeColumn("After, UTC", format=_TIME),
        "to_at": st.column_config.DatetimeColumn("Before, UTC", format=_TIME),
        "decisions": st.column_config.NumberColumn("Due, n", format="localized"),
        "why": "What became of them",
        "cadence_min": st.column_config.NumberColumn("Expected every, min", format="%.3g"),
        "regular": st.column_config.NumberColumn("Regular gaps", format="percent"),
        "gaps": st.column_config.NumberColumn("of n", format="localized"),
    }
    return {
        "shown": listed.join(
            sure, on=["device_id", "decision_type"], how="left", maintain_order="left"
        ),
        "opens": ("device_id", "Device"),
        "columns": columns,
        "alt": "Stretches in which decisions were due and are not here, by device",
    }


def flips(rows: Sequence[Flip]) -> Table:
    """The flips of a backtest, the newest first."""
    shown = pl.DataFrame(
        {
            "opened": [f"{flip.decided_at:%Y-%m-%d %H:%M:%S}" for flip in rows],
            "device_id": [flip.device_id for flip in rows],
            "recommendation": [flip.recommendation for flip in rows],
            "before": [[bare_mark(flip.before)] for flip in rows],
            "after": [[bare_mark(flip.after)] for flip in rows],
            "observed": [flip.observed for flip in rows],
            "meaning": [flip.meaning for flip in rows],
            "unasked": [", ".join(flip.unasked) for flip in rows],
        }
    )
    columns = {
        "device_id": "Device",
        "recommendation": "Model proposed",
        "before": chips("Was"),
        "after": chips("Would be"),
        "observed": st.column_config.NumberColumn("Gate observed", format="%.4g"),
        "meaning": "Which is",
        "unasked": "Not asked",
    }
    return {
        "shown": shown.with_columns(pl.col("observed").fill_nan(None)),
        "opens": ("opened", "Decided, UTC"),
        "columns": columns,
        "alt": "Proposals that would have gone another way",
    }
