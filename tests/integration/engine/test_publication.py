"""Publication against real PostgreSQL: a repair is a rebuild, a range is day by day, both engines agree, reads see what was served."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.engine_cases import ORIGIN, comparable, everything, histories, revised_histories
from support.examples import examples
from support.log_rows import clear, insert, partition_log
from support.oracle import Event, resolved, rows, values

from detektor_pipelines import clock
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import POSTGRES, Span, reach_back, states_sql
from detektor_pipelines.engine import compute as engine
from detektor_pipelines.engine.explain import read_row
from detektor_pipelines.engine.materialize import compute_days, materialize
from detektor_pipelines.errors import UserError
from detektor_pipelines.language import days, minutes
from detektor_pipelines.language.calendar import end_us, start_us
from detektor_pipelines.language.windows import DAY, HOUR
from detektor_pipelines.stores.connections import connect, connect_arrow
from detektor_pipelines.stores.offline.rows import publish, published_days, row_table
from detektor_pipelines.stores.offline.staleness import stale_days
from detektor_pipelines.stores.raw_log.reader import integer_events_sql, read_events

if TYPE_CHECKING:
    from random import Random

    import pyarrow as pa
    from support.oracle import Row, Value

    from detektor_pipelines.language import FeatureView
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.offline.rows import PublishedDay

VIEW = everything((days(1), days(7)), filters=("_rejected",))  # DuckDB's planning costs by the square of the features
SHORT = replace(everything((minutes(45),)), name="short")
LONG = replace(everything((days(30),), filters=("",)), name="long")
FIRST = dt.date(1970, 1, 1) + dt.timedelta(days=ORIGIN // DAY)
LENGTH = 60
DAYS = [FIRST + dt.timedelta(days=number) for number in range(LENGTH)]
END = ORIGIN + LENGTH * DAY
patient = hypothesis_settings(
    max_examples=examples(4),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
fewer = hypothesis_settings(patient, max_examples=examples(3), phases=(Phase.explicit, Phase.reuse, Phase.generate))


@pytest.fixture(scope="module")
def log(module_database: Settings) -> Settings:
    partition_log(module_database)
    return module_database


def newest(settings: Settings, view: FeatureView = VIEW) -> list[tuple[str, int, tuple[Value, ...]]]:
    return [(key, t, values) for key, t, _, values in stored(settings, view, "TRUE")]


def as_served(settings: Settings, view: FeatureView = VIEW) -> list[Row]:
    return stored(settings, view, "created_at = event_timestamp")


def stored(settings: Settings, view: FeatureView, where: str) -> list[Row]:
    names = ", ".join(engine.row_schema(view).names)
    with connect_arrow(settings) as connection, connection.cursor() as cursor:
        cursor.execute(
            f'SELECT DISTINCT ON (agent_id, event_timestamp) {names} FROM feast."{row_table(view)}" WHERE {where}'
            " ORDER BY agent_id, event_timestamp, created_at DESC, written_at DESC",
        )
        return comparable(cursor.fetch_arrow_table().cast(engine.row_schema(view)))


def states(settings: Settings, view: FeatureView) -> list[PublishedDay]:
    with connect_arrow(settings) as connection:
        return published_days(connection, view)


def true_now(events: list[Event], view: FeatureView = VIEW) -> list[tuple[str, int, tuple[Value, ...]]]:
    latest = {(key, t): values for key, t, _, values in rows(view, events, start=ORIGIN, end=END)}
    return [(key, t, values) for (key, t), values in latest.items()]


def fresh(settings: Settings, view: FeatureView = VIEW) -> None:
    clear(settings)
    with connect(settings) as connection:
        connection.execute(f'DROP TABLE IF EXISTS feast."{row_table(view)}" CASCADE')


@pytest.mark.slow
@patient
@given(st.lists(histories(size=8), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_repair_after_late_events_equals_rebuild(log: Settings, batches: list[list[Event]], random: Random) -> None:
    fresh(log)
    events: list[Event] = []
    for number, batch in enumerate(batches):
        fresh_ones = [replace(event, event_id=f"{event.event_id}.{number}") for event in batch]
        insert(log, fresh_ones)
        events += fresh_ones
        materialize(log, VIEW, DAYS)
    assert newest(log) == true_now(events)
    assert as_served(log) == [row for row in rows(VIEW, events, start=ORIGIN, end=END) if row[1] == row[2]]
    repaired = {each.day: (each.rows, each.hash) for each in states(log, VIEW)}
    with connect(log) as connection:
        connection.execute(f'TRUNCATE feast."{row_table(VIEW)}", ml_learning.partition_state')
    shuffled = random.sample(DAYS, len(DAYS))
    for some in (shuffled[:7], shuffled[7:]):
        materialize(log, VIEW, some)
    assert {each.day: (each.rows, each.hash) for each in states(log, VIEW)} == repaired
    assert newest(log) == true_now(events)
    assert as_served(log) == [row for row in rows(VIEW, events, start=ORIGIN, end=END) if row[1] == row[2]]


@pytest.mark.slow
@fewer
@given(st.lists(revised_histories(size=6), min_size=1, max_size=3), st.data())
def test_what_a_moment_knew_does_not_depend_on_how_often_somebody_published(
    log: Settings, monkeypatch: pytest.MonkeyPatch, batches: list[list[Event]], data: st.DataObject
) -> None:
    """Publications at random instants, of random days, each with what had come by then: reads and hashes are those of one rebuild."""
    fresh(log)
    records = [replace(each, event_id=f"{each.event_id}.{number}") for number, batch in enumerate(batches) for each in batch]
    waiting = sorted(records, key=lambda each: (each.known_at, each.revision))
    for at in sorted(data.draw(st.lists(st.integers(ORIGIN, END), max_size=4))):
        come = [each for each in waiting if each.known_at <= at]
        waiting = [each for each in waiting if each.known_at > at]
        insert(log, come)
        monkeypatch.setenv("DETEKTOR_NOW", clock.to_text(at))
        days = [day for day in DAYS if start_us(day) < at]
        some = data.draw(st.lists(st.sampled_from(days), unique=True, max_size=len(days))) if days else []
        if some:
            materialize(log, VIEW, some)
    insert(log, waiting)
    monkeypatch.setenv("DETEKTOR_NOW", clock.to_text(END + 50 * DAY))
    materialize(log, VIEW, DAYS)
    events = resolved(records)
    instants = data.draw(st.lists(st.integers(ORIGIN, END), min_size=3, max_size=3))
    found = [everything_read(log, instants)]
    with connect(log) as connection:
        connection.execute(f'TRUNCATE feast."{row_table(VIEW)}", ml_learning.partition_state')
    materialize(log, VIEW, DAYS)
    found.append(everything_read(log, instants))
    assert found[0] == found[1]
    assert newest(log) == true_now(events)
    names = [each.name for each in VIEW.features]
    for (key, at), row in found[0][0].items():
        own = [each for each in events if key in {VIEW.agent, f"{VIEW.agent}@{each.project}"}]
        expected = values(VIEW, own, at - at % HOUR, as_served=True)
        assert row == (dict(zip(names, expected, strict=True)) if any(each.occurred_at <= at - at % HOUR for each in own) else row), key


def everything_read(settings: Settings, instants: list[int]) -> tuple[Any, ...]:
    """What point-in-time reads give (as served at the instants, as known now at all), and the days' hashes."""
    served = {}
    with connect_arrow(settings) as connection:
        for key in (VIEW.agent, f"{VIEW.agent}@p", f"{VIEW.agent}@q"):
            for at in instants:
                row = read_row(connection, VIEW, key, clock.from_us(at))
                served[key, at] = row and {name: clock.to_us(v) if isinstance(v, dt.datetime) else v for name, v in row.values.items()}
    return served, as_served(settings), newest(settings), {each.day: (each.rows, each.hash) for each in states(settings, VIEW)}


