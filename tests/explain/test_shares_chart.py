from __future__ import annotations

from observability.explain.shares import Share, Shares
from observability.figures.shares import ranked, shares_chart

FOUND = Shares(
    "stop",
    0.05,
    (Share("<b>heat</b>", 0.5, 0.02), Share("load", -0.1, 0.01), Share("idle", 0.0, 0.0)),
    (Share("dwell", 0.55, 0.0),),
    100,
)


def test_parts_stand_in_the_order_of_their_size_and_those_without_a_share_are_left_out() -> None:
    assert [(part.name, gate) for part, gate in ranked(FOUND)] == [
        ("dwell", True),
        ("<b>heat</b>", False),
        ("load", False),
    ]
    assert len(ranked(FOUND, 1)) == 1


def test_bars_are_per_cent_with_their_error_and_names_are_no_markup() -> None:
    drawn = shares_chart(FOUND)
    (bars,) = drawn.data
    assert [round(x) for x in bars.x] == [55, 50, -10]
    assert list(bars.error_x.array) == [0.0, 2.0, 1.0]
    assert drawn.layout.yaxis.ticktext == ("gate dwell", "&lt;b&gt;heat&lt;/b&gt;", "load")
    assert len(set(bars.marker.color)) == 3
