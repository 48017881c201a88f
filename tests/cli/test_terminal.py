from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from scorecraft.cli.terminal import clean, duration, figure, plain, sparkline


def test_foreign_text_cannot_steer_the_terminal():
    assert clean("a\x1b[31mb\x07\r\x9b0m\u202ec\td\ne\x00\x7f") == "a[31mb0mc\td\ne"


@given(st.text())
def test_cleaned_text_is_printable_in_any_case(text):
    cleaned = clean(text)
    assert "\x1b" not in cleaned
    assert cleaned.encode("utf-8").decode("utf-8") == clean(cleaned)


def test_foreign_text_is_never_read_as_markup():
    console = Console(record=True, width=80, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(plain("[red]not red[/red] [link=http://x]y[/link]"))
    assert console.export_text().strip() == "[red]not red[/red] [link=http://x]y[/link]"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("accuracy", 0.6125, "61.3 %"), ("pass@4", 1.0, "100.0 %"), ("truncated", 0.0, "0.0 %"),
        ("reward", 0.12345, "0.123"), ("length", 21.0, "21"), ("tokens_per_second", 1949.6, "1,950"),
        ("learning_rate", 3e-4, "0.0003"), ("reward", math.nan, "-"), ("reward", None, "-"),
    ],
)  # fmt: skip
def test_figures_have_their_units(name, value, text):
    assert figure(name, value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (48.2, "48 s"), (140, "2 min 20 s"), (11100, "3 h 05 min"), (-3, "0 s")]
)
def test_durations_are_read_at_a_glance(seconds, text):
    assert duration(seconds) == text


def test_a_sparkline_spans_from_the_lowest_to_the_highest_mean():
    assert sparkline([0.0, 1.0, 2.0, 7.0], 4) == "▁▂▃█"
    assert sparkline([0.0, 2.0, 6.0, 8.0], 2) == "▁█"
    assert sparkline([1.0, 1.0], 9) == "▁▁"
    assert sparkline([None, math.nan], 9) == ""
