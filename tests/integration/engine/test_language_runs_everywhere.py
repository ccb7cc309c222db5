"""What the language lets through runs in every place that a definition reaches, and gives the same values there.

Each aggregation meets each operand, and each form of filter meets a count. What the language refuses, it refuses by a DefinitionError; all
the rest is computed by DuckDB, by PostgreSQL and by the stream's fold, checked by the gate, registered with Feast, stored and described.
"""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.engine_cases import ORIGIN, comparable, crafted, event_table
from support.log_rows import insert, partition_log
from support.oracle import rows, values

from detektor_pipelines.compile import client, docs, feast, lineage, pandera
from detektor_pipelines.compile.fold import fold
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import POSTGRES, Span, reach_back, states_sql
from detektor_pipelines.compile.tiles import tiles_sql
from detektor_pipelines.engine import compute as engine
from detektor_pipelines.engine.as_of import values_at
from detektor_pipelines.language import (
    Aggregation,
    DefinitionError,
    Feature,
    FeatureView,
    count,
    data_hash,
    days,
    distinct,
    event,
    feature,
    first,
    hours,
    last,
    last_k,
    maximum,
    mean,
    metadata_hash,
    minimum,
    quantile,
    rate,
    skewness,
    std,
    top_k,
    total,
    variance,
)
from detektor_pipelines.language.events import CATEGORIES, IDENTITIES, MEASURES
from detektor_pipelines.language.expressions import MAXIMUM_DEPTH, Constant, Operand
from detektor_pipelines.language.views import MAXIMUM_VIEW_NAME
from detektor_pipelines.language.windows import DAY, HOUR
from detektor_pipelines.stores.connections import connect_arrow
from detektor_pipelines.stores.offline.rows import ensure_tables, row_table
from detektor_pipelines.stores.raw_log.reader import integer_events_sql, read_events
from detektor_pipelines.stream.state import ViewState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from detektor_pipelines.language.expressions import Predicate
    from detektor_pipelines.settings import Settings

EVENTS: Final = crafted()
START, END = ORIGIN - DAY, ORIGIN + 32 * DAY
WINDOWS: Final = (hours(6), days(1), days(12))

OPERANDS: Final[dict[str, Any]] = {
    **{name: getattr(event, name) for name in ("issues_found", "duration_ms", "score_milli", "lead_time_ms")},
    **{name: getattr(event, name) for name in ("occurred_at", "verdict", "topic", "operation", "agent_type", *IDENTITIES)},
    "a difference": event.issues_found - event.issues_minor,
    "a product": event.duration_ms * event.attempt,
    "a square": event.issues_found * event.issues_found,
    "below zero": event.issues_found - 10_000,
    "an instant and a number": event.occurred_at + 1,
    "between instants": event.occurred_at - event.occurred_at,
    "a number": Constant(7),
    "the least number": Constant(-(2**63) + 1),
    "a text": Constant("a"),
    "a condition": event.verdict == "rejected",
    "a condition of a number": event.issues_found > 3,
    "a python number": 5,
    "a python text": "verdict",
    "nothing": None,
}

FUNCTIONS: Final[dict[str, Callable[[Any], Aggregation]]] = {
    "total": total,
    "mean": mean,
    "rate": rate,
    "minimum": minimum,
    "maximum": maximum,
    "variance": variance,
    "std": std,
    "skewness": skewness,
    "first": first,
    "last": last,
    "the last three": lambda operand: last_k(operand, 3),
    "the last one": lambda operand: last_k(operand, 1),
    "the two greatest": lambda operand: top_k(operand, 2),
    "distinct": distinct,
    "median": lambda operand: quantile(operand, "0.5", edges=_edges(operand)),
    "greatest": lambda operand: quantile(operand, "1", edges=_edges(operand)[:1]),
}

