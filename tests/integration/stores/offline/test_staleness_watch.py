"""What is stale, asked in two ways that save work, against the words of rule 18 taken literally: each event against each day."""

from __future__ import annotations

import random
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest
from support.automation import publish, span
from support.log_rows import partition_log

from detektor_pipelines.catalog import view_named
from detektor_pipelines.clock import from_us
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.language.windows import DAY
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.offline.staleness import stale_days, unseen
from detektor_pipelines.stores.offline.staleness_watch import StalenessWatch

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

VIEW = view_named("code_review_features")
FIRST, LAST = date(2026, 3, 1), date(2026, 5, 20)
EVENT = """
INSERT INTO ml_learning.agent_events
    (event_id, revision, agent_type, raw_name, operation, occurred_at, known_at, ingested_at, derived, simulated, source, reader_revision)
VALUES (%(id)s, 1, %(agent)s, 'x', 'review', %(at)s, %(at)s, now(), false, false, 'test', 1)
"""
LITERALLY = """
WITH events AS (
    SELECT xid, (EXTRACT(EPOCH FROM occurred_at) * 1000000)::bigint AS ts FROM ml_learning.agent_events WHERE agent_type = %(agent)s
)
SELECT DISTINCT s.partition FROM ml_learning.partition_state s JOIN events e
    ON (e.ts - 1) / %(day)s <= s.partition - date '1970-01-01'
    AND (e.ts + MOD(%(hop)s - MOD(e.ts, %(hop)s), %(hop)s) + %(size)s - 1) / %(day)s >= s.partition - date '1970-01-01'
    AND e.xid >= pg_snapshot_xmin(s.snapshot) AND NOT pg_visible_in_snapshot(e.xid, s.snapshot)
WHERE s.view = %(view)s AND s.data_hash = %(hash)s ORDER BY 1
"""


@pytest.fixture
def log(database: Settings) -> Settings:
    partition_log(database)
    return database


def literally(connection: psycopg.Connection) -> list[date]:
    values = {
        "agent": VIEW.agent,
        "view": VIEW.name,
        "hash": data_hash(VIEW),
        "day": DAY,
        "hop": VIEW.longest.hop,
        "size": VIEW.longest.size,
    }
    return [day for (day,) in connection.execute(LITERALLY, values).fetchall()]


def some_instant(chance: random.Random) -> datetime:
    """An instant of the published time, midnight now and then."""
    midnight = datetime.combine(FIRST, datetime.min.time(), UTC) + timedelta(days=chance.randrange(80))
    return midnight + timedelta(seconds=chance.choice((0, 1, 1, 1)) * chance.randrange(86_400))


@pytest.mark.parametrize("seed", range(6))
def test_random_histories_with_transactions_that_overlap(log: Settings, seed: int) -> None:
    chance = random.Random(seed)
    watch, until = StalenessWatch(), StalenessWatch()
    noon = datetime(2026, 4, 10, 12, tzinfo=UTC)
    found = 0
    with ExitStack() as stack:
        under_way: list[psycopg.Connection] = []
        for number in range(40):
            step = chance.random()
            if step < 0.5:  # an event, committed at once or later or never
                writer = stack.enter_context(psycopg.connect(log.postgres_dsn))
                writer.execute(EVENT, {"id": str(number), "agent": VIEW.agent, "at": some_instant(chance)})
                under_way.append(writer)
                if chance.random() < 0.6:
                    writer.commit()
            elif step < 0.7 and under_way:
                writer = under_way.pop(chance.randrange(len(under_way)))
                writer.commit() if chance.random() < 0.8 else writer.rollback()
            else:
                day = FIRST + timedelta(days=chance.randrange(80))
                publish(log, VIEW, span(day, min(LAST, day + timedelta(days=chance.randrange(60)))))
            with connect(log) as connection:
                expected = literally(connection)
                assert stale_days(connection, VIEW) == expected
                assert watch.unseen(connection, VIEW) == unseen(connection, VIEW)
                assert until.unseen(connection, VIEW, before=noon) == unseen(connection, VIEW, before=noon)
            found += len(expected)
    assert found


