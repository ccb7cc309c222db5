"""Small charts as inline SVG: compact, readable without colour, and said in words for who does not see them.

Belongs here: the drawing of numbers. A value is a line, a null a hatched stretch, a day that was not computed a dotted one; bars of
failures are hatched. Colours are the page's (CSS classes), patterns are defined once by `PATTERNS`.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from detektor_pipelines.report.contents import MISSING, NULL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from detektor_pipelines.report.contents import Series

WIDTH: Final = 300
HEIGHT: Final = 64
_TOP: Final = 4
_BOTTOM: Final = 60

PATTERNS: Final = Markup(
    '<svg class="patterns" width="0" height="0" aria-hidden="true" focusable="false"><defs>'
    '<pattern id="null" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<line x1="0" y1="0" x2="0" y2="5" class="hatch"/></pattern>'
    '<pattern id="missing" width="4" height="4" patternUnits="userSpaceOnUse"><circle cx="1" cy="1" r="0.7" class="dot"/></pattern>'
    '<pattern id="failed" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)">'
    '<rect width="4" height="4" class="paper"/><line x1="0" y1="0" x2="0" y2="4" class="hatch strong"/></pattern>'
    "</defs></svg>"
)
"""Stands once in the page; every chart refers to it."""


def sparkline(series: Series, days: Sequence[date], identity: str) -> Markup:
    """Draw one feature's values over the days as steps, with the stretches that have none."""
    known = series.known
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    step = WIDTH / len(days)
    parts = []
    for kind, first, last in _stretches(series.values):
        if kind in {NULL, MISSING}:
            name = "null" if kind == NULL else "missing"
            x, width = first * step, (last - first) * step
            parts.append(f'<rect class="{name}" x="{x:.1f}" y="0" width="{width:.1f}" height="{HEIGHT}" fill="url(#{name})"/>')
        else:
            points = [_y(float(each), low, high) for each in series.values[first:last]]
            parts.append(f'<path class="line" d="{_steps(points, first, step)}"/>')
    if known and not isinstance(series.values[-1], str):
        # A stroke of no length: its round cap stays round, however wide the chart is drawn
        parts.append(f'<path class="end" d="M{WIDTH - 2} {_y(float(series.values[-1]), low, high):.1f}h.01"/>')
    return _svg(identity, f"{series.feature} over time", in_words(series, days), "".join(parts), HEIGHT)


def in_words(series: Series, days: Sequence[date]) -> str:
    """Say what the chart shows."""
    known, nulls, missing = series.known, series.values.count(NULL), series.values.count(MISSING)
    said = [f"{len(days)} days from {days[0]} to {days[-1]}"]
    if known:
        first, last = known[0], known[-1]
        said.append(f"from {number(first)} to {number(last)} {series.unit}, at least {number(min(known))}, at most {number(max(known))}")
    if nulls:
        said.append(f"null on {nulls} of them, which means: {series.null_means}")
    if missing:
        said.append(f"not computed on {missing} of them")
    return "; ".join(said) + "."


def bars(done: Sequence[int], failed: Sequence[int], labels: Sequence[str], identity: str, what: str) -> Markup:
    """Draw stacked bars: what ended well is solid, what failed hatched above it."""
    most = max((each for each in done), default=0) or 1
    step = WIDTH / max(1, len(done))
    parts = []
    for position, (number_, bad) in enumerate(zip(done, failed, strict=True)):
        if not number_:
            continue
        height, top = number_ / most * (_BOTTOM - _TOP), bad / most * (_BOTTOM - _TOP)
        x, width = position * step + step * 0.1, max(step * 0.8, 0.6)
        parts.append(f'<rect class="bar" x="{x:.1f}" y="{_BOTTOM - height + top:.1f}" width="{width:.1f}" height="{height - top:.1f}"/>')
        if bad:
            parts.append(
                f'<rect class="failed" x="{x:.1f}" y="{_BOTTOM - height:.1f}" width="{width:.1f}" height="{top:.1f}" fill="url(#failed)"/>'
            )
    parts.append(f'<line class="axis" x1="0" y1="{_BOTTOM}" x2="{WIDTH}" y2="{_BOTTOM}"/>')
    busiest = max(range(len(done)), key=lambda position: done[position], default=0)
    words = f"{sum(done):,} in all, {sum(failed):,} failed; the most are {most:,} in {labels[busiest]}." if sum(done) else "None."
    return _svg(identity, what, words, "".join(parts), HEIGHT)


def share_bar(parts: Sequence[tuple[str, float]], identity: str, what: str) -> Markup:
    """Draw one bar of parts of a whole, each with a fill of its own: solid, hatched, dotted, empty."""
    total = sum(part for _, part in parts) or 1
    x, drawn = 0.0, []
    for position, (_, part) in enumerate(parts):
        width = part / total * WIDTH
        drawn.append(f'<rect class="part part{position}" x="{x:.1f}" y="1" width="{width:.1f}" height="12"/>')
        x += width
    words = ", ".join(f"{name} {part / total:.0%}" for name, part in parts)
    return _svg(identity, what, words, "".join(drawn), 14)


def number(value: float) -> str:
    """Write a number as short as it can be read: four digits, thousands apart."""
    if value == 0:
        return "0"
    if abs(value) >= 1_000:  # noqa: PLR2004  where four digits end
        return f"{value:,.0f}"
    text = f"{value:.4g}"
    return f"{value:.6f}".rstrip("0") if "e" in text else text


def _svg(identity: str, title: str, words: str, body: str, height: int) -> Markup:
    head = Markup(
        '<svg role="img" aria-labelledby="{name}-t {name}-d" viewBox="0 0 {width} {height}" preserveAspectRatio="none">'
        '<title id="{name}-t">{title}</title><desc id="{name}-d">{words}</desc>'
    ).format(name=identity, width=WIDTH, height=height, title=title, words=words)
    return head + Markup(body) + Markup("</svg>")  # noqa: S704  numbers and names of this module


def _stretches(values: Sequence[float | int | str]) -> Iterator[tuple[str, int, int]]:
    """Yield (kind, first, behind the last) of each run of values of one kind."""
    position = 0
    for kind, some in groupby(values, key=lambda value: value if isinstance(value, str) else "value"):
        length = len(list(some))
        yield str(kind), position, position + length
        position += length


def _steps(points: Sequence[float], first: int, step: float) -> str:
    """Return a path of steps; a level that goes on is one move."""
    path, y = [f"M{first * step:.1f} {points[0]:.1f}"], points[0]
    for position, point in enumerate(points):
        if f"{point:.1f}" != f"{y:.1f}":
            path.append(f"H{(first + position) * step:.1f}V{point:.1f}")
            y = point
    path.append(f"H{(first + len(points)) * step:.1f}")
    return "".join(path)


def _y(value: float, low: float, high: float) -> float:
    if high == low:
        return (_TOP + _BOTTOM) / 2
    return _BOTTOM - (value - low) / (high - low) * (_BOTTOM - _TOP)
