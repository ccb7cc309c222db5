"""Days that were never published, or while they were open: a read by then never takes an old row for a true one."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.engine_cases import ORIGIN, everything, histories
from support.examples import examples
from support.log_rows import clear, insert, partition_log
from support.oracle import Event, values
from support.rule_log import run

from detektor_pipelines import clock
from detektor_pipelines.clock import parse_instant
from detektor_pipelines.engine.explain import read_row
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.language import Feature, FeatureView, count, days, total
from detektor_pipelines.language import event as column
from detektor_pipelines.language.calendar import start_us
from detektor_pipelines.language.windows import DAY, HOUR
from detektor_pipelines.stores.connections import connect, connect_arrow
from detektor_pipelines.stores.offline.rows import row_table

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

EVERYTHING = replace(everything((days(1), days(7)), filters=("_rejected",)), name="gaps")
AGENT = EVERYTHING.agent
FIRST = dt.date(1970, 1, 1) + dt.timedelta(days=ORIGIN // DAY)
DAYS = [FIRST + dt.timedelta(days=number) for number in range(55)]
END = ORIGIN + 55 * DAY
SMALL = FeatureView(
    "small_gaps",
    AGENT,
    "1.0.0",
    "x",
    "x",
    (
        Feature("recent", count(), days(1), None, "x", "x", "x"),
        Feature("weekly", count(), days(7), None, "x", "x", "x"),
        Feature("issues", total(column.issues_found), days(30), None, "x", "x", "x", within=(0, 100)),
    ),
)
patient = hypothesis_settings(
    max_examples=examples(3),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)


@pytest.fixture(scope="module")
def partitioned(module_database: Settings) -> Settings:
    partition_log(module_database)
    return module_database


@pytest.fixture
def log(partitioned: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    fresh(partitioned)
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-08T00:30:00Z")
    return partitioned


def fresh(settings: Settings) -> None:
    clear(settings)
    with connect(settings) as connection:
        for view in (EVERYTHING, SMALL):
            connection.execute(f'DROP TABLE IF EXISTS feast."{row_table(view)}" CASCADE')


def review(at: str, project: str, issues: int = 1) -> Event:
    instant = parse_instant(f"2026-{at}")
    return Event(f"{at} {project}", instant, instant, project, values={"operation": "review", "issues_found": issues})


def rows(settings: Settings, agent_id: str, *instants: str) -> list[tuple[int, ...] | None]:
    """What reads of SMALL at these instants get."""
    found = []
    with connect_arrow(settings) as connection:
        for at in instants:
            row = read_row(connection, SMALL, agent_id, clock.from_us(parse_instant(f"2026-{at}")))
            found.append(None if row is None else tuple(row.values.values()))
    return found


def test_an_agent_that_is_idle_since_a_day_that_failed_is_computed_from_the_log(log: Settings) -> None:
    """March 3 and 4 break the gate for one project's sake; the others' events leave their windows on those days, and come to them."""
    busy = [review(f"03-0{day} 08:00", "busy", 0) for day in range(1, 8)]
    events = [review("03-02 20:00", "was", 5), review("03-03 09:00", "was", 7), review("03-03 09:00", "new", 1), *busy]
    insert(log, [*events, review("03-03 12:00", "bad", 5000)])
    done = run(log, SMALL, "2026-03-01", "2026-03-07")
    failed = [str(each.day) for each in done.days if each.status == "failed"]
    assert failed[0] == "2026-03-03"
    with connect(log) as connection:  # the record is gone, say, and what it touched is computed again
        connection.execute("UPDATE ml_learning.agent_events SET issues_found = 0 WHERE project = 'bad'")
    run(log, SMALL, "2026-03-05", "2026-03-07")

    assert rows(log, f"{AGENT}@was", "03-02 23:00", "03-03 08:59", "03-03 09:30", "03-05 12:00", "03-07 23:00") == [
        (1, 1, 5),
        (1, 1, 5),
        (2, 2, 12),
        (0, 2, 12),
        (0, 2, 12),
    ]
    assert rows(log, f"{AGENT}@new", "03-03 08:59", "03-05 12:00", "03-07 23:00") == [None, (0, 1, 1), (0, 1, 1)]
    assert rows(log, f"{AGENT}@busy", "03-02 08:30", "03-03 08:30", "03-04 08:30", "03-05 08:30") == [
        (1, 2, 0),
        (1, 3, 0),
        (1, 4, 0),
        (1, 5, 0),
    ]


def test_agents_that_are_idle_since_before_the_first_published_day_are_computed_from_the_log(log: Settings) -> None:
    insert(log, [review("03-01 20:00", "idle", 5), *[review(f"03-0{day} 08:00", "busy") for day in range(1, 8)]])
    run(log, SMALL, "2026-03-05", "2026-03-07")

    assert rows(log, f"{AGENT}@idle", "03-07 23:00", "03-02 00:00", "03-01 19:00") == [(0, 1, 5), (1, 1, 5), None]
    assert rows(log, f"{AGENT}@busy", "03-07 23:00", "03-05 07:00") == [(1, 7, 7), (1, 4, 4)]
    assert rows(log, AGENT, "03-07 23:00") == [(1, 8, 12)]


def test_the_first_days_of_a_log_are_no_gap(log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing happened before: the rows are read, not the log."""
    insert(log, [review("03-05 08:00", "p"), review("03-06 08:00", "p")])
    run(log, SMALL, "2026-03-05", "2026-03-07")
    monkeypatch.setattr("detektor_pipelines.engine.explain.read_values", None)

    assert rows(log, f"{AGENT}@p", "03-05 07:00", "03-05 08:00", "03-06 07:30", "03-07 23:00") == [None, (1, 1, 1), (1, 1, 1), (0, 2, 2)]


