"""Grafana's dashboard: what it asks for exists, what it says fits Grafana's schema, and nobody edits it by hand."""

from __future__ import annotations

import enum
import inspect
import json
import re
import types
import typing
from itertools import pairwise
from typing import Any

import promql_parser as promql
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.language.events import AGENT_TYPES
from detektor_pipelines.monitoring import dashboard, panels
from detektor_pipelines.monitoring.metrics import METRICS

PANELS = [panel for row in panels.ROWS for panel in row.panels]
QUERIES = [(panel.title, query) for panel in PANELS for query in panel.queries]
LISTED = {metric.name: metric for server in METRICS.values() for metric in server}
SUFFIXES = ("_bucket", "_count", "_sum")


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return dict(json.loads(dashboard.render()[dashboard.DASHBOARD_FILE]))


def test_the_names_that_others_ask_for(made):
    assert made["uid"] == "feast-feature-store"
    assert dashboard.DASHBOARD_FILE == "monitoring/grafana/dashboards/feast-overview.json"
    titles = [panel["title"].partition(":")[0] for panel in made["panels"] if panel["type"] == "row"]
    assert titles == ["Objective", "Serving", "Stream", "Batch", "Quality", "Stores"]
    assert len([panel for panel in made["panels"] if panel["type"] != "row"]) >= 12
    assert "0.999" in json.dumps(made)
    assert "feast_online_serving_latency" in json.dumps(made)


def test_variables_are_agents_and_projects(made):
    variables = {each["name"]: each for each in made["templating"]["list"]}
    offered = {each["text"]: each["value"] for each in variables["agent"]["options"]}
    assert offered.pop("All") == "$__all"
    assert list(offered) == list(AGENT_TYPES)
    assert offered == {view.agent: view.name for view in VIEWS}
    used = " ".join(query.expr for _, query in QUERIES)
    assert '{view=~"$agent"' in used
    assert 'project=~"$project"' in used
    assert set(re.findall(r"\$(\w+)", used)) == {"agent", "project", "__rate_interval"}
    asked = variables["project"]["query"]["query"]
    name, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", asked).groups()
    assert label in LISTED[name].labels


@pytest.mark.parametrize(("title", "query"), QUERIES, ids=[f"{title}: {query.legend}" for title, query in QUERIES])
def test_a_query_asks_for_what_there_is(title, query):
    parsed = promql.parse(panels.asked(query.expr))
    found = dict(selectors(parsed))
    assert found, "a query asks for something"
    shown = set(re.findall(r"{{(\w+)}}", query.legend))
    for name, labels in found.items():
        metric = LISTED.get(name) or LISTED[name.removesuffix(next(each for each in SUFFIXES if name.endswith(each)))]
        known = {*metric.labels} | ({"le"} if name.endswith("_bucket") else set())
        assert labels | grouped(parsed) | shown <= known, title
        if name.endswith(SUFFIXES):
            assert metric.kind == "histogram"
        else:
            assert (metric.kind == "counter") == name.endswith("_total")


def test_counters_are_rates_and_gauges_are_not():
    for title, query in QUERIES:
        counters = re.findall(r"\w+_total\b|\w+_bucket\b", query.expr)
        assert len(counters) == len(re.findall(r"(?:rate|increase)\((?:\w+_total|\w+_bucket)\b", query.expr)), title


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_a_panel_says_what_it_shows_and_what_to_do(panel):
    assert panel.text.endswith(".")
    limits = [each.above for each in panel.limits]
    assert limits[:1] in ([], [None])
    assert all(a < b for a, b in pairwise(limits[1:]))
    if panel.runbook:
        assert any(f"docs/runbooks/{panel.runbook}.md" in metric.text for metric in LISTED.values()), panel.runbook
    assert panel.kind != "state-timeline" or panel.words


