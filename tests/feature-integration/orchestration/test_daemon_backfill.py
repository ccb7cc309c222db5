"""Six months through a running Dagster, disturbed half way: what comes out is what an undisturbed backfill publishes.

Its short form, a daemon and a command that are killed within a run, stands in `tests/integration/orchestration`.
"""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.operating_backfill import States, closed_days, forget, held, in_sync, launch, partitions, states, stored, undisturbed

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.stores.connections import connect

if TYPE_CHECKING:
    from support.operating import OperatingStack

    from detektor_pipelines.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SOME = VIEWS[:4]
HALF_WAY = SOME[3]


@pytest.fixture(scope="module")
def reference(module_database: Settings, operating_stack: OperatingStack) -> States:
    operating_stack.pause_automation()
    return undisturbed(module_database, closed_days(operating_stack))


@pytest.fixture(autouse=True)
def nothing_published(operating_stack: OperatingStack) -> None:
    forget(operating_stack.settings)


def kept(stack: OperatingStack, run: str) -> int:
    """Count the partitions that a run found published."""
    with connect(stack.settings) as connection:
        found = connection.execute(
            "SELECT count(*) FROM dagster.event_logs WHERE run_id = %s AND dagster_event_type = 'ASSET_MATERIALIZATION'"
            " AND event::jsonb::text LIKE '%%\"kept\"%%'",
            (run,),
        ).fetchone()
    return found[0] if found else 0


@pytest.mark.long
def test_a_backfill_outlives_its_daemon(operating_stack: OperatingStack, reference: States) -> None:
    days = closed_days(operating_stack)
    with held(operating_stack, HALF_WAY) as lock:
        backfill = launch(operating_stack, VIEWS, days)
        lock.wait()
        begun = states(operating_stack.settings, days)
        assert 0 < len(begun) < len(reference)
        before = operating_stack.kill("dagster-daemon")
    assert backfill.wait() == "COMPLETED_SUCCESS"
    assert operating_stack.pid("dagster-daemon") != before
    assert states(operating_stack.settings, days) == reference
    assert stored(operating_stack.settings, days) == reference
    assert {stats["numMaterialized"] for stats in partitions(operating_stack).values()} == {len(days)}
    assert {run["status"] for run in backfill.runs} == {"SUCCESS"}
    assert in_sync(operating_stack, days[-30:]) == {"FRESH"}  # as `detektor status` says: no day is stale
    observe_the_log(operating_stack)
    assert in_sync(operating_stack, days[-3:]) == {"FRESH"}


def observe_the_log(stack: OperatingStack) -> None:
    """Tell Dagster, as `watch_freshness` does, that the log has grown."""
    from detektor_pipelines.orchestration.instance import persistent_instance
    from detektor_pipelines.orchestration.raw_log import observation
    from detektor_pipelines.stores.raw_log.volume import log_volume

    with persistent_instance(stack.settings) as instance:
        instance.report_runless_asset_event(observation(replace(log_volume(stack.settings), version="another")))


@pytest.mark.long
def test_a_killed_run_is_taken_up_where_it_was(operating_stack: OperatingStack, reference: States) -> None:
    days = closed_days(operating_stack)
    standing = days[:100]
    materialize(operating_stack.settings, HALF_WAY, standing)
    with held(operating_stack, HALF_WAY) as lock:
        backfill = launch(operating_stack, SOME, days, online=False)
        lock.wait()
        begun = states(operating_stack.settings, days)
        for worker in operating_stack.run_workers():
            os.kill(worker, signal.SIGKILL)
        operating_stack.wait_for(lambda: not operating_stack.run_workers())
        assert states(operating_stack.settings, days) == begun
        assert begun.items() <= reference.items()
    assert backfill.wait() == "COMPLETED_SUCCESS"
    some = {(view, day): state for (view, day), state in reference.items() if view in {view.name for view in SOME}}
    assert states(operating_stack.settings, days) == some
    assert stored(operating_stack.settings, days, SOME) == some
    (killed,) = [run["id"] for run in backfill.runs if run["status"] == "FAILURE"]
    (second,) = [run["id"] for run in backfill.runs if run["parentRunId"] == killed]
    assert kept(operating_stack, second) == len(standing)
