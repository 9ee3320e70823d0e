"""One typed view per decision type, so that notebooks get named, typed columns.

Replaced in the commit that first sees a layout, so a view never lags behind its rows.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import duckdb

MAX_TYPES = 1000
"""Types that have a view, and"""
MAX_LAYOUTS = 100
"""layouts of a type whose inputs have columns: each costs every later one time and memory."""
_PLAIN: tuple[str, ...] = (
    "device_id", "decision_id", "decided_at", "received_at", "model_name", "model_version",
    "recommendation", "score", "threshold", "action", "disposition", "gates", "context",
)  # fmt: skip

_FIRST_TYPES = f"""
SELECT decision_type FROM layouts GROUP BY decision_type
ORDER BY min((received_at, layout_id)) LIMIT {MAX_TYPES}
"""
_FIRST_LAYOUTS = f"""
SELECT decision_type, layout_id, names, categorical_names
FROM layouts
WHERE decision_type IN (SELECT decision_type FROM layouts WHERE layout_id IN (SELECT unnest(?)))
QUALIFY row_number() OVER (PARTITION BY decision_type ORDER BY received_at, layout_id) <= {MAX_LAYOUTS}
ORDER BY received_at, layout_id
"""


def view_name(decision_type: str) -> str:
    """The typed view of a decision type; one whose name an earlier type has gets a number behind it.

    >>> view_name("pump.stop")
    'd_pump_stop'
    """
    return "d_" + re.sub(r"[^A-Za-z0-9]", "_", decision_type)


def replace_views(con: duckdb.DuckDBPyConnection, new: Collection[str]) -> None:
    """Make the views anew that these layouts, just inserted, change.

    The first 1,000 types have a view, the first 100 layouts of a type have columns in it. Rows of later
    ones are in it without their inputs.
    """
    types = con.execute(_FIRST_TYPES).fetchall()
    changed = con.execute(_FIRST_LAYOUTS, [list(new)]).fetchall()
    taken: set[str] = set()
    for (decision_type,) in types:
        view = _free_alias(view_name(decision_type), taken)
        layouts = [row[1:] for row in changed if row[0] == decision_type]
        if any(layout[0] in new for layout in layouts):
            con.execute(_statement(view, decision_type, layouts))


def _statement(
    view: str, decision_type: str, layouts: list[tuple[str, list[str], list[str]]]
) -> str:
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
        f"CREATE OR REPLACE VIEW {_identifier(view)} AS SELECT {', '.join(columns)} "
        f"FROM decisions WHERE decision_type = {_literal(decision_type)}"
    )


def _free_alias(name: str, taken: set[str]) -> str:
    """The name itself, or that with a number where another, whose case does not count, has it."""
    name = name.replace("\0", "_") or "_"
    alias, number = name, 2
    while alias.lower() in taken:
        alias, number = f"{name}_{number}", number + 1
    taken.add(alias.lower())
    return alias


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    """A statement ends at a NUL, so that one is put in by function."""
    return "'" + text.replace("'", "''").replace("\0", "' || chr(0) || '") + "'"
