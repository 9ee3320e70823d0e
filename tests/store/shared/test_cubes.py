"""Several writers on one lake: each decision is counted once, whoever stored it and whoever counts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from observability.store.lake import cursor
from observability.store.location import Location
from observability.store.read import Window
from observability.store.read_cubes import counted
from observability.store.write import Writer
from tests.monitor.counting import (
    DAY,
    asked,
    build,
    directly,
    is_covered,
    made,
    registered,
    same,
    send,
)


def test_what_several_writers_stored_is_counted_once(lake: Location, tmp_path: Path) -> None:
    model = registered(lake, tmp_path)
    with Writer(lake) as one, Writer(lake) as other, cursor(other.con) as con:
        send(one, [made(model, timedelta(0), heat=1.0)], "pump-1")
        send(other, [made(model, timedelta(0), heat=2.0)], "pump-2")
        assert sum(build(one)) == 2
        send(one, [made(model, timedelta(0), heat=3.0)], "pump-2")
        of = asked(con, lake, model, "pump.stop")
        assert not is_covered(con, of)
        assert same(counted(con, of, Window(), DAY), directly(con, of, Window(), DAY))
        assert (sum(build(other)), sum(build(one))) == (1, 0)
        assert is_covered(con, of)
        assert same(counted(con, of, Window(), DAY), directly(con, of, Window(), DAY))
