"""The list of metrics keeps Prometheus' conventions, and says of each what to do."""

from __future__ import annotations

import re

import pytest

from detektor_pipelines.metric import Metric
from detektor_pipelines.monitoring.metrics import METRICS

ALL = sorted({each.name: each for metrics in METRICS.values() for each in metrics}.values(), key=lambda each: each.name)
LITERAL = {"feast_online_serving_latency"}
"""Names that others ask for: they keep them, without a unit too."""

LABELS = {
    "project",
    "view",
    "feature",
    "method",
    "state",
    "status",
    "server",
    "query",
    "check",
    "level",
    "agent",
    "version",
    "hash",
    "reason",
}
"""What the definitions, or our own code, bound."""


@pytest.mark.parametrize("metric", ALL, ids=lambda each: each.name)
def test_a_name_ends_in_its_unit(metric: Metric) -> None:
    assert re.fullmatch(r"(detektor|feast)_[a-z][a-z0-9_]*[a-z0-9]", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    if metric.unit in {"seconds", "bytes"}:
        assert metric.name.removesuffix("_total").endswith(f"_{metric.unit}") or metric.name in LITERAL
    if metric.unit == "ratio":
        assert metric.name.endswith("_ratio")
    assert metric.unit in {"", "seconds", "bytes", "ratio"}
    assert not metric.name.endswith("_created")
    assert set(metric.labels) <= LABELS


@pytest.mark.parametrize("metric", ALL, ids=lambda each: each.name)
def test_its_text_says_more_than_what_it_is(metric: Metric) -> None:
    assert re.search(r"[.:;?]", metric.text.rstrip(".")), "a second part says what to do"
    assert len(metric.text) <= 200
    assert metric.text.endswith(".")


def test_a_name_is_one_thing_everywhere() -> None:
    declared = [each for metrics in METRICS.values() for each in metrics]
    assert {each.name for each in declared} == {each.name for each in ALL}
    assert len(set(declared)) == len(ALL)


def test_a_family_is_as_declared() -> None:
    family = Metric("detektor_tests_total", "counter", "Tests. Few: write more.", ("kind",)).family([(("unit",), 3)])
    assert [(each.name, each.labels, each.value) for each in family.samples] == [("detektor_tests_total", {"kind": "unit"}, 3)]
    with pytest.raises(ValueError, match="histogram"):
        Metric("a", "histogram", "A.").family()
