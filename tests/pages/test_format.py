"""What people read: numbers, shares, times and names."""

from __future__ import annotations

import doctest
import math

import pytest

from pages import format as written
from pages import time_range


@pytest.mark.parametrize("module", [written, time_range])
def test_the_examples_in_the_docstrings_hold(module) -> None:
    ran = doctest.testmod(module)
    assert ran.attempted
    assert not ran.failed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.000412, "0.000412"),
        (-0.5, "−0.5"),
        (1234567.8, "1,234,568"),
        (1.28e-7, "1.28e-07"),
        (100.0, "100"),
        (0.0, "0"),
        (math.nan, "not recorded"),
        (math.inf, "not recorded"),
    ],
)
def test_numbers_have_three_figures_and_keep_their_whole_digits(value: float, text: str) -> None:
    assert written.number(value) == text


def test_a_small_difference_stays_visible_beside_a_large_value() -> None:
    assert written.number(2388.21, resolution=0.19) == "2,388.21"
    assert written.number(2388.0, resolution=0.19) == "2,388"


@pytest.mark.parametrize(
    "text", ["**bold**", "[a](b)", "<b>", ":red[x]", "`code`", "a_b", "$x$", "~no~"]
)
def test_a_name_keeps_every_character_and_escapes_what_markdown_reads(text: str) -> None:
    shown = written.plain(text)
    assert shown.replace("\\", "") == text
    assert shown != text


@pytest.mark.parametrize("text", ["https://a.example", "www.a.example", "a@b.example"])
def test_an_address_in_a_name_is_no_link(text: str) -> None:
    unescaped = written.plain(text).replace("\\", "")
    assert unescaped != text
    assert unescaped.replace("\u2060", "") == text


def test_a_name_on_two_lines_becomes_one() -> None:
    assert written.plain("a\n# b") == "a \\# b"
