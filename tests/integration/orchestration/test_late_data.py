"""Late events end to end: one tick of the sensor asks for runs, the runs change what rule 18 says, offline and online, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from support.automation import append, span

from detektor_pipelines.catalog import view_named
from detektor_pipelines.settings import Settings, get_settings
from detektor_pipelines.stores.connections import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

FIRST, TODAY = date(2026, 4, 5), date(2026, 5, 20)
REVIEWS, DEPLOYMENTS = view_named("code_review_features"), view_named("deployment_features")
LATE = ("2026-04-10 10:30", "2026-05-17 10:30")
REACHED = {*span(date(2026, 4, 10), date(2026, 5, 10)), *span(date(2026, 5, 17), TODAY)}
"""Day −40 and the thirty after it; day −3 to today, since the window of 30 days is still open."""

State = dict[tuple[str, date], tuple[str, str, int]]


@pytest.fixture
def history(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings whose log holds 45 simulated days of two agents, all published; the clock stands at noon of the next."""
    from detektor_pipelines.orchestration.run import materialize_range
    from detektor_pipelines.simulation.simulator import simulate_table
    from detektor_pipelines.stores.raw_log.bulk import append_table

    monkeypatch.setenv("DETEKTOR_NOW", "2026-05-20T12:00:00Z")
    monkeypatch.setenv("DETEKTOR_MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("DETEKTOR_START_DATE", FIRST.isoformat())
    get_settings.cache_clear()
    append_table(servers, simulate_table(days=45, projects=2, seed=11, end=TODAY))
    settings = get_settings()
    assert materialize_range(settings, (REVIEWS, DEPLOYMENTS), FIRST, TODAY).succeeded
    return settings


@pytest.fixture
def instance(history: Settings) -> Iterator[Any]:
    from detektor_pipelines.orchestration.instance import persistent_instance

    with persistent_instance(history) as instance:
        yield instance


def states(settings: Settings) -> State:
    """Return snapshot, rows' hash and number of stored rows of each published day."""
    found: State = {}
    with connect(settings) as connection:
        for view in (REVIEWS, DEPLOYMENTS):
            rows = connection.execute(
                f"SELECT ((event_timestamp - interval '1 us') AT TIME ZONE 'UTC')::date, count(*) FROM feast.{view.name} GROUP BY 1"
            ).fetchall()
            counts: dict[date, int] = dict(rows)
            for day, snapshot, digest in connection.execute(
                "SELECT partition, snapshot::text, hash FROM ml_learning.partition_state WHERE view = %s", (view.name,)
            ).fetchall():
                found[view.name, day] = snapshot, digest, counts.get(day, 0)
    return found


def online(settings: Settings) -> dict[str, dict[bytes, bytes]]:
    """Return all that Redis holds of each view, by its key."""
    import redis

    client = redis.Redis.from_url(settings.redis_url)
    try:
        return {key.decode(errors="replace"): contents(client, key) for key in client.scan_iter()}
    finally:
        client.close()


def contents(client: Any, key: bytes) -> Any:
    return client.hgetall(key) if client.type(key) == b"hash" else client.get(key)


def definitions(settings: Settings) -> Any:
    from detektor_pipelines.orchestration.build import build_definitions

    return build_definitions(settings=settings).get_repository_def()


def tick(instance: Any, repository: Any, cursor: str | None = None) -> Any:
    """Evaluate the sensor as the daemon does, requests resolved against the repository."""
    import dagster as dg

    context = dg.build_sensor_context(instance=instance, repository_def=repository, cursor=cursor)
    return repository.get_sensor_def("repair_late_data").evaluate_tick(context)


def execute(instance: Any, repository: Any, request: Any) -> Any:
    """Do what the daemon does with a request: a run of the sensor's job over the request's assets, with the request's tags."""
    job = repository.get_job(repository.get_sensor_def("repair_late_data").job_name)
    return job.execute_in_process(instance=instance, asset_selection=request.asset_selection, tags=request.tags, raise_on_error=False)


def test_events_of_three_and_of_forty_days_ago_change_the_days_of_rule_18_and_no_other(history: Settings, instance: Any) -> None:
    repository = definitions(history)
    assert tick(instance, repository).run_requests == []
    before, online_before = states(history), online(history)
    append(history, REVIEWS, *LATE)

    requests = tick(instance, repository).run_requests
    assert [range_of(request) for request in requests] == [("2026-04-10", "2026-05-10"), ("2026-05-17", "2026-05-20")]
    for request in requests:
        assert {key.path[0] for key in request.asset_selection} == {"code_reviewer"}
        assert (request.tags["detektor/reason"], request.tags["dagster/priority"]) == ("late data", "5")
        assert execute(instance, repository, request).success

    after = states(history)
    assert after.keys() == before.keys()
    # Published again from newer knowledge: all that the event reaches, and of the rest not even the row counts differ
    assert {key for key in after if after[key] != before[key]} == {(REVIEWS.name, day) for day in REACHED}
    # Other values: at least where the event happened; most windows are shorter than the longest
    differ_in_values = {day for name, day in after if after[name, day][1] != before[name, day][1]}
    assert {date(2026, 4, 10), date(2026, 4, 11), date(2026, 5, 17), TODAY} <= differ_in_values

    online_after = online(history)
    differ = {key for key in online_after if online_after[key] != online_before.get(key)}
    assert differ
    assert all(REVIEWS.name in key for key in differ)
    assert tick(instance, repository).run_requests == []


def test_a_repair_is_one_run_planned_for_its_range_and_what_arrives_meanwhile_is_the_next_ones(history: Settings, instance: Any) -> None:
    """What came after a run's snapshot is stale still when the run has ended: nothing to remember, nothing to lose."""
    repository = definitions(history)
    append(history, REVIEWS, LATE[1])
    (first,) = tick(instance, repository).run_requests
    result = execute(instance, repository, first)
    assert result.success
    days = [day.isoformat() for day in span(date(2026, 5, 17), TODAY)]
    assert partitions_in(instance, result.run_id, "ASSET_MATERIALIZATION_PLANNED") == ["", *days]  # online has none
    assert partitions_in(instance, result.run_id, "ASSET_MATERIALIZATION") == ["", *days]

    append(history, REVIEWS, "2026-05-17 11:30")
    (second,) = tick(instance, repository).run_requests
    assert range_of(second) == range_of(first)
    assert second.run_key is None  # with one Dagster would take the second for the first
    assert second.tags["detektor.cause/code_review_features"] != first.tags["detektor.cause/code_review_features"]
    assert execute(instance, repository, second).success
    assert tick(instance, repository).run_requests == []


def test_ticks_import_nothing_heavy(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are evaluated in the code server, beside its pages."""
    program = (
        "import sys, dagster as dg; from detektor_pipelines.definitions import defs\n"
        "r = defs.get_repository_def()\n"
        "i = dg.DagsterInstance.ephemeral()\n"
        "for s in ('repair_late_data', 'definition_changed', 'publish_online'):\n"
        "    r.get_sensor_def(s).evaluate_tick(dg.build_sensor_context(instance=i, repository_def=r))\n"
        "print([m for m in ('duckdb', 'pandas', 'feast', 'pyarrow', 'mlflow', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def partitions_in(instance: Any, run_id: str, kind: str) -> list[str]:
    """Return the partitions of the run's events of this kind, in order; "" for an event without one."""
    entries = [record.event_log_entry for record in instance.get_records_for_run(run_id).records]
    events = [entry.dagster_event for entry in entries if entry.is_dagster_event]
    return sorted(event.partition or "" for event in events if event.event_type_value == kind)


def range_of(request: Any) -> tuple[str, str]:
    return request.tags["dagster/asset_partition_range_start"], request.tags["dagster/asset_partition_range_end"]
