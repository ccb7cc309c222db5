"""What publication survives: a failure half way, two runs at once, kill -9, a missing server."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.engine.online import publish_online
from detektor_pipelines.errors import UserError
from detektor_pipelines.settings import Settings
from detektor_pipelines.simulation.simulator import simulate_table
from detektor_pipelines.stores.connections import connect, connect_arrow
from detektor_pipelines.stores.offline import rows as offline
from detektor_pipelines.stores.raw_log.bulk import append_table

if TYPE_CHECKING:
    from pathlib import Path

VIEW = VIEWS[0]
END = date(2026, 5, 1)
DAYS = [END - timedelta(days=number) for number in range(40, 0, -1)]

RUN = """
import sys
from datetime import date, timedelta
from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.settings import Settings
days = [date(2026, 5, 1) - timedelta(days=number) for number in range(40, 0, -1)]
settings = Settings(external_postgres_url=sys.argv[1])
import detektor_pipelines.engine.gate, duckdb, pandera.pandas  # what is killed is the work, not the imports
print("ready", flush=True)
for start in range(0, 40, 4):
    materialize(settings, VIEWS[0], days[start:start + 4])
"""


@pytest.fixture
def history(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-05-01T00:00:00Z")
    append_table(database, simulate_table(days=60, projects=2, seed=3, end=END, events=4_000))
    return database


def published(settings: Settings) -> dict[date, tuple[int, str]]:
    with connect_arrow(settings) as connection:
        return {each.day: (each.rows, each.hash) for each in offline.published_days(connection, VIEW)}


def stored_days(settings: Settings) -> dict[date, int]:
    with connect(settings) as connection:
        statement = f"""SELECT ((event_timestamp AT TIME ZONE 'UTC') - interval '1 us')::date, count(DISTINCT (agent_id, event_timestamp))
                        FROM feast."{offline.row_table(VIEW)}" GROUP BY 1"""
        return dict(connection.execute(statement).fetchall())


def test_failure_half_way_publishes_nothing(history: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(offline, "_record", fail)
        with pytest.raises(RuntimeError, match="disk is full"):
            materialize(history, VIEW, DAYS)
    assert published(history) == {}
    assert stored_days(history) == {}
    assert not materialize(history, VIEW, DAYS).failed
    assert {day: rows for day, (rows, _) in published(history).items() if rows} == stored_days(history)


def test_two_runs_at_once_publish_each_row_once(history: Settings) -> None:
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(materialize, history, VIEW, DAYS) for _ in range(2)]
        results = [run.result() for run in runs]
    assert results[0].days[0].hash == results[1].days[0].hash
    assert sorted(sum(day.written for day in result.days) for result in results) == [0, sum(stored_days(history).values())]


@pytest.mark.slow
def test_killed_runs_leave_whole_days_and_can_be_finished(history: Settings) -> None:
    undisturbed = {day.day: (day.rows, day.hash) for day in materialize(history, VIEW, DAYS).days}
    with connect(history) as connection:
        connection.execute(f'TRUNCATE feast."{offline.row_table(VIEW)}", ml_learning.partition_state')
    patience = random.Random(1)
    for _ in range(3):
        environment = {**os.environ, "DETEKTOR_NOW": "2026-05-01T00:00:00Z"}
        run = subprocess.Popen([sys.executable, "-c", RUN, history.postgres_dsn], env=environment, stdout=subprocess.PIPE, text=True)
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
        time.sleep(patience.uniform(0.2, 2.5))
        run.send_signal(signal.SIGKILL)
        run.wait()
        run.stdout.close()
        states = published(history)
        assert {day: rows for day, (rows, _) in states.items() if rows} == stored_days(history)
        assert all(undisturbed[day] == state for day, state in states.items())
    materialize(history, VIEW, DAYS)
    assert published(history) == undisturbed


def test_missing_server_is_named_with_what_starts_it(tmp_path: Path) -> None:
    nowhere = Settings(home=tmp_path, postgres_port=1)
    with pytest.raises(UserError, match="detektor up") as told:
        materialize(nowhere, VIEW, DAYS[:1])
    assert "127.0.0.1:1" in str(told.value)


def test_missing_redis_is_named(history: Settings, tmp_path: Path) -> None:
    materialize(history, VIEW, DAYS[:1])
    nowhere = Settings(home=tmp_path, external_postgres_url=history.postgres_dsn, redis_port=1)
    with pytest.raises(UserError, match="Redis does not answer"):
        publish_online(nowhere, VIEW)


def test_no_days_is_a_mistake(database: Settings) -> None:
    with pytest.raises(UserError, match="No day"):
        materialize(database, VIEW, [])
