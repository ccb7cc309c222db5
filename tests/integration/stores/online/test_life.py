"""Two copies of a log and one Redis: whose values stand online is said, and nobody else's are written."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg
import pytest
from support.log_rows import insert, partition_log
from support.oracle import Event
from support.rule_log import run
from support.rule_views import AGENT, view_of
from typer.testing import CliRunner

from detektor_pipelines.cli import build_app
from detektor_pipelines.clock import parse_instant
from detektor_pipelines.engine.online import publish_online
from detektor_pipelines.errors import UserError
from detektor_pipelines.language import count, days
from detektor_pipelines.stores import cluster
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.online import life as online_life
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stream.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

    from detektor_pipelines.settings import Settings

VIEW = view_of(number=(count(), days(1)))
FIRST = cluster.Life(1, 111, 1, datetime(2026, 1, 1, tzinfo=UTC))
LATER = cluster.Life(50, 222, 1, datetime(2026, 2, 1, tzinfo=UTC))
BESIDE = replace(FIRST, system_identifier=333)


@pytest.fixture
def client(redis_db: Settings) -> Iterator[Redis]:
    client = online.redis_client(redis_db)
    yield client
    client.close()


@pytest.fixture
def log(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-05T12:00:00Z")
    partition_log(servers)
    insert(servers, [Event("a", at := parse_instant("2026-03-05 10:00"), at, None)])
    run(servers, VIEW, "2026-03-05")
    return servers


def test_an_empty_store_is_the_first_comers_and_stays_its_own(client: Redis) -> None:
    for _ in range(2):
        online_life.claim(client, "p", FIRST)
    online_life.claim(client, "q", LATER)  # another project's keys


def test_a_later_life_takes_over_from_one_that_is_not_alive(client: Redis) -> None:
    online_life.claim(client, "p", FIRST)
    online_life.claim(client, "p", LATER)
    with pytest.raises(UserError, match="began after this one") as caught:
        online_life.claim(client, "p", FIRST)
    assert "50/222/1" in (caught.value.where or "")
    assert "take-over" in (caught.value.fix or "")


def test_a_later_life_does_not_take_over_from_a_worker_that_lives(client: Redis) -> None:
    online_life.claim(client, "p", FIRST, worker=True)
    online_life.claim(client, "p", FIRST)  # its batch does not make it less alive
    with pytest.raises(UserError, match="keeps the online store fresh") as caught:
        online_life.claim(client, "p", LATER)
    assert "1/111/1" in (caught.value.where or "")
    online_life.leave(client, "p", LATER)  # that one never had it
    with pytest.raises(UserError, match="keeps the online store fresh"):
        online_life.claim(client, "p", LATER)
    online_life.leave(client, "p", FIRST)
    online_life.claim(client, "p", LATER)


def test_a_worker_that_was_not_heard_of_for_some_seconds_is_not_alive(client: Redis) -> None:
    online_life.claim(client, "p", FIRST, worker=True)
    client.hincrby("feast:p#log", "seen", -online_life.ALIVE_S)
    online_life.claim(client, "p", LATER)


def test_of_two_logs_that_both_live_their_first_life_the_second_is_refused(client: Redis) -> None:
    """A database that was made again beside a Redis that was kept: its snapshots cannot be compared with those online."""
    online_life.claim(client, "p", FIRST)
    with pytest.raises(UserError, match="another copy of the log"):
        online_life.claim(client, "p", BESIDE)


def test_batch_and_stream_are_refused_until_the_store_is_taken_over(log: Settings, client: Redis) -> None:
    online_life.claim(client, log.project, replace(LATER, epoch=10**9))
    with pytest.raises(UserError, match="another copy of the log"):
        publish_online(log, VIEW)
    with Worker(log, [VIEW]) as worker:
        with pytest.raises(UserError, match="another copy of the log"):
            worker.tick()
        assert online.read(client, log.project, VIEW, [AGENT]) == [None]

        done = CliRunner().invoke(build_app(), ["online", "take-over"])
        assert done.exit_code == 0, done.output
        worker.tick()
    with connect(log) as connection:
        assert cluster.epoch(connection) == 10**9 + 1
    publish_online(log, VIEW)
    (row,) = online.read(client, log.project, VIEW, [AGENT])
    assert row is not None


def test_a_worker_whose_store_was_taken_over_stops_writing(log: Settings, client: Redis) -> None:
    with Worker(log, [VIEW]) as worker:
        worker.tick()
        client.hset(f"feast:{log.project}#log", mapping={"life": LATER.name, "epoch": 10**9})
        worker._claimed = 0.0  # a second later
        with pytest.raises(UserError, match="another copy of the log"):
            worker.tick()


def test_a_copy_beside_a_running_platform_does_not_write_to_its_redis(log: Settings, client: Redis) -> None:
    with Worker(log, [VIEW]) as worker:
        worker.tick()
        with psycopg.connect(log.postgres_dsn) as other:  # the same log, restored elsewhere
            other.execute("UPDATE ml_learning.log_cluster SET system_identifier = 1")
        with pytest.raises(UserError, match="keeps the online store fresh at this moment"):
            publish_online(log, VIEW)
    publish_online(log, VIEW)


def test_what_a_former_life_said_is_forgotten_before_the_next_one_writes(client: Redis) -> None:
    """Its values may know of events that are in no log any more, and its `valid_through` does not speak of the values to come."""
    noon, late = parse_instant("2026-03-05 12:00"), parse_instant("2026-03-05 12:38")
    known = {"snapshot": "900:900:", "values": {"number": 4}}
    online_life.claim(client, "p", FIRST)
    rows = [online.OnlineRow(agent_id, late, late, late, **known) for agent_id in (AGENT, f"{AGENT}@gone")]
    online.write_values(client, "p", VIEW, rows, valid_through_us=late)
    online_life.claim(client, "p", LATER)
    former = online.read(client, "p", VIEW, [AGENT, f"{AGENT}@gone"])
    assert [(row.snapshot, row.valid_through, row.true_up_to) for row in former if row] == [(None, None, late)] * 2
    fresh = online.OnlineRow(AGENT, noon, noon, noon, snapshot="50:50:", values={"number": 1}, epoch=LATER.epoch)
    assert online.write_values(client, "p", VIEW, [fresh], valid_through_us=noon).written == 1
    ours, gone = online.read(client, "p", VIEW, [AGENT, f"{AGENT}@gone"])
    assert ours is not None
    assert gone is not None
    assert (ours.values["number"], ours.true_up_to) == (1, noon)
    assert (gone.values["number"], gone.true_up_to, gone.valid_through) == (4, late, noon)
    online.move_valid_through(client, "p", VIEW, late + 1)
    (gone,) = online.read(client, "p", VIEW, [f"{AGENT}@gone"])
    assert gone is not None
    assert gone.true_up_to == late
