"""Small charts: what has no value is seen and said, and every value stands where its day is."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest

from detektor_pipelines.report.charts import HEIGHT, WIDTH, bars, in_words, number, share_bar, sparkline
from detektor_pipelines.report.contents import MISSING, NULL, Series

DAYS = [date(2026, 3, 1) + timedelta(days=number) for number in range(10)]


def series(*values: float | str) -> Series:
    return Series("rejection_rate", "share", "Share.", "No review <yet>.", "float64", values)


def test_null_and_not_computed_are_two_patterns_where_they_belong():
    drawn = str(sparkline(series(MISSING, MISSING, NULL, 0.5, 0.5, 0.7, NULL, 0.1, 0.1, 0.2), DAYS, "a"))
    step = WIDTH / 10
    spans = [
        (kind, float(x), float(width)) for kind, x, width in re.findall(r'<rect class="(\w+)" x="([\d.]+)" y="0" width="([\d.]+)"', drawn)
    ]
    assert spans == [("missing", 0, 2 * step), ("null", 2 * step, step), ("null", 6 * step, step)]
    assert drawn.count('class="line"') == 2
    assert 'fill="url(#null)"' in drawn
    assert 'fill="url(#missing)"' in drawn


def test_the_path_is_at_the_values():
    drawn = str(sparkline(series(*range(10)), DAYS, "a"))
    path = re.search(r'class="line" d="([^"]+)"', drawn)
    assert path is not None
    heights = [float(y) for y in re.findall(r"[V ]([\d.]+)", path[1])]
    assert heights == sorted(heights, reverse=True)
    assert len(heights) == 10
    assert 0 <= min(heights) < max(heights) <= HEIGHT


def test_what_is_seen_is_said_too():
    words = in_words(series(MISSING, NULL, NULL, 0.5, 0.25, 0.75, 0.5, 0.5, 0.5, 0.5), DAYS)
    assert words == (
        "10 days from 2026-03-01 to 2026-03-10; from 0.5 to 0.5 share, at least 0.25, at most 0.75; null on 2 of them, which means:"
        " No review <yet>.; not computed on 1 of them."
    )
    drawn = str(sparkline(series(*[NULL] * 10), DAYS, "a"))
    assert "No review &lt;yet&gt;." in drawn
    assert 'role="img"' in drawn
    assert 'aria-labelledby="a-t a-d"' in drawn


def test_bars_say_how_many_failed_and_which_was_the_most():
    drawn = str(bars([3, 0, 9], [1, 0, 0], ["w1", "w2", "w3"], "b", "reviews"))
    assert "12 in all, 1 failed; the most are 9 in w3." in drawn
    assert (drawn.count('class="bar"'), drawn.count('class="failed"')) == (2, 1)
    assert "None." in str(bars([0, 0], [0, 0], ["w1", "w2"], "b", "reviews"))


def test_parts_of_nothing_are_drawn_too():
    assert "sent 0%" in str(share_bar([("sent", 0), ("produced", 0)], "p", "tokens"))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.123456, "0.1235"), (12, "12"), (123456, "123,456"), (-0.5, "-0.5"), (0.000012, "0.000012"), (999.95, "1000")],
)
def test_numbers_are_short(value, text):
    assert number(value) == text