@pytest.mark.slow
@pytest.mark.parametrize("view", [VIEW, SHORT, LONG], ids=lambda view: view.name)
def test_postgres_equals_duckdb(log: Settings, view: FeatureView) -> None:
    compiled = plan(view)

    @patient
    @given(st.one_of(histories(), revised_histories()), st.booleans())
    def same(events: list[Event], revised: bool) -> None:  # noqa: FBT001 - hypothesis gives it
        fresh(log, view)
        insert(log, events)
        start, end = ORIGIN - reach_back(compiled), END
        with connect_arrow(log) as connection, connection.cursor() as cursor:
            table = read_events(connection, view.agent, compiled.columns, start, end)
            for form in ("served", "known_now"):
                source = integer_events_sql(view.agent, compiled.columns, start, end)
                text = states_sql(compiled, Span(ORIGIN, END), form=form, late=True, revised=revised, dialect=POSTGRES)
                ranked = f"events AS (SELECT *, row_number() OVER (ORDER BY ts, event_id) AS seq FROM ({source}) e)"
                cursor.execute(text.replace("WITH ", f"WITH {ranked}, ", 1))
                theirs = engine.states_of(cursor.fetch_arrow_table())
                with engine.loaded(table, compiled) as duck:
                    text = states_sql(compiled, Span(ORIGIN, END), form=form, late=True, revised=revised)
                    ours = engine.states_of(duck.sql(text).to_arrow_table())
                assert ours.keys.to_pylist() == theirs.keys.to_pylist()
                assert ours.instants.tolist() == theirs.instants.tolist()
                for name, (values, valid) in ours.columns.items():
                    assert values.tolist() == theirs.columns[name][0].tolist(), name
                    assert valid.tolist() == theirs.columns[name][1].tolist(), name

    same()


