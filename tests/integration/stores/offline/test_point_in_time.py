from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detektor_pipelines import clock
from detektor_pipelines.stores.offline.gaps import Version
from detektor_pipelines.stores.offline.point_in_time import AT, GAPS, ROW, Relation, join, newest_of_each, newest_writing_of_each

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings

SECOND = 1_000_000
START = 1_772_712_000 * SECOND


class Row(NamedTuple):
    """Instants are seconds after START."""

    key: str
    at: int
    created: int
    written: int
    value: int


ROWS = st.lists(
    st.builds(Row, st.sampled_from(["a", "a1", "b"]), st.integers(0, 6), st.integers(0, 8), st.integers(0, 3), st.integers(0, 99)),
    max_size=12,
    unique_by=lambda row: row[:4],
)
LABELS = st.lists(st.tuples(st.sampled_from(["a", "a1", "b", "c"]), st.integers(-1, 9)), max_size=8)
RELATION = Relation("rows", (("key", "key"),), (("value", "value"),), "at", "created", "written")
OURS = replace(RELATION, version=Version("view", "agent", "hash", grain=2 * SECOND, reach=SECOND))
HIDDEN = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(-2, 8), st.integers(1, 4)), max_size=4)
"""Gaps of a key: start and length; those of one key may not overlap, which no gaps do."""


@pytest.fixture(scope="module")
def connection(module_database: Settings) -> Iterator[psycopg.Connection]:
    with psycopg.connect(module_database.postgres_dsn) as connection:
        connection.execute("CREATE TEMPORARY TABLE rows (key text, at timestamptz, created timestamptz, written timestamptz, value bigint)")
        connection.execute(f"CREATE TEMPORARY TABLE labels ({ROW} bigint, key text, {AT} timestamptz)")
        connection.execute(
            f"CREATE TEMPORARY TABLE {GAPS} (relation integer, key text, number integer, starts timestamptz, speaks_after timestamptz)"
        )
        yield connection


def fill(connection: psycopg.Connection, rows: list[Row], labels: list[tuple[str, int]]) -> None:
    connection.execute("TRUNCATE rows, labels")
    for row in rows:
        instants = [clock.from_us(START + seconds * SECOND) for seconds in (row.at, row.created, row.written)]
        connection.execute("INSERT INTO rows VALUES (%s, %s, %s, %s, %s)", (row.key, *instants, row.value))
    for number, (key, at) in enumerate(labels):
        connection.execute("INSERT INTO labels VALUES (%s, %s, %s)", (number, key, clock.from_us(START + at * SECOND)))


def naive(rows: list[Row], key: str, at: int, *, known_at_label: bool, max_age: int) -> int | None:
    candidates = [row for row in rows if row.key == key and row.at <= at]
    candidates = [row for row in candidates if not known_at_label or row.created <= at]
    candidates = [row for row in candidates if not max_age or row.at >= at - max_age]
    return max(candidates, key=lambda row: (row.at, row.created, row.written)).value if candidates else None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, labels=LABELS, known_at_label=st.booleans(), max_age=st.sampled_from([0, 2]))
def test_each_label_gets_what_a_plain_search_finds(
    connection: psycopg.Connection, *, rows: list[Row], labels: list[tuple[str, int]], known_at_label: bool, max_age: int
) -> None:
    fill(connection, rows, labels)
    relation = replace(RELATION, max_age_s=max_age)
    found = connection.execute(join("labels", ["key"], [relation], known_at_label=known_at_label)).fetchall()
    assert found == [(key, naive(rows, key, at, known_at_label=known_at_label, max_age=max_age)) for key, at in labels]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, labels=LABELS, gaps=HIDDEN, known_at_label=st.booleans())
def test_of_our_own_views_what_was_served_and_nothing_from_before_a_gap(
    connection: psycopg.Connection,
    *,
    rows: list[Row],
    labels: list[tuple[str, int]],
    gaps: list[tuple[str, int, int]],
    known_at_label: bool,
) -> None:
    apart = [
        (key, start, start + length, number)
        for number, (key, start, length) in enumerate(gaps)
        if all(key != other or start + length < before or before + long < start for other, before, long in gaps[:number])
    ]
    fill(connection, rows, labels)
    connection.execute(f"TRUNCATE {GAPS}")
    for key, start, end, number in apart:
        connection.execute(
            f"INSERT INTO {GAPS} VALUES (0, %s, %s, %s, %s)", (key, number, *(clock.from_us(START + at * SECOND) for at in (start, end)))
        )
    found = connection.execute(join("labels", ["key"], [OURS], known_at_label=known_at_label)).fetchall()
    expected = []
    for key, at in labels:
        before = [gap for gap in apart if gap[0] == key and gap[1] < at - at % 2]
        gap = max(before, key=lambda each: each[1], default=None)
        seen = [row for row in rows if gap is None or row.at > gap[2]]
        value = naive([row for row in seen if not known_at_label or row.created == row.at], key, at, known_at_label=False, max_age=0)
        expected.append((key, value, gap[3] if gap and value is None else None))
    assert found == expected


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS)
def test_the_newest_of_each_key_and_the_last_writing_of_each_row(connection: psycopg.Connection, rows: list[Row]) -> None:
    fill(connection, rows, [])
    start, end = (clock.from_us(START + seconds * SECOND).isoformat() for seconds in (1, 5))
    inside = [row for row in rows if 1 <= row.at <= 5]
    newest = [naive(inside, key, 5, known_at_label=False, max_age=0) for key in sorted({row.key for row in inside})]
    assert [value for (value,) in connection.execute(newest_of_each(RELATION, start, end))] == newest
    identities = sorted({row[:3] for row in inside})
    last = [max((row for row in inside if row[:3] == each), key=lambda row: row.written).value for each in identities]
    assert [value for (value,) in connection.execute(newest_writing_of_each(RELATION, start, end))] == last
