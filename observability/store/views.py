"""One typed view per decision type, so that notebooks get named, typed columns.

Replaced in the commit that first sees a layout, so a view never lags behind its rows.
"""

from __future__ import annotations

import re

import duckdb

MAX_TYPES = 1000
_PLAIN: tuple[str, ...] = (
    "device_id", "decision_id", "decided_at", "received_at", "model_name", "model_version",
    "recommendation", "score", "threshold", "action", "disposition", "gates", "context",
)  # fmt: skip


def view_name(decision_type: str) -> str:
    """The typed view of a decision type.

    >>> view_name("pump.stop")
    'd_pump_stop'
    """
    return "d_" + re.sub(r"[^A-Za-z0-9]", "_", decision_type)


def replace_views(con: duckdb.DuckDBPyConnection, decision_types: set[str]) -> None:
    """Make the views of these types anew from all their layouts. At most 1,000 types have one."""
    rows = con.execute(
        "SELECT decision_type, layout_id, names, categorical_names FROM layouts ORDER BY received_at, layout_id"
    ).fetchall()
    allowed = list(dict.fromkeys(row[0] for row in rows))[:MAX_TYPES]
    for decision_type in decision_types.intersection(allowed):
        layouts = [row[1:] for row in rows if row[0] == decision_type]
        con.execute(_statement(decision_type, layouts))


def _statement(decision_type: str, layouts: list[tuple[str, list[str], list[str]]]) -> str:
    arms: dict[str, list[str]] = {}
    for layout_id, names, categorical_names in layouts:
        for array, listed in (("inputs", names), ("categoricals", categorical_names)):
            for index, name in enumerate(listed, start=1):
                arm = f"WHEN {_literal(layout_id)} THEN {array}[{index}]"
                arms.setdefault(f"{array}:{name}", []).append(arm)
    taken = {name.lower() for name in _PLAIN}
    columns: list[str] = [*_PLAIN]
    for key, whens in arms.items():
        alias = _free_alias(key.partition(":")[2], taken)
        columns.append(f"CASE layout_id {' '.join(whens)} END AS {_identifier(alias)}")
    return (
        f"CREATE OR REPLACE VIEW {_identifier(view_name(decision_type))} AS SELECT {', '.join(columns)} "
        f"FROM decisions WHERE decision_type = {_literal(decision_type)}"
    )


def _free_alias(name: str, taken: set[str]) -> str:
    """The input's own name, or that with a number where a column, whose case does not count, has it."""
    alias, number = name, 2
    while alias.lower() in taken:
        alias, number = f"{name}_{number}", number + 1
    taken.add(alias.lower())
    return alias


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
