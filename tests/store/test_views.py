from __future__ import annotations

from pathlib import Path

from observability.store import lake
from observability.store.views import MAX_LAYOUTS, view_name
from observability.store.write import Writer
from tests.spans import batch, decision, decision_span, rows
from traces import Decision


def write(writer: Writer, *decisions: Decision) -> None:
    writer.write(batch(*map(decision_span, decisions)))


def columns(store: Path, view: str) -> dict[str, str]:
    with lake.connect(store) as con:
        relation = con.table(view)
        return dict(zip(relation.columns, map(str, relation.types), strict=True))


def views(store: Path) -> set[str]:
    found = rows(store, "SELECT view_name FROM duckdb_views() WHERE view_name ^@ 'd_'")
    return {name for (name,) in found}


def test_a_type_has_a_view_with_its_inputs_by_name_and_type(store: Path, writer: Writer) -> None:
    write(writer, decision(inputs={"temperature": 71.5}, categoricals={"valve": "open"}))
    named = columns(store, view_name("pump.stop"))
    assert (named["temperature"], named["valve"]) == ("DOUBLE", "VARCHAR")
    assert rows(store, "SELECT temperature, valve, action FROM d_pump_stop") == [
        (71.5, "open", "run")
    ]


def test_two_layouts_of_a_type_share_the_columns_that_have_one_name(
    store: Path, writer: Writer
) -> None:
    write(writer, decision(inputs={"a": 1.0, "b": 2.0}))
    write(writer, decision(inputs={"b": 3.0, "c": 4.0}), decision())
    assert rows(store, "SELECT a, b, c FROM d_pump_stop ORDER BY ALL") == [
        (1.0, 2.0, None), (None, 3.0, 4.0), (None, None, None)
    ]  # fmt: skip


def test_an_input_that_is_named_like_a_column_gets_a_number(store: Path, writer: Writer) -> None:
    write(writer, decision(inputs={"score": 1.0, "Action": 2.0}))
    assert rows(store, "SELECT score, score_2, action, Action_2 FROM d_pump_stop") == [
        (None, 1.0, "run", 2.0)
    ]


def test_inputs_whose_names_differ_by_case_only_are_two_columns(
    store: Path, writer: Writer
) -> None:
    write(writer, decision(inputs={"x": 1.0, "X": 2.0, "x_2": 3.0}, categoricals={"x": "four"}))
    assert rows(
        store, "SELECT * EXCLUDE (device_id, decision_id, decided_at, received_at) FROM d_pump_stop"
    )[0][-4:] == (1.0, 2.0, 3.0, "four")


def test_any_name_of_an_input_is_only_a_name(store: Path, writer: Writer) -> None:
    odd = [
        "a\"'; DROP TABLE decisions; --",
        "",
        "\0",
        "a\0b",
        "select",
        "a\nb",
        "é☃🙂",
        "$1",
        "?",
        "{}",
        "x" * 900,
    ]
    inputs = {name: float(number) for number, name in enumerate(odd)}
    write(writer, decision(inputs=inputs, categoricals=dict.fromkeys(odd, "level")))
    write(writer, decision(inputs=inputs))
    ((*_, one), (*_, two)) = rows(store, "SELECT inputs FROM decisions")
    assert one == two == list(inputs.values())
    with lake.connect(store) as con:
        values = con.sql("FROM d_pump_stop LIMIT 1").fetchall()[0][-len(odd) * 2 :]
    assert sorted(map(repr, values)) == sorted(map(repr, [*inputs.values(), *["level"] * len(odd)]))


def test_types_that_make_one_view_name_have_two_views(store: Path, writer: Writer) -> None:
    types = ["pump.stop", "pump_stop", "PUMP-stop", "насос", "винт!", "x'\"; DROP TABLE decisions"]
    for some in (types[:1], types[1:4], types[4:]):
        made = [decision(name, inputs={"number": float(types.index(name))}) for name in some]
        write(writer, *made, decision("later", inputs={f"n{len(some)}": 0.0}))
    with lake.connect(store) as con:
        seen = {
            view: con.table(view).project("number").distinct().fetchall()
            for view in views(store) - {"d_later"}
        }
    assert sorted(seen.values()) == [[(float(number),)] for number in range(len(types))]
    assert seen["d_pump_stop"] == [(0.0,)]


def test_a_view_keeps_its_name_whatever_comes_later(store: Path, writer: Writer) -> None:
    write(writer, decision("pump.stop", inputs={"a": 1.0}))
    write(writer, decision("pump_stop", inputs={"a": 2.0}))
    write(
        writer, decision("pump.stop_2", inputs={"a": 3.0}), decision("pump_stop", inputs={"b": 4.0})
    )
    assert views(store) == {"d_pump_stop", "d_pump_stop_2", "d_pump_stop_2_2"}
    assert rows(store, "SELECT a FROM d_pump_stop_2 WHERE b IS NULL") == [(2.0,)]


def test_a_wide_model_has_all_its_columns(store: Path, writer: Writer) -> None:
    write(writer, decision(inputs={f"x{number}": float(number) for number in range(2000)}))
    assert rows(store, "SELECT x0, x1999 FROM d_pump_stop") == [(0.0, 1999.0)]


def test_gates_and_context_are_tables_of_their_own(store: Path, writer: Writer) -> None:
    from traces import Gate

    gates = (
        Gate("max", "t", "<=", 80.0).judge({"t": 91.5}),
        Gate("min", "t", ">=", 0.0).judge({"t": 91.5}),
    )
    write(writer, decision(gates=gates, context={"mode": "auto", "load": 0.5}), decision())
    assert rows(store, 'SELECT position, name, verdict, "limit", observed FROM gates ORDER BY position') == [
        (1, "max", "block", 80.0, 91.5), (2, "min", "pass", 0.0, 91.5)
    ]  # fmt: skip
    assert rows(store, "SELECT name, value FROM context ORDER BY name") == [
        ("load", "0.5"),
        ("mode", "auto"),
    ]


def test_a_type_of_more_layouts_than_have_columns_keeps_its_view_and_its_rows(
    store: Path, writer: Writer
) -> None:
    for first in range(0, MAX_LAYOUTS + 20, 40):
        write(writer, *(decision(inputs={f"i{n}": 1.0}) for n in range(first, first + 40)))
    assert (
        len([name for name in columns(store, "d_pump_stop") if name[1:].isdigit()]) == MAX_LAYOUTS
    )
    assert rows(store, "SELECT count(*) FROM d_pump_stop") == [(MAX_LAYOUTS + 20,)]