FILTERS: Final[dict[str, Callable[[], Predicate]]] = {
    **{f"a number {sign}": (lambda sign=sign: getattr(event.issues_found, sign)(3)) for sign in ("__lt__", "__le__", "__gt__", "__ge__")},
    **{f"{sign} of both": (lambda sign=sign: getattr(event.issues_found, sign)(event.duration_ms)) for sign in ("__eq__", "__ne__")},
    "a text is": lambda: event.verdict == "rejected",
    "a text is not": lambda: event.verdict != "rejected",
    "texts are one": lambda: event.verdict == event.outcome,
    "two texts": lambda: Constant("a") == "a",
    "two numbers": lambda: Constant(1) > 2,
    "an instant after": lambda: event.occurred_at > ORIGIN + DAY,
    "an instant and a measure": lambda: event.occurred_at - event.duration_ms > ORIGIN,
    "the greatest number": lambda: event.issues_found < 2**63 - 1,
    "a number of a number": lambda: event.issues_found * 2 + 1 == event.issues_minor,
    "one of a few": lambda: event.issues_found.is_in((1, 3, 9)),
    "one of as many as can be": lambda: event.issues_found.is_in(range(MAXIMUM_DEPTH - 1)),
    "one of too many": lambda: event.issues_found.is_in(range(5_000)),
    "null": event.issues_found.is_null,
    "null sum": (event.issues_found + event.issues_minor).is_null,
    "known": event.verdict.is_known,
    "and": lambda: (event.issues_found > 3) & (event.verdict == "rejected"),
    "or": lambda: (event.issues_found > 3) | (event.verdict == "rejected"),
    "not": lambda: ~((event.issues_found > 3) | ~(event.verdict == "rejected")),
    "project": lambda: event.project != "q",
    "agent": lambda: event.agent_type == "code-reviewer",
    **{
        f"the text {text!r}": (lambda text=text: event.task_id != text)
        for text in ("", "'", "''; --", '"', "\\", "\\'", "%s %", "{}", "ż", "\n", "$1", ":a", "\0", "\ud800", "x" * 5_000)
    },
}


