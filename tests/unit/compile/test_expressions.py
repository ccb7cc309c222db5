"""Expressions mean the same in Python and in SQL: random trees, nulls and three-valued logic among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detektor_pipelines.compile.expressions import condition, operand, passing
from detektor_pipelines.language import DefinitionError, event
from detektor_pipelines.language.events import MEASURES

if TYPE_CHECKING:
    from collections.abc import Callable

    from detektor_pipelines.language.expressions import Expression, Operand, Predicate

INTEGERS = ("issues_found", "review_round", "score_milli", "duration_ms")
TEXTS = ("verdict", "project", "task_id")
PROJECTS = ("shop", "o'hara", "żółw", "")

Row = dict[str, int | str | None]


def _integer(name: str) -> st.SearchStrategy[int | None]:
    low, high = MEASURES[name].minimum, MEASURES[name].maximum
    return st.one_of(st.none(), st.integers(low, min(high, 3)), st.sampled_from((low, high)))


texts = st.one_of(st.none(), st.sampled_from(PROJECTS))
rows = st.fixed_dictionaries(
    {
        **{name: _integer(name) for name in INTEGERS},
        "verdict": st.sampled_from((None, "approved", "rejected")),
        "project": texts,
        "task_id": texts,
        "occurred_at": st.integers(0, 2**53),
    }
)


def _calculated(pair: tuple[Operand, Operand], sign: str) -> Operand:
    left, right = pair
    try:
        return {"+": left.__add__, "-": left.__sub__, "*": left.__mul__}[sign](right)
    except DefinitionError:  # beyond int64
        return left


integers: st.SearchStrategy[Operand] = st.recursive(
    st.one_of(st.sampled_from([getattr(event, name) for name in (*INTEGERS, "occurred_at")])),
    lambda inner: st.builds(_calculated, st.tuples(inner, st.one_of(inner, st.integers(-3, 2**40))), st.sampled_from("+-*")),
    max_leaves=4,
)
signs = st.sampled_from(("__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__"))
equalities = st.sampled_from(("__eq__", "__ne__"))
comparisons = st.one_of(
    st.builds(lambda left, sign, right: getattr(left, sign)(right), integers, signs, st.one_of(integers, st.integers(-3, 2**62))),
    st.builds(lambda sign, right: getattr(event.verdict, sign)(right), equalities, st.sampled_from(("approved", "rejected"))),
    st.builds(lambda sign, right: getattr(event.project, sign)(right), equalities, st.sampled_from((*PROJECTS, event.task_id))),
    st.builds(event.project.is_in, st.lists(st.sampled_from(PROJECTS), min_size=1, max_size=3)),
    st.builds(lambda tested: tested.is_null(), integers),
    st.builds(lambda tested: tested.is_known(), st.sampled_from([getattr(event, name) for name in TEXTS])),
)
predicates: st.SearchStrategy[Predicate] = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner), st.builds(lambda a, b: a | b, inner, inner), st.builds(lambda a: ~a, inner)
    ),
    max_leaves=6,
)


def answers(expressions: list[str], table: list[Row]) -> list[tuple[Any, ...]]:
    """What DuckDB says of each expression for each row."""
    columns = [f"{name} BIGINT" for name in ("number", "ts", *INTEGERS)] + [f"{name} VARCHAR" for name in TEXTS]
    with duckdb.connect(":memory:") as engine:
        engine.execute(f"CREATE TABLE events ({', '.join(columns)})")
        for number, row in enumerate(table):
            values = [number, row["occurred_at"], *(row[name] for name in (*INTEGERS, *TEXTS))]
            engine.execute(f"INSERT INTO events VALUES ({', '.join('?' * len(values))})", values)
        return engine.execute(f"SELECT {', '.join(expressions)} FROM events ORDER BY number").fetchall()


def assert_same(expressions: list[Any], table: list[Row], text: Callable[[Expression], str]) -> None:
    found = answers([text(each) for each in expressions], table)
    for row, theirs in zip(table, found, strict=True):
        for each, their in zip(expressions, theirs, strict=True):
            ours = each.evaluate(row)
            assert (ours, type(ours)) == (their, type(their)), (each.canonical(), row)


@settings(max_examples=60, deadline=None)
@given(st.lists(predicates, min_size=1, max_size=6), st.lists(rows, min_size=1, max_size=6))
def test_a_predicate_says_the_same_in_sql(expressions: list[Predicate], table: list[Row]) -> None:
    assert_same(expressions, table, condition)


@settings(max_examples=60, deadline=None)
@given(st.lists(integers, min_size=1, max_size=6), st.lists(rows, min_size=1, max_size=6))
def test_an_operand_has_the_same_value_in_sql_and_within_its_bounds(expressions: list[Operand], table: list[Row]) -> None:
    assert_same(expressions, table, operand)
    for each in expressions:
        low, high = each.bounds
        assert all(low <= int(value) <= high for row in table if (value := each.evaluate(row)) is not None)


@settings(max_examples=60, deadline=None)
@given(predicates, rows)
def test_a_filter_lets_through_what_is_true_only(where: Predicate, row: Row) -> None:
    ((found,),) = answers([f"CASE WHEN {passing(where).replace('live', 'TRUE')} THEN 1 ELSE 0 END"], [row])

    assert (found == 1) is (where.evaluate(row) is True)


@given(predicates, rows)
def test_a_value_depends_on_the_columns_it_names_only(where: Predicate, row: Row) -> None:
    named = {name: value for name, value in row.items() if name in where.columns()}

    assert where.evaluate(named) is where.evaluate(row)


@pytest.mark.parametrize("left", [True, False, None])
@pytest.mark.parametrize("right", [True, False, None])
def test_logic_has_three_values(left: bool | None, right: bool | None) -> None:  # noqa: FBT001
    row: Row = {"issues_found": _number(left), "review_round": _number(right)}
    one, other = event.issues_found == 1, event.review_round == 1

    assert (one & other).evaluate(row) is (False if False in (left, right) else None if None in (left, right) else True)
    assert (one | other).evaluate(row) is (True if True in (left, right) else None if None in (left, right) else False)
    assert (~one).evaluate(row) is (None if left is None else not left)


def _number(truth: bool | None) -> int | None:  # noqa: FBT001
    return None if truth is None else int(truth)


def test_a_quote_in_a_text_stays_a_text() -> None:
    hostile = "'; DROP TABLE events; --"
    ((found,),) = answers(
        [condition(event.project == hostile)], [dict.fromkeys((*INTEGERS, *TEXTS, "occurred_at"), None) | {"project": hostile}]
    )

    assert found is True


def test_only_live_events_pass() -> None:
    assert passing(None) == "live"
    assert passing(event.issues_found > 1).startswith("live AND ")
