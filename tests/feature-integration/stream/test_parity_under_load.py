"""Parity beside a worker that writes all the time: no false alarm, and what is planted is found all the same."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.quality.parity.check import check
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.online.packing import unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Live

pytestmark = pytest.mark.slow

AGENT = "code-reviewer"
VIEW = VIEWS[0]
RUNS = 12
PATIENCE = 20
"""Checks, several seconds each, until a busy machine lets the worker go on."""


@contextmanager
def writing(live: Live) -> Iterator[threading.Event]:
    """Write events without a pause, some of them late, some in transactions that stay open."""
    stop, wrote = threading.Event(), threading.Event()

    def write() -> None:
        with (
            psycopg.connect(live.settings.postgres_dsn, autocommit=True) as quick,
            psycopg.connect(live.settings.postgres_dsn) as slow,
        ):
            while not stop.is_set():
                live.write(quick, 3)
                live.write(quick, 1, ago="26 h")
                live.write(slow, 2)
                if live.written % 5 == 0:
                    slow.commit()
                wrote.set()
                stop.wait(0.005)
            slow.commit()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert wrote.wait(30)
        yield stop
    finally:
        stop.set()
        thread.join(30)


@pytest.mark.long
def test_a_healthy_worker_under_load_raises_no_alarm(live: Live) -> None:
    for _ in range(2):
        live.start_worker()
    live.write_now(5)
    live.wait_for(lambda: live.count_online() is not None)
    compared = 0
    with writing(live):
        for number in range(RUNS):
            (found,) = check(live.settings, [VIEW], seed=number)
            assert found.mismatches == [], found.mismatches
            compared += found.states.get("ok", 0)
    assert compared >= 2 * RUNS


def test_a_lost_write_is_found_while_the_worker_goes_on(live: Live) -> None:
    live.start_worker()
    live.write_now(6)
    live.wait_for_all()
    client = online.redis_client(live.settings)
    key = online.value_key(live.settings.project, VIEW, f"{AGENT}@p1")
    try:
        before = client.get(key)
        live.write_now(6)
        live.wait_for(lambda: unpack(online.stored_view(VIEW).layout, client.get(key)).values["recent_reviews_count"] == 4)
        # A worker that has no time to say up to when it is right stands by nothing, and what nobody stands by is behind, not lost
        for _ in range(PATIENCE):
            client.set(key, before)
            (found,) = check(live.settings, [VIEW])
            if found.states.get("lost"):
                break
    finally:
        client.close()
    assert found.states.get("lost") == 1, found.states
    assert {each.agent_id for each in found.mismatches} == {f"{AGENT}@p1"}
    assert found.mismatches[0].since is not None