def test_second_run_writes_nothing(log: Settings) -> None:
    fresh(log)
    insert(log, [Event("e", ORIGIN + 10 * HOUR, ORIGIN + 10 * HOUR, "p", values={"verdict": "approved"})])
    first = materialize(log, VIEW, DAYS[:3])
    again = materialize(log, VIEW, DAYS[:3])
    assert sum(day.written for day in first.days) == sum(day.rows for day in first.days) > 0
    assert {day.status for day in again.days if day.rows} == {"unchanged"}
    assert [day.hash for day in first.days] == [day.hash for day in again.days]


def test_older_snapshot_does_not_overwrite_newer_knowledge(log: Settings) -> None:
    fresh(log)
    insert(log, [Event("e", ORIGIN + 10 * HOUR, ORIGIN + 10 * HOUR, "p")])
    materialize(log, VIEW, DAYS[:1])
    table = engine.compute(VIEW, engine.event_schema(VIEW).empty_table(), start=start_us(FIRST), end=end_us(FIRST))
    with connect_arrow(log) as connection, pytest.raises(UserError, match="newer knowledge"):
        publish(connection, VIEW, DAYS[:1], table, "3:3:")


def test_what_was_published_before_the_log_was_moved_is_older_knowledge(log: Settings) -> None:
    """The other cluster had counted to 900,000."""
    fresh(log)
    insert(log, [Event("e", ORIGIN + 10 * HOUR, ORIGIN + 10 * HOUR, "p")])
    materialize(log, VIEW, DAYS[:1])
    with connect(log) as connection:
        connection.execute("UPDATE ml_learning.partition_state SET snapshot = '900000:900000:'")
        connection.execute("UPDATE ml_learning.log_cluster SET system_identifier = 1")
    insert(log, [Event("f", ORIGIN + 11 * HOUR, ORIGIN + 11 * HOUR, "p")])
    with connect(log) as connection:
        assert stale_days(connection, VIEW) == DAYS[:1]
    assert materialize(log, VIEW, DAYS[:1]).days[0].status == "published"
    with connect(log) as connection:
        assert stale_days(connection, VIEW) == []


def test_a_day_that_ends_during_its_run_is_still_open(log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh(log)
    noon = ORIGIN + 12 * HOUR
    insert(log, [Event("e", noon - HOUR, noon - HOUR, "p")])

    def compute_slowly(*arguments: Any, **options: Any) -> pa.Table:
        monkeypatch.setenv("DETEKTOR_NOW", clock.from_us(ORIGIN + DAY + HOUR).isoformat())
        return compute_days(*arguments, **options)

    monkeypatch.setattr("detektor_pipelines.engine.materialize.compute_days", compute_slowly)
    monkeypatch.setenv("DETEKTOR_NOW", clock.from_us(noon).isoformat())
    materialize(log, VIEW, DAYS[:1])
    assert [each.published_at for each in states(log, VIEW)] == [clock.from_us(noon)]


def test_bad_day_publishes_nothing_and_the_others_stand(log: Settings) -> None:
    bound = [replace(each, within=(0, 1)) if each.name == "count_rejected_1d" else each for each in VIEW.features]
    view = replace(VIEW, features=tuple(bound))
    fresh(log, view)
    insert(log, [Event(f"e{n}", ORIGIN + (0 if n == 0 else 3 * DAY) + HOUR, ORIGIN + DAY * 3, "p") for n in range(3)])
    done = materialize(log, view, DAYS[:10])
    by_day = {day.day: day for day in done.days}
    assert done.failed
    assert by_day[DAYS[3]].status == "failed"
    failures = by_day[DAYS[3]].failures
    assert failures
    assert failures[0]["column"] == "count_rejected_1d"
    assert by_day[DAYS[0]].status == "published"
    assert DAYS[3] not in {each.day for each in states(log, view)}
    with connect(log) as connection:
        stored = connection.execute(
            f"SELECT count(*) FROM feast.\"{row_table(view)}\" WHERE (event_timestamp - interval '1 us')::date = %s", (DAYS[3],)
        ).fetchone()
    assert stored == (0,)