def _edges(operand: Any) -> tuple[int, ...]:
    """Edges within whatever range the operand has."""
    if not isinstance(operand, Operand):
        return (1,)
    low, high = operand.bounds
    return tuple(sorted({low, (low + high) // 2, high}))


def accepted() -> Iterator[Feature]:
    """Features of everything that the language lets through; any other refusal than its own is a failure."""
    windows, filters = cycle(WINDOWS), cycle((None, *(event.verdict == each for each in ("rejected", "approved")), event.project == "p"))
    number = 0
    for function, make in FUNCTIONS.items():
        for name, operand in OPERANDS.items():
            try:
                value = make(operand)
                yield made(f"f{number}", value, over=next(windows), where=next(filters), description=f"{function} of {name}")
            except DefinitionError:
                pass
            number += 1
    for name, where in FILTERS.items():
        try:
            condition = where()
            yield made(f"f{number}", count(), over=next(windows), where=condition, description=f"events with {name}")
            yield made(f"r{number}", rate(condition), over=next(windows), description=f"share with {name}")
        except DefinitionError:
            pass
        number += 1


def made(name: str, value: Any, **more: Any) -> Feature:
    return Feature(name, value, **{"unit": "things", "null_means": "Nothing.", **more})


ACCEPTED: Final = list(accepted())


def views() -> list[FeatureView]:
    """All of it in views of 20 features, each with a derived one where there are numbers."""
    found = []
    for number, start in enumerate(range(0, len(ACCEPTED), 20)):
        some = tuple(ACCEPTED[start : start + 20])
        numbers = [each.name for each in some if each.value_type != "text"]
        ratio = [made("derived", feature(numbers[0]) / feature(numbers[-1]) - 1.5, description="A ratio.")] if numbers else []
        name = f"every{number}_".ljust(MAXIMUM_VIEW_NAME, "x")
        found.append(FeatureView(name, "code-reviewer", "1.0.0", "x", "All of it.", (*some, *ratio)))
    return found


VIEWS: Final = views()
every_view = pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name.rstrip("x_"))


def named(view: FeatureView, found: Any) -> dict[str, Any]:
    return dict(zip((f"{each.name}: {each.description}" for each in view.features), found, strict=True))


def test_each_aggregation_and_each_kind_of_operand_is_among_what_runs() -> None:
    aggregations = [each.value for each in ACCEPTED if isinstance(each.value, Aggregation)]

    assert {each.function for each in aggregations} == {
        *("count", "total", "mean", "rate", "minimum", "maximum", "variance", "std", "skewness"),
        *("first", "last", "last_k", "top_k", "distinct", "quantile"),
    }
    assert {each.operand.kind for each in aggregations if each.operand is not None} == {"integer", "instant", "text", "truth"}
    assert len(ACCEPTED) > 100


@pytest.mark.parametrize("name", [*MEASURES, *CATEGORIES, *IDENTITIES, "operation", "agent_type"])
def test_every_column_can_be_counted_but_the_instant(name: str) -> None:
    assert distinct(getattr(event, name)).operand is not None


@pytest.mark.slow
@every_view
def test_duckdb_gives_the_oracles_rows_and_the_gate_lets_them_through(view: FeatureView) -> None:
    table = engine.compute(view, event_table(view, EVENTS), start=START, end=END)
    expected = rows(view, EVENTS, start=START, end=END)

    assert [row[:3] for row in comparable(table)] == [row[:3] for row in expected]
    for ours, theirs in zip(comparable(table), expected, strict=True):
        assert named(view, ours[3]) == named(view, theirs[3]), ours[:3]
    pandera.schema(view).validate(pandera.frame(table), lazy=True)


@pytest.mark.slow
@every_view
def test_the_stream_and_an_exact_read_give_the_oracles_values(view: FeatureView) -> None:
    instant = ORIGIN + DAY + 10 * HOUR + 1
    compiled = fold(plan(view))
    state = ViewState(compiled, instant)
    past = [each for each in EVENTS if each.occurred_at <= instant and each.live]
    for each in past:
        row = each.row()
        contribution = compiled.contribution(each.occurred_at, each.project, *(row.get(name) for name in compiled.columns))
        for key in [view.agent, *([f"{view.agent}@{each.project}"] if each.project and contribution else [])]:
            if contribution is not None:
                state.add(key, each.occurred_at, each.event_id, contribution)
    exact = values_at(view, event_table(view, EVENTS), instant)

    for key in (view.agent, f"{view.agent}@p", f"{view.agent}@q"):
        own = [each for each in past if key in {view.agent, f"{view.agent}@{each.project}"}]
        expected = named(view, values(view, own, instant, as_served=False))
        assert named(view, state.values(key)) == expected, key
        assert named(view, exact[key]) == expected, key


@pytest.mark.slow
@every_view
def test_the_tiles_of_a_history_are_what_the_fold_adds_up(view: FeatureView) -> None:
    compiled = fold(plan(view))
    parts = [range(len(part)) for part in (compiled.plan.prepared, compiled.lasts, compiled.extremes, compiled.distincts, compiled.ranked)]
    with engine.loaded(event_table(view, EVENTS), compiled.plan) as duck:
        whole = [row for row in duck.execute(tiles_sql(compiled, 100_000 * DAY, *parts)).fetchall() if row[0] == view.agent]
    state = ViewState(compiled, END)
    hop = next(iter(state.hops))
    added = [0] * len(compiled.plan.prepared)
    for each in EVENTS:
        row = each.row()
        contribution = compiled.contribution(each.occurred_at, each.project, *(row.get(name) for name in compiled.columns))
        if each.live and contribution is not None:
            added = [one + other for one, other in zip(added, contribution, strict=False)]

    assert hop.size
    assert [list(row[2 : 2 + len(added)]) for row in whole] == [added]


@pytest.mark.slow
def test_postgres_gives_the_states_of_duckdb_and_stores_the_rows(module_database: Settings) -> None:
    partition_log(module_database)
    insert(module_database, EVENTS)
    ensure_tables(module_database, VIEWS)
    for view in VIEWS:
        compiled = plan(view)
        start = START - reach_back(compiled)
        with connect_arrow(module_database) as connection, connection.cursor() as cursor:
            table = read_events(connection, view.agent, compiled.columns, start, END)
            source = integer_events_sql(view.agent, compiled.columns, start, END)
            ranked = f"events AS (SELECT *, row_number() OVER (ORDER BY ts, event_id) AS seq FROM ({source}) e)"
            for form in ("served", "known_now"):
                text = states_sql(compiled, Span(START, END), form=form, late=True, dialect=POSTGRES)
                cursor.execute(text.replace("WITH ", f"WITH {ranked}, ", 1))
                theirs = engine.states_of(cursor.fetch_arrow_table())
                with engine.loaded(table, compiled) as duck:
                    ours = engine.states_of(duck.sql(states_sql(compiled, Span(START, END), form=form, late=True)).to_arrow_table())
                assert ours.keys.to_pylist() == theirs.keys.to_pylist()
                for name, (found, valid) in ours.columns.items():
                    assert found.tolist() == theirs.columns[name][0].tolist(), (view.name, name)
                    assert valid.tolist() == theirs.columns[name][1].tolist(), (view.name, name)
            cursor.execute(
                "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'feast' AND table_name = $1", (row_table(view),)
            )
            assert cursor.fetchone() == (len(view.features) + 4,)


@every_view
def test_feast_the_docs_and_the_client_describe_it(view: FeatureView) -> None:
    types = {"int64": "Int64", "float64": "Float64", "instant": "UnixTimestamp", "text": "String"}
    registered = feast.feature_view(view)

    assert {field.name: str(field.dtype) for field in registered.features} == {each.name: types[each.value_type] for each in view.features}
    assert registered.to_proto().spec.name == view.name
    for path, text in docs.render([view]).items():
        text.encode()
        assert "quantile" in text, path
    (text,) = client.render([view]).values()
    compile(text, "agents.py", "exec")
    assert set(lineage.columns_read(view)) == {"agent_id", "event_timestamp", "created_at", *(each.name for each in view.features)}
    assert data_hash(view) != metadata_hash(view)
