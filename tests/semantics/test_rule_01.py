"""Rule 1: each operation, measure and category is declared once and everything else is made from that; a view reads its own agent only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.log_rows import insert
from support.rule_log import run, stored
from support.rule_views import happened, view_of

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.clock import now_us
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.ingest.checks import problem
from detektor_pipelines.ingest.schema import render
from detektor_pipelines.language import count, days
from detektor_pipelines.language.events import AGENT_TYPES, CATEGORIES, IDENTITIES, MEASURES, OPERATIONS
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.raw_log.table import COLUMNS

if TYPE_CHECKING:
    from detektor_pipelines.language import FeatureView
    from detektor_pipelines.language.events import Operation
    from detektor_pipelines.settings import Settings

operations = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)


def made(operation: Operation, **changes: Any) -> AgentEvent:
    """An event with all that its operation requires."""
    measures = {name: MEASURES[name].minimum for name in operation.required if name in MEASURES}
    fields: dict[str, Any] = {"occurred_at": now_us(), "source": "test", "measures": measures}
    return AgentEvent("e", "code-reviewer", "reviewer", operation.name, **{**fields, **changes})


def test_01_the_operations_that_agents_are_seen_at_are_declared() -> None:
    assert {"review", "deploy", "implement", "document", "advise", "diagnose", "research", "tool_call", "feedback"} <= set(OPERATIONS)


@operations
def test_01_an_operation_names_measures_and_categories_that_are_declared(operation: Operation) -> None:
    assert set(operation.measures) <= set(MEASURES)
    assert set(operation.categories) <= set(CATEGORIES)
    assert set(operation.required) <= {*operation.measures, *operation.categories}


def test_01_a_measure_has_a_unit_a_minimum_and_a_maximum() -> None:
    for measure in MEASURES.values():
        assert measure.unit
        assert measure.minimum < measure.maximum


@operations
def test_01_ingest_checks_are_the_declarations(operation: Operation) -> None:
    assert problem(made(operation)) is None
    for name in (*MEASURES, *CATEGORIES):
        declared = name in (*operation.measures, *operation.categories)
        value = {name: MEASURES[name].maximum} if name in MEASURES else {}
        label = {name: (CATEGORIES[name].values or ("x",))[0]} if name in CATEGORIES else {}
        event = made(operation, measures={**made(operation).measures, **value}, categories=label)
        assert (problem(event) is None) is declared, name
    for name in operation.required:
        assert problem(made(operation, measures={})) == (f"{operation.name} lacks {name}", "")


def test_01_the_json_schema_has_every_declaration() -> None:
    properties = json.loads(render())["properties"]

    assert {*MEASURES, *CATEGORIES, *IDENTITIES} <= set(properties)
    for measure in MEASURES.values():
        text = json.dumps(properties[measure.name])
        assert f'"minimum": {measure.minimum}' in text
        assert f'"maximum": {measure.maximum}' in text


def test_01_the_raw_log_has_a_typed_column_for_every_declaration(log: Settings) -> None:
    query = (
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'ml_learning' AND table_name = 'agent_events'"
    )
    with connect(log) as connection:
        columns = dict(connection.execute(query).fetchall())

    assert {columns[name] for name in MEASURES} == {"bigint"}
    assert {columns[name] for name in (*CATEGORIES, *IDENTITIES)} == {"text"}
    assert {*MEASURES, *CATEGORIES} <= set(COLUMNS)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_01_a_view_reads_declared_columns_of_the_event_alone(view: FeatureView) -> None:
    assert set(plan(view).columns) <= {*MEASURES, *CATEGORIES, *IDENTITIES, "operation"}


def test_01_a_view_reads_the_events_of_its_own_agent_only(log: Settings) -> None:
    for number, agent in enumerate((*AGENT_TYPES, "unmapped")):
        insert(log, [happened("2026-03-05 10:00", event_id=str(number))], agent=agent)
    view = view_of(number=(count(), days(1)))
    run(log, view, "2026-03-05")

    assert [(row["agent_id"], row["number"]) for row in stored(log, view)] == [("code-reviewer", 1)]