def test_an_event_that_was_under_way_is_not_hidden_by_a_newer_one_of_the_same_day(log: Settings) -> None:
    """The newer one was seen by the publication, the older one committed after it."""
    watch = StalenessWatch()
    with psycopg.connect(log.postgres_dsn) as slow:
        slow.execute(EVENT, {"id": "slow", "agent": VIEW.agent, "at": "2026-05-20 10:00+00"})
        with connect(log) as connection:
            connection.execute(EVENT, {"id": "quick", "agent": VIEW.agent, "at": "2026-05-20 11:00+00"})
        publish(log, VIEW, [LAST])
        with connect(log) as connection:
            assert watch.unseen(connection, VIEW) == {}
        slow.commit()
    with connect(log) as connection:
        assert stale_days(connection, VIEW) == [LAST]
        assert list(watch.unseen(connection, VIEW)) == [LAST]


def test_a_day_that_was_fresh_is_held_against_what_came_since_and_nothing_older_is_read(log: Settings) -> None:
    publish(log, VIEW, span(FIRST, LAST))
    watch = StalenessWatch()
    with connect(log) as connection:
        assert watch.unseen(connection, VIEW) == {}
        connection.execute(EVENT, {"id": "late", "agent": VIEW.agent, "at": "2026-05-20 10:00+00"})
    with connect(log) as connection:
        assert list(watch.unseen(connection, VIEW)) == [LAST]
        assert list(watch.unseen(connection, VIEW)) == [LAST]  # what is stale is remembered as stale
    publish(log, VIEW, [LAST])
    with connect(log) as connection:
        assert watch.unseen(connection, VIEW) == {}


def test_while_late_events_wait_what_was_read_is_not_read_again(log: Settings) -> None:
    publish(log, VIEW, span(FIRST, LAST))
    watch = StalenessWatch()
    found: dict[date, int | None] = {}
    for at in ("2026-05-19 10:00+00", "2026-05-20 10:00+00"):
        with connect(log) as connection:
            connection.execute(EVENT, {"id": at, "agent": VIEW.agent, "at": at})
        with connect(log) as connection:
            found |= unseen(connection, VIEW)
            assert watch.unseen(connection, VIEW) == found
            connection.execute("DELETE FROM ml_learning.agent_events")  # nothing but the memory knows of it now
    with connect(log) as connection:
        assert watch.unseen(connection, VIEW) == found
        assert watch.unseen(connection, VIEW, before=datetime(2026, 5, 20, tzinfo=UTC)) == {}  # another question
    assert list(found) == [date(2026, 5, 19), LAST]


def test_a_day_that_was_published_anew_is_held_against_that(log: Settings) -> None:
    publish(log, VIEW, [LAST])
    watch = StalenessWatch()
    with connect(log) as connection:
        assert watch.unseen(connection, VIEW) == {}
        connection.execute(EVENT, {"id": "late", "agent": VIEW.agent, "at": "2026-05-20 10:00+00"})
    publish(log, VIEW, [LAST])
    with connect(log) as connection:
        assert watch.unseen(connection, VIEW) == {}


def test_a_database_put_back_to_an_earlier_state_is_asked_anew(log: Settings) -> None:
    """Its transaction numbers begin again below what the watch remembers."""
    publish(log, VIEW, span(FIRST, LAST))
    watch = StalenessWatch()
    with connect(log) as connection:
        watch.unseen(connection, VIEW)
        ((key, looked),) = watch._looked.items()
        watch._looked[key] = looked._replace(snapshot="9000000:9000000:")
        connection.execute(EVENT, {"id": "late", "agent": VIEW.agent, "at": "2026-05-20 10:00+00"})
    with connect(log) as connection:
        assert list(watch.unseen(connection, VIEW)) == [LAST]


def test_events_can_be_narrowed_and_the_newest_transaction_is_told(log: Settings) -> None:
    publish(log, VIEW, span(FIRST, LAST))
    with connect(log) as connection:
        connection.execute(EVENT, {"id": "a", "agent": VIEW.agent, "at": "2026-05-18 10:00+00"})
        connection.execute(EVENT, {"id": "b", "agent": VIEW.agent, "at": "2026-05-20 10:00+00"})
    with connect(log) as connection:
        (newest,) = connection.execute("SELECT max(xid)::text::bigint FROM ml_learning.agent_events").fetchone() or (0,)
        assert unseen(connection, VIEW) == dict.fromkeys(span(date(2026, 5, 18), LAST), newest)
        midnight = from_us(0) + timedelta(days=(LAST - date(1970, 1, 1)).days)
        assert list(unseen(connection, VIEW, before=midnight)) == span(date(2026, 5, 18), LAST)
        assert unseen(connection, VIEW, before=midnight - timedelta(days=5)) == {}
