"""What else may happen to a running Dagster in the middle of a backfill: `make test-long`."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.operating_backfill import States, closed_days, forget, held, launch, partitions, states, stored, undisturbed

from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.clock import to_us
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.offline.rows import ensure_tables
from detektor_pipelines.stores.raw_log.bulk import append

if TYPE_CHECKING:
    from support.operating import OperatingStack

    from detektor_pipelines.settings import Settings

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

DETEKTOR = Path(sys.executable).parent / "detektor"
HALF_WAY = VIEWS[3]
FAULTS = view_named("pipeline_debugging_features")


@pytest.fixture(scope="module")
def reference(module_database: Settings, operating_stack: OperatingStack) -> States:
    operating_stack.pause_automation()
    return undisturbed(module_database, closed_days(operating_stack))


@pytest.fixture(autouse=True)
def nothing_published(operating_stack: OperatingStack) -> None:
    ensure_tables(operating_stack.settings, VIEWS)
    forget(operating_stack.settings)


def finish(stack: OperatingStack) -> None:
    """Do what a person does when a backfill has failed."""
    days = closed_days(stack)
    words = ("backfill", "--from", str(days[0]), "--to", str(days[-1]))
    subprocess.run([DETEKTOR, *words], env=os.environ | stack.environment, check=True, capture_output=True, timeout=300)


def assert_whole(stack: OperatingStack, reference: States) -> None:
    """Hold what is there against the reference: whole days or none."""
    days = closed_days(stack)
    published = states(stack.settings, days)
    assert published.items() <= reference.items()
    rows = {key: state for key, state in stored(stack.settings, days).items() if state[0]}
    assert rows == {key: state for key, state in published.items() if state[0]}


def assert_finished(stack: OperatingStack, reference: States) -> None:
    days = closed_days(stack)
    assert states(stack.settings, days) == reference
    assert stored(stack.settings, days) == reference


def no_run(stack: OperatingStack) -> bool:
    return not stack.run_workers()


def test_postgresql_dies_and_comes_back(operating_stack: OperatingStack, reference: States) -> None:
    days = closed_days(operating_stack)
    with held(operating_stack, HALF_WAY) as lock:
        backfill = launch(operating_stack, VIEWS, days)
        lock.wait()
        operating_stack.kill("postgres", whole_group=True)
        operating_stack.wait_until_ready("postgres")
        with suppress(Exception):  # the server that it was taken from is no more
            lock.release()
    assert_whole(operating_stack, reference)
    operating_stack.wait_until_ready()
    assert backfill.wait(400) == "COMPLETED_SUCCESS"  # the step that stood at the lock has waited for the server, and gone on
    assert_finished(operating_stack, reference)


def test_the_code_server_dies_with_its_runs(operating_stack: OperatingStack, reference: States) -> None:
    days = closed_days(operating_stack)
    with held(operating_stack, HALF_WAY) as lock:
        backfill = launch(operating_stack, VIEWS, days)
        lock.wait()
        workers = operating_stack.run_workers()
        operating_stack.kill("dagster-code", whole_group=True)
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        operating_stack.wait_until_ready("dagster-code")
        assert_whole(operating_stack, reference)
    assert backfill.wait(400) == "COMPLETED_SUCCESS"
    assert_finished(operating_stack, reference)


def test_a_cancelled_backfill_frees_what_it_held(operating_stack: OperatingStack, reference: States) -> None:
    days = closed_days(operating_stack)
    with held(operating_stack, HALF_WAY) as lock:
        backfill = launch(operating_stack, VIEWS, days)
        lock.wait()
        backfill.cancel()
        operating_stack.wait_for(lambda: no_run(operating_stack))  # while the lock is held: nothing waits for it any more
        assert backfill.wait() == "CANCELED"
        assert {run["status"] for run in backfill.runs} == {"CANCELED"}
        with connect(operating_stack.settings) as connection:
            found = connection.execute(
                """SELECT count(*) FILTER (WHERE wait_event_type = 'Lock'), count(*) FILTER (WHERE state LIKE 'idle in transaction%')
                   FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"""
            ).fetchone()
        assert found == (0, 0)
    assert_whole(operating_stack, reference)
    assert states(operating_stack.settings, days)
    again = launch(operating_stack, VIEWS, days)  # it finds a place at once, and nothing in its way
    assert again.wait() == "COMPLETED_SUCCESS"
    assert_finished(operating_stack, reference)


def test_random_kills_of_everything_but_the_data(operating_stack: OperatingStack, reference: States) -> None:
    days = closed_days(operating_stack)
    chance = random.Random(3)
    views = list(VIEWS)
    for _ in range(4):
        program = chance.choice(("dagster-daemon", "dagster-code", "dagster", "worker", "postgres"))
        with held(operating_stack, chance.choice(views)) as lock:
            backfill = launch(operating_stack, VIEWS, days)
            lock.wait(240)
            if program == "worker":
                for worker in operating_stack.run_workers():
                    os.kill(worker, signal.SIGKILL)
            else:
                operating_stack.kill(program, whole_group=program == "postgres")
                operating_stack.wait_until_ready(program)
            if program == "postgres":
                with suppress(Exception):
                    lock.release()
        operating_stack.wait_until_ready()
        backfill.wait(400)
        operating_stack.wait_for(lambda: no_run(operating_stack), 240)
        assert_whole(operating_stack, reference)
        forget(operating_stack.settings)
    finish(operating_stack)
    assert_finished(operating_stack, reference)


def test_a_bad_day_fails_as_that_day(operating_stack: OperatingStack) -> None:
    days = closed_days(operating_stack)[-4:-1]
    bad = datetime(days[1].year, days[1].month, days[1].day, 0, 30, tzinfo=UTC)
    event = AgentEvent(
        event_id="impossible-depth",
        agent_type=FAULTS.agent,
        raw_name=FAULTS.agent,
        operation="diagnose",
        occurred_at=to_us(bad),
        known_at=to_us(bad),
        source="test",
        simulated=True,
        measures={"queue_depth": 4_294_967_295},
        categories={"outcome": "success", "stage": "redis"},
    )
    before = partitions(operating_stack, [FAULTS])[FAULTS.group]
    assert append(operating_stack.settings, [event]).added == 1
    assert launch(operating_stack, [FAULTS, VIEWS[0]], days, online=False).wait() == "COMPLETED_FAILED"
    after = partitions(operating_stack, [FAULTS])[FAULTS.group]
    assert after["numFailed"] - before["numFailed"] == 1
    published = {day for view, day in states(operating_stack.settings, days) if view == FAULTS.name}
    assert published == {days[0], days[2]}
    assert {day for view, day in states(operating_stack.settings, days) if view == VIEWS[0].name} == set(days)
