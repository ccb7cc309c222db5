"""How good the data are: days that are published, missing or stale, the age of the rows, nulls, parity, and drift where it was computed."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.errors import UserError
from detektor_pipelines.quality.freshness_report import freshness
from detektor_pipelines.quality.parity.check import ERRORS, last_results
from detektor_pipelines.quality.published import day_states
from detektor_pipelines.report.contents import NULL, Drifted, Quality
from detektor_pipelines.stores.connections import connect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.report.contents import Period, ViewSeries
    from detektor_pipelines.settings import Settings

DRIFT: Final = "detektor_pipelines.quality.drift"
DRIFT_COMMAND: Final = "detektor drift"
_LEVELS: Final = ("alert", "watch", "calm", "too_few")


def quality(settings: Settings, views: Sequence[FeatureView], series: Mapping[str, ViewSeries], period: Period) -> tuple[Quality, ...]:
    """Return each view's state.

    Raises:
        UserError: PostgreSQL cannot be reached.

    """
    from detektor_pipelines.quality.freshness import views_freshness

    states = {each.view: each for each in freshness(settings, views)}
    fresh, parity = views_freshness(settings, views), _parity(settings)
    with connect(settings) as connection:
        published = {view.name: day_states(connection, view) for view in views}
    found = []
    for view in views:
        days = {day: state for day, state in published[view.name].items() if period.first <= day <= period.last}
        state, finding = states[view.name], fresh[view.name]
        found.append(
            Quality(
                view.name,
                sum(each.rows for each in days.values()),
                len(days),
                len(period.days),
                tuple(day for day in state.missing if period.first <= day <= period.last),
                tuple(day for day in state.stale if period.first <= day <= period.last),
                finding.passed,
                finding.summary,
                _nulls(series.get(view.name)),
                parity.get(view.name, "not asked yet: `detektor parity`"),
                state.fix or "",
            )
        )
    return tuple(found)


def drift(settings: Settings) -> tuple[tuple[Drifted, ...] | None, str]:
    """Return the latest drift of each feature, the furthest first; None, and what computes it, where it was not computed."""
    try:
        found = _latest(settings)
    except UserError as error:
        return None, f"{error.what} `{DRIFT_COMMAND}` computes it."
    if not found:
        return None, f"Not computed yet. `{DRIFT_COMMAND}` computes it; then make this report again."
    drifted = [
        Drifted(
            each.view,
            each.feature,
            str(each.method),
            None if each.score is None else float(each.score),
            str(each.level),
            int(each.n_reference),
            int(each.n_current),
            _interval(each.interval),
            _window(each.window),
        )
        for each in found
    ]
    order = {level: number for number, level in enumerate(_LEVELS)}
    return tuple(sorted(drifted, key=lambda each: (order.get(each.level, len(order)), -(each.score or 0), each.view, each.feature))), ""


def _latest(settings: Settings) -> list[Any]:
    """Return what the drift check found last; imported by name, for it is not needed for the rest."""
    if find_spec(DRIFT) is None:
        return []
    return list(import_module(DRIFT).latest(settings))


def _interval(ends: Any) -> str:
    return "" if ends is None or any(each is None for each in ends) else f"{ends[0]:.3f} to {ends[1]:.3f}"


def _window(window: Any) -> str:
    return " to ".join(str(each) for each in window) if isinstance(window, tuple) else str(window)


def _nulls(series: ViewSeries | None) -> float | None:
    """Return the share of nulls among the values of the days that are published."""
    if series is None:
        return None
    values = [value for each in series.series for value in each.values if not isinstance(value, str) or value == NULL]
    return sum(value == NULL for value in values) / len(values) if values else None


def _parity(settings: Settings) -> dict[str, str]:
    """Return what the last `detektor parity` said of each view; nothing where Redis does not answer or nobody has asked."""
    try:
        results = last_results(settings)
    except UserError:
        return {}
    found = {}
    for name, each in (results or {"views": {}})["views"].items():
        wrong = sum(number for state, number in each["states"].items() if state in ERRORS)
        found[name] = f"{wrong:,} of {each['compared']:,} values wrong" if wrong else f"all {each['compared']:,} values right"
    return found
