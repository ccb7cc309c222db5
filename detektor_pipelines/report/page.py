"""The report as one HTML file: nothing is loaded from anywhere, and every text from a log is escaped."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from detektor_pipelines.report import charts
from detektor_pipelines.report.chance import ALPHA
from detektor_pipelines.report.contents import MISSING, NULL

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from jinja2 import Template

    from detektor_pipelines.report.contents import Did, Drifted, Report, Series

_WEEKLY_FROM: Final = 60
"""Days from which bars and tables are by week."""
_WEEK: Final = 7
_LISTED_DRIFT: Final = 12
LEVELS: Final = {"alert": "▲ alert", "watch": "◆ watch", "calm": "● calm", "too_few": "○ too few values"}
"""Said by a sign and a word, never by colour alone."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """The period in parts of a week (or a day): their labels, and where each begins and ends in the days."""

    labels: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    by_week: bool

    def sums(self, values: Sequence[int]) -> list[int]:
        """Return the sums of the parts."""
        return [sum(values[first:last]) for first, last in self.spans]

    def lasts(self, values: Sequence[Any]) -> list[Any]:
        """Return each part's last value."""
        return [values[last - 1] for _, last in self.spans]


def render(report: Report) -> str:
    """Return the page."""
    buckets = buckets_of(report.period.days)
    return _template().render(
        report=report,
        days=report.period.days,
        buckets=buckets,
        style=Markup(_text("style.css")),  # noqa: S704  our own file
        patterns=charts.PATTERNS,
        agents=[_agent(report, did, buckets) for did in report.did if did.mapped],
        others=[did for did in report.did if not did.mapped],
        drift=_drift(report.drift),
        levels=LEVELS,
        alpha=ALPHA,
    )


def buckets_of(days: Sequence[date]) -> Buckets:
    """Divide a period: short ones by day, long ones into weeks counted back from the end, so that the last is whole."""
    size = _WEEK if len(days) >= _WEEKLY_FROM else 1
    ends = sorted(range(len(days), 0, -size))
    spans = tuple((max(0, end - size), end) for end in ends)
    labels = tuple(f"{days[first]} to {days[last - 1]}" if size > 1 else str(days[first]) for first, last in spans)
    return Buckets(labels, spans, size > 1)


def _agent(report: Report, did: Did, buckets: Buckets) -> dict[str, Any]:
    """Return what the page shows of one of the eight agents."""
    view = next((each for each in report.views if each.agent == did.name), None)
    days = report.period.days
    features = [] if view is None else [_feature(each, days, f"{did.name}-{each.feature}") for each in view.series]
    return {
        "did": did,
        "view": view,
        "features": features,
        "bars": charts.bars(
            buckets.sums(did.work), buckets.sums(did.failed), buckets.labels, f"{did.name}-work", f"{did.work_name} events of {did.name}"
        ),
        "tokens": charts.bars(
            buckets.sums(did.tokens_by_day),
            [0] * len(buckets.spans),
            buckets.labels,
            f"{did.name}-tokens",
            f"Tokens of {did.name}",
        ),
        "token_parts": charts.share_bar(
            [
                ("sent", did.tokens.sent),
                ("produced", did.tokens.produced),
                ("read from the cache", did.tokens.cache_read),
                ("written to the cache", did.tokens.cache_written),
            ],
            f"{did.name}-parts",
            f"Kinds of tokens of {did.name}",
        ),
        "table": [] if view is None else [[said(each) for each in buckets.lasts(series.values)] for series in view.series],
    }


def _feature(series: Series, days: Sequence[date], identity: str) -> dict[str, Any]:
    known = series.known
    return {
        "series": series,
        "chart": charts.sparkline(series, days, identity),
        "last": said(series.values[-1]),
        "low": charts.number(min(known)) if known else "",
        "high": charts.number(max(known)) if known else "",
        "nulls": series.values.count(NULL),
        "missing": series.values.count(MISSING),
    }


def said(value: float | str) -> str:
    """Return a value as the page writes it."""
    return value if isinstance(value, str) else charts.number(float(value))


def with_code(text: str) -> Markup:
    """Return a text, escaped, in which what stands between backticks is code."""
    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if position % 2 else part for position, part in enumerate(parts))


def _drift(found: Sequence[Drifted] | None) -> dict[str, Any] | None:
    """Return counts by level over features (each by its furthest method), those to look at, and the rest."""
    if found is None:
        return None
    furthest: dict[tuple[str, str], Drifted] = {}
    for each in found:  # the furthest first
        furthest.setdefault((each.view, each.feature), each)
    rows = list(furthest.values())
    return {
        "counts": Counter(each.level for each in rows),
        "first": [each for each in rows if each.level in {"alert", "watch"}][:_LISTED_DRIFT] or rows[:3],
        "all": found,
    }


@lru_cache(maxsize=1)
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    # Autoescape is on for every text, whatever the template's name
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["figure"] = lambda value: f"{value:,}"
    environment.filters["value"] = said
    environment.filters["code"] = with_code
    return environment.from_string(_text("page.html"))


def _text(name: str) -> str:
    return files("detektor_pipelines.report").joinpath(name).read_text(encoding="utf-8")
