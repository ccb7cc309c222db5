"""The views that the histories are run with: every aggregation, a window of each hop, and a second version of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from detektor_pipelines.language import (
    Feature,
    FeatureView,
    count,
    days,
    distinct,
    event,
    feature,
    hours,
    last,
    maximum,
    mean,
    minimum,
    quantile,
    rate,
    std,
    total,
)

if TYPE_CHECKING:
    from detektor_pipelines.language import Aggregation, Derived, Window
    from detektor_pipelines.language.expressions import Predicate

AGENT = "code-reviewer"
PROJECTS = ("shop", "site", None)
GREATEST_SANE = 1_000
"""What the gate lets pass of `issues_found`; a greater one, of a reader that is wrong, say, fails days."""


def _feature(name: str, value: Aggregation | Derived, over: Window | None = None, where: Predicate | None = None) -> Feature:
    within = (None, GREATEST_SANE) if name.startswith("worst") else (None, None)
    return Feature(name, value, over, where, "x", "x", "x", within)


def _view(name: str, *features: Feature) -> FeatureView:
    return FeatureView(name, AGENT, "1.0.0", "x", "x", features)


FIRST = {
    "plain": _view(
        "torture_plain",
        _feature("n_6h", count(), hours(6)),
        _feature("n_1d", count(), days(1)),
        _feature("n_30d", count(), days(30)),
        _feature("mean_1d", mean(event.issues_found), days(1)),
        _feature("rejected_1d", rate(event.verdict == "rejected"), days(1)),
        _feature("worst_6h", maximum(event.issues_found), hours(6)),
        _feature("latest_1d", last(event.issues_found), days(1)),
        _feature("tasks_30d", distinct(event.task_id), days(30)),
        _feature("load", feature("n_6h") / feature("n_1d") * 4.0),
    ),
    "other": _view(
        "torture_other",
        _feature("n_1d", count(), days(1), event.outcome == "success"),
        _feature("issues_7d", total(event.issues_found), days(7)),
        _feature("least_7d", minimum(event.issues_found), days(7)),
        _feature("spread_7d", std(event.duration_ms), days(7)),
        _feature("p80_7d", quantile(event.issues_found, "0.8", edges=(0, 1, 2, 5)), days(7)),
        _feature("failed_at", last(event.occurred_at), days(7), event.outcome == "failure"),
        _feature("tasks_6h", distinct(event.task_id), hours(6)),
        _feature("worst_6h", maximum(event.issues_found), hours(6), event.verdict == "rejected"),
    ),
}
"""The first version of each view. Two small ones, for what a run costs is the planning of its SQL, feature by feature."""


def second(view: FeatureView) -> FeatureView:
    """The view's next version: what was counted over a day is counted over two."""
    changed = tuple(replace(each, over=days(2)) if each.name == "n_1d" else each for each in view.features)
    return replace(view, version="1.1.0", features=changed)
