from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest

from observability.explain.explain import explain
from observability.explain.explanation import Attributions, Spec
from observability.figures.waterfall import bars, logit_of, probability_ticks, waterfall


def attributed(
    *phi: float, link: str = "logit", base: float = -1.0, threshold: float | None = 0.0
) -> Attributions:
    names = tuple(f"s{number}" for number in range(len(phi)))
    spec = Spec("", "", "", "margin", link, "", "", names, "", 0, 0, None, None)
    values = tuple(float(number) for number in range(len(phi)))
    output = base + math.fsum(phi)
    return Attributions(
        spec, phi, values, ("K",) * len(phi), base, output, threshold, 0.0, 0.5, None, ()
    )


def trace(figure, name: str):
    return next(drawn for drawn in figure.data if drawn.name == name)


def test_the_bars_lead_from_the_base_to_the_output(con, plant) -> None:
    explanation = explain(con, plant.store, plant.ids["executed"])
    assert explanation is not None
    found = explanation.attributions
    assert found is not None
    drawn = trace(waterfall(found), "inputs")
    assert drawn.base[0] == found.base
    starts = itertools.pairwise(drawn.base)
    for (start, following), part in zip(starts, drawn.x[:-1], strict=True):
        assert math.isclose(start + part, following)
    assert math.isclose(drawn.base[-1] + drawn.x[-1], found.output, abs_tol=1e-6)


def test_ten_inputs_are_drawn_and_the_others_share_a_bar() -> None:
    given = attributed(*(0.1 * number for number in range(14)))
    drawn = bars(given)
    assert len(drawn) == 11
    assert drawn[-1].label == "4 others"
    assert drawn[0].label == "s13 = 13 K"
    assert math.isclose(math.fsum(bar.phi for bar in drawn), math.fsum(given.phi))


def test_a_single_other_is_drawn_as_itself() -> None:
    assert [bar.label for bar in bars(attributed(*([0.5] * 11)))][-1] == "s10 = 10 K"


def test_a_missing_value_is_not_a_number() -> None:
    given = replace(attributed(1.0), values=(math.nan,))
    assert bars(given)[0].label == "s0: not recorded"


def test_a_level_from_a_device_is_text_and_never_markup() -> None:
    given = replace(attributed(1.0), values=("<a href='x'>max</a>",), units=("",))
    assert "<" not in bars(given)[0].label


def test_the_threshold_is_drawn_through_where_there_is_one() -> None:
    figure = waterfall(attributed(1.0, threshold=0.4))
    line = figure.layout.shapes[0]
    assert (line.x0, line.x1, line.yref) == (0.4, 0.4, "paper")
    assert "threshold 0.4" in figure.layout.annotations[0].text
    assert waterfall(attributed(1.0, threshold=None)).layout.shapes == ()


def test_the_probability_axis_covers_the_same_span_as_the_logits() -> None:
    figure = waterfall(attributed(2.0, -0.5, 1.0))
    top = figure.layout.xaxis2
    assert top.side == "top"
    assert top.range == figure.layout.xaxis.range
    low, high = top.range
    for at, text in zip(top.tickvals, top.ticktext, strict=True):
        assert low <= at <= high
        assert at == logit_of(float(text))


def test_an_identity_link_has_no_probability() -> None:
    figure = waterfall(attributed(2.0, link="identity", base=100.0, threshold=30.0))
    assert "xaxis2" not in figure.to_plotly_json()["layout"]
    assert "score" not in str(trace(figure, "base and output").text)


def test_no_single_bar_is_told_as_a_probability() -> None:
    drawn = trace(waterfall(attributed(2.0, -0.5)), "inputs")
    assert list(drawn.text) == ["+2", "−0.5"]


def test_the_figure_is_transparent_and_sets_no_text_colour() -> None:
    layout = waterfall(attributed(1.0)).layout
    assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert layout.font.color is None


@pytest.mark.parametrize("span", [(-20.0, 20.0), (-0.4, 0.4), (3.0, 9.0), (-9.0, -8.9)])
def test_probability_ticks_lie_in_the_span_and_apart(span: tuple[float, float]) -> None:
    at = [logit_of(p) for p in probability_ticks(span)]
    assert at == sorted(at)
    assert all(span[0] <= tick <= span[1] for tick in at)
    assert all(b - a >= (span[1] - span[0]) / 12 for a, b in itertools.pairwise(at))
