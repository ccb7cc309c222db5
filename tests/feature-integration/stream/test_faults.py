"""Nothing is lost and everything is batch's, whatever dies meanwhile."""

from __future__ import annotations

import random
import signal
import threading
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.engine.repair import repair
from detektor_pipelines.quality.parity.check import check

if TYPE_CHECKING:
    from conftest import Live, OwnServers

pytestmark = pytest.mark.slow


def kill_at_random(live: Live, times: int) -> None:
    """Write all the while; kill the worker at random points of its life, from its start on."""
    stop = threading.Event()

    def write() -> None:
        with psycopg.connect(live.settings.postgres_dsn, autocommit=True) as connection:
            while not stop.wait(0.005):
                live.write(connection)

    writer = threading.Thread(target=write)
    writer.start()
    chance = random.Random(5)
    try:
        for _ in range(times):
            worker = live.start_worker()
            time.sleep(chance.choice((0.2, 0.6, 1.2, 2.5)) * chance.uniform(0.5, 1.5))
            live.kill(worker)
        live.start_worker()
    finally:
        stop.set()
        writer.join()
    live.wait_for_all()
    live.assert_parity()


def test_a_worker_killed_at_random_points_loses_nothing(live: Live) -> None:
    kill_at_random(live, 5)


@pytest.mark.long
def test_a_worker_killed_fifty_times_loses_nothing(live: Live) -> None:
    kill_at_random(live, 50)


def test_a_transaction_open_while_others_commit_is_counted_when_it_ends(live: Live) -> None:
    live.start_worker()
    with psycopg.connect(live.settings.postgres_dsn) as slow:
        live.write(slow, 3)
        live.write_now(20)
        live.wait_for(lambda: live.count_online() == 20)
        live.wait_for(lambda: any(report["horizon"] for report in live.reports()))
    live.wait_for_all()
    live.assert_parity()


@pytest.mark.long
def test_workers_share_the_agents_and_take_over_from_a_dead_one(live: Live) -> None:
    first, second = live.start_worker(), live.start_worker()
    live.wait_for(lambda: sorted(shard for report in live.reports() for shard in report["shards"]) == list(range(8)))
    live.wait_for(lambda: [len(report["shards"]) for report in live.reports()] == [4, 4])
    live.write_now(30)
    live.wait_for_all()
    live.kill(first)
    live.write_now(10)
    live.wait_for(lambda: any(report["shards"] == list(range(8)) for report in live.reports()))
    live.wait_for_all()
    live.kill(second, signal.SIGTERM)
    live.start_worker()
    live.write_now(1)
    live.wait_for_all()
    live.assert_parity()


def test_a_frozen_worker_cannot_put_its_old_values_over_new_ones(live: Live) -> None:
    frozen = live.start_worker()
    live.write_now(5)
    live.wait_for_all()
    frozen.send_signal(signal.SIGSTOP)
    try:
        live.write_now(5)
        with psycopg.connect(live.settings.postgres_dsn, autocommit=True) as connection:  # as a network that lost it would
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'detektor stream'")
        live.start_worker()
        live.wait_for_all()
    finally:
        frozen.send_signal(signal.SIGCONT)
    live.write_now(5)
    live.wait_for_all()
    live.assert_parity()


@pytest.mark.parametrize("step", ["-2h", pytest.param("+3h", marks=pytest.mark.long)])
def test_a_clock_that_steps_between_two_lives_of_a_worker(live: Live, step: str) -> None:
    """Values never go back by themselves: what was written with a later clock is said to lie ahead, and one command puts it right."""
    live.write_now(4, ago="4 h")
    worker = live.start_worker(DETEKTOR_NOW=step)
    live.wait_for(lambda: (live.count_online() or 0) == 4)
    live.kill(worker)
    later = live.start_worker()
    live.wait_for(lambda: any(report["pid"] == later.pid and report["loads"] for report in live.reports()))
    live.write_now(3)
    if step == "-2h":
        live.wait_for_all()
    else:
        live.wait_for(lambda: any(report["pid"] == later.pid and report["events"] >= 3 for report in live.reports()))
        assert live.count_online() == 4
        (found,) = check(live.settings, VIEWS[:1], 20)
        assert {each.state for each in found.mismatches} == {"ahead"}
        list(repair(live.settings, VIEWS[:1]))
        live.wait_for_all()
    live.assert_parity()


def test_postgresql_killed_in_the_middle(own_servers: OwnServers) -> None:
    live = own_servers.live
    with own_servers.redis():
        live.start_worker()
        live.write_now(20)
        live.wait_for_all()
        own_servers.kill_postgres()
        live.wait_for(lambda: live.write_now(1) is None)
        live.write_now(20)
        live.wait_for_all()
        live.assert_parity()


def test_redis_away_and_back_empty(own_servers: OwnServers) -> None:
    live = own_servers.live
    with own_servers.redis():
        worker = live.start_worker()
        live.write_now(20)
        live.wait_for_all()
    live.write_now(20)
    time.sleep(2)
    assert worker.poll() is None
    with own_servers.redis():
        live.wait_for_all()
        live.write_now(5)
        live.wait_for_all()
        live.assert_parity()
        live.wait_for(lambda: live.reports()[0]["loads"] == 1)