def test_a_repair_that_has_not_reached_the_later_days_leaves_no_old_row_in_force(log: Settings) -> None:
    """An event of March 1 is read from a file; its day is computed again, the days in which it leaves its windows are not yet."""
    insert(log, [review("03-01 08:00", "busy", 0), review("03-06 08:00", "busy", 0)])
    run(log, SMALL, "2026-03-01", "2026-03-07")
    insert(log, [review("03-01 09:00", "late", 3)])
    assert rows(log, f"{AGENT}@late", "03-01 09:30", "03-03 12:00") == [None, None]  # as yet every day tells the older story
    run(log, SMALL, "2026-03-01")
    assert rows(log, f"{AGENT}@late", "03-01 09:30", "03-03 12:00", "03-07 23:00") == [(1, 1, 3), (0, 1, 3), (0, 1, 3)]
    run(log, SMALL, "2026-03-02", "2026-03-07")
    assert rows(log, f"{AGENT}@late", "03-01 09:30", "03-03 12:00", "03-07 23:00") == [(1, 1, 3), (0, 1, 3), (0, 1, 3)]


def test_a_day_misses_nothing_that_no_earlier_day_knows_either(log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last day was published a moment before those in front of it, then an event came: the rows are read, not the log."""
    insert(log, [review("03-05 08:00", "p"), review("03-07 08:00", "p")])
    run(log, SMALL, "2026-03-07")
    run(log, SMALL, "2026-03-04", "2026-03-06")
    insert(log, [review("03-07 10:00", "q")])
    monkeypatch.setattr("detektor_pipelines.engine.explain.read_values", None)

    assert rows(log, f"{AGENT}@p", "03-07 07:30", "03-07 23:00") == [(0, 1, 1), (1, 2, 2)]


def test_a_day_published_while_it_was_open_says_nothing_of_the_night_that_follows(log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine is off from 17:30 to 9:00; five events leave the day's window meanwhile, and nobody has written that down."""
    five = [replace(review(f"03-05 17:{10 + number}", "p"), event_id=f"x{number}") for number in range(5)]
    insert(log, [*five, review("03-06 16:30", "p")])
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-06T17:05:00Z")
    run(log, SMALL, "2026-03-05", "2026-03-06")
    for at in ("2026-03-07T09:05:00Z", "2026-03-07T10:05:00Z"):
        monkeypatch.setenv("DETEKTOR_NOW", at)
        run(log, SMALL, "2026-03-07")

    assert rows(log, f"{AGENT}@p", "03-06 17:00", "03-06 17:59", "03-06 18:00", "03-07 10:00") == [
        (6, 6, 6),
        (6, 6, 6),
        (1, 6, 6),
        (1, 6, 6),
    ]


def test_after_the_last_publication_the_log_says_what_happened_since(log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T10:05:00Z")
    insert(log, [review("03-07 09:30", "p")])
    run(log, SMALL, "2026-03-07")
    insert(log, [review("03-07 10:20", "p")])

    assert rows(log, f"{AGENT}@p", "03-07 10:30", "03-07 11:00") == [(1, 1, 1), (2, 2, 2)]


def test_knowledge_of_ones_own_is_computed_from_the_log(log: Settings) -> None:
    late = replace(review("03-05 09:50", "p"), known_at=parse_instant("2026-03-05 12:00"))
    insert(log, [review("03-05 09:30", "p"), replace(late, event_id="late")])
    run(log, SMALL, "2026-03-05", "2026-03-07")
    with connect_arrow(log) as connection:
        at = clock.from_us(parse_instant("2026-03-05 11:30"))
        known = [None, *(clock.from_us(parse_instant(f"2026-03-05 {text}")) for text in ("11:59", "12:00", "09:00"))]
        found = [read_row(connection, SMALL, f"{AGENT}@p", at, each) for each in known]

    assert [row and row.values["recent"] for row in found] == [1, 1, 2, None]
    assert [row and row.created_at.hour for row in found] == [10, 11, 12, None]


@pytest.mark.slow
@patient
@given(histories(size=15), st.data())
def test_whatever_was_published_a_read_is_what_was_served(
    log: Settings, monkeypatch: pytest.MonkeyPatch, events: list[Event], data: st.DataObject
) -> None:
    """Random days at random instants, of what was known by then: every read at an instant equals the oracle at its full hour."""
    fresh(log)
    events = list({each.event_id: each for each in events}.values())
    waiting = events
    for at in sorted(data.draw(st.lists(st.integers(ORIGIN, END), min_size=1, max_size=4))):
        insert(log, [each for each in waiting if each.known_at <= at])
        waiting = [each for each in waiting if each.known_at > at]
        monkeypatch.setenv("DETEKTOR_NOW", clock.to_text(at))
        reached = [day for day in DAYS if start_us(day) < at]
        chosen = data.draw(st.lists(st.sampled_from(reached), unique=True, min_size=1)) if reached else []
        if chosen:
            materialize(log, EVERYTHING, chosen)
    insert(log, waiting)
    materialize(log, EVERYTHING, [DAYS[0]])  # in any case there is a table
    names = [each.name for each in EVERYTHING.features]
    with connect_arrow(log) as connection:
        for at in data.draw(st.lists(st.integers(ORIGIN, END), min_size=5, max_size=5)):
            for key in (AGENT, f"{AGENT}@p", f"{AGENT}@q"):
                own = [each for each in events if key in {AGENT, f"{AGENT}@{each.project}"}]
                expected = values(EVERYTHING, own, at - at % HOUR, as_served=True)
                row = read_row(connection, EVERYTHING, key, clock.from_us(at))
                found = {name: clock.to_us(v) if isinstance(v, dt.datetime) else v for name, v in row.values.items()} if row else None
                assert found in (dict(zip(names, expected, strict=True)), None), (key, at)
                assert found is not None or expected == values(EVERYTHING, [], at, as_served=True), (key, at)