def test_panels_neither_overlap_nor_leave_the_grid():
    taken: set[tuple[int, int]] = set()
    for each in panels.placed(panels.ROWS):
        cells = {(x, y) for x in range(each.x, each.x + each.width) for y in range(each.y, each.y + each.height)}
        assert not cells & taken, each.what.title
        assert max(x for x, _ in cells) < panels.WIDTH
        taken |= cells
    assert len({panel.title for panel in PANELS}) == len(PANELS)


def test_it_fits_grafanas_schema(made):
    register_default_plugins()
    read = Dashboard.from_json(made)
    assert json.loads(json.dumps(read, cls=JSONEncoder)) == made, "a key that the schema does not have"
    assert list(misfits(read, Dashboard, "dashboard")) == []
    made["panels"][1]["gridPos"]["w"] = "wide"
    made["panels"][2]["fieldConfig"]["defaults"]["thresholds"]["mode"] = "relative"
    wrong = list(misfits(Dashboard.from_json(made), Dashboard, "dashboard"))
    assert [each.partition(":")[0].rpartition(".")[2] for each in wrong] == ["w", "mode"]


def test_provisioning_finds_the_dashboard_and_prometheus():
    rendered = dashboard.render()
    source = yaml.safe_load(rendered[dashboard.DATASOURCE_FILE])["datasources"][0]
    assert (source["type"], source["url"]) == ("prometheus", "$DETEKTOR_PROMETHEUS_URL")
    provider = yaml.safe_load(rendered[dashboard.PROVIDER_FILE])["providers"][0]
    assert (provider["type"], provider["options"]["path"]) == ("file", "$DETEKTOR_DASHBOARDS")


def selectors(node: Any) -> typing.Iterator[tuple[str, set[str]]]:
    """Yield each metric that a parsed query asks for, with the labels that it is narrowed by."""
    if isinstance(node, promql.VectorSelector):
        yield node.name, {matcher.name for matcher in node.matchers.matchers}
    for child in children(node):
        yield from selectors(child)


def grouped(node: Any) -> set[str]:
    """Return the labels that aggregations of a parsed query keep."""
    own = set(node.modifier.labels) if isinstance(node, promql.AggregateExpr) and node.modifier else set()
    return own.union(*(grouped(child) for child in children(node)))


def children(node: Any) -> list[Any]:
    named = [getattr(node, name, None) for name in ("expr", "lhs", "rhs", "vector_selector")]
    return [each for each in (*named, *(getattr(node, "args", None) or ())) if each is not None]


def misfits(value: Any, expected: Any, path: str) -> typing.Iterator[str]:
    """Yield where a value is not of the type that Grafana's schema, as the SDK was made from it, gives its place."""
    origin, parts = typing.get_origin(expected), typing.get_args(expected)
    if origin in (typing.Union, types.UnionType):
        yield from misfits_of_all(value, parts, path)
    elif origin is list or origin is dict:
        if not isinstance(value, origin):
            yield f"{path}: {value!r}"
            return
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from misfits(each, parts[-1], f"{path}.{key}")
    elif hasattr(expected, "from_json") and isinstance(value, expected | dict):
        read = expected.from_json(value) if isinstance(value, dict) else value  # the SDK leaves some, as links, unread
        for name, hint in typing.get_type_hints(type(read)).items():
            yield from misfits(getattr(read, name), hint, f"{path}.{name}")
    elif not fits(value, expected, parts):
        yield f"{path}: {value!r}"


def misfits_of_all(value: Any, parts: tuple[Any, ...], path: str) -> list[str]:
    """Return the fewest misfits that any of the types gives, those of the value's own kind first."""
    if value is None and type(None) in parts:
        return []
    own = [part for part in parts if (typing.get_origin(part) or part) is type(value)]
    return min((list(misfits(value, part, path)) for part in own or parts if part is not type(None)), key=len)


def fits(value: Any, expected: Any, parts: tuple[Any, ...]) -> bool:
    if typing.get_origin(expected) is typing.Literal:
        return value in parts
    if inspect.isclass(expected) and issubclass(expected, enum.Enum):
        return value in {each.value for each in expected}
    return expected in (Any, object) or isinstance(value, int | float if expected is float else expected)
