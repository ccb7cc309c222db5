"""The step of a `features` asset: each part is recorded when it is published, once; which runs go on with what others began."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from support.automation import made

from detektor_pipelines.catalog import view_named
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.settings import Settings, get_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

pytestmark = pytest.mark.slow

VIEW = view_named("code_review_features")
KEY = [VIEW.group, "features"]
DAYS = [date(2026, 5, number) for number in range(1, 7)]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DETEKTOR_START_DATE", "2026-05-01")
    monkeypatch.setenv("DETEKTOR_MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "200")  # as our storage sets it: a batch is written when its end is marked
    get_settings.cache_clear()
    return get_settings()


@pytest.fixture
def instance(dg: ModuleType) -> Iterator[Any]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run(engine: Any, instance: Any, tags: Mapping[str, str] | None = None) -> Any:
    from dagster import AssetKey

    from detektor_pipelines.orchestration.build import build_definitions

    job = (
        build_definitions({"engine": engine, "platform": engine}, views=(VIEW,))
        .get_repository_def()
        .get_implicit_job_def_for_assets([AssetKey(KEY)])
    )
    span = {"dagster/asset_partition_range_start": DAYS[0].isoformat(), "dagster/asset_partition_range_end": DAYS[-1].isoformat()}
    return job.execute_in_process(instance=instance, raise_on_error=False, asset_selection=[AssetKey(KEY)], tags={**span, **(tags or {})})


def recorded(instance: Any, run_id: str) -> dict[str, Any]:
    """Return the run's materializations by partition; there is one of each."""
    from dagster import DagsterEventType

    entries = instance.all_logs(run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION)
    events = [entry.dagster_event.event_specific_data.materialization for entry in entries]
    assert len({event.partition for event in events}) == len(events)
    return {event.partition: event for event in events}


class Interrupted(BaseException):
    """The end of the process, half way."""


def test_each_day_is_recorded_once_with_its_version(engine: Any, instance: Any) -> None:
    engine.chunk = 4
    result = run(engine, instance)
    assert result.success
    events = recorded(instance, result.run_id)
    assert sorted(events) == [day.isoformat() for day in DAYS]
    for day, event in events.items():
        assert event.tags["dagster/code_version"] == data_hash(VIEW)
        assert event.tags["dagster/data_version"] == f"hash-of-{day}"
    assert [day for day, event in events.items() if "preview" in event.metadata] == ["2026-05-04", "2026-05-06"]


def test_what_is_published_is_recorded_before_the_rest_is_computed(engine: Any, instance: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster import AssetKey, DagsterRunStatus

    seen: list[set[str]] = []
    original = engine.materialize

    def materialize(view: Any, days: Any, *, resume: bool = False, on_part: Any = None) -> Any:
        def part(done: Any) -> None:
            on_part(done)
            seen.append(instance.get_materialized_partitions(AssetKey(KEY)))
            if len(seen) == 2:
                raise Interrupted

        return original(view, days, resume=resume, on_part=part)

    monkeypatch.setattr(engine, "materialize", materialize)
    engine.chunk = 2
    result = run(engine, instance)
    assert not result.success
    assert [sorted(days) for days in seen] == [["2026-05-01", "2026-05-02"], ["2026-05-01", "2026-05-02", "2026-05-03", "2026-05-04"]]
    assert instance.get_run_by_id(result.run_id).status == DagsterRunStatus.FAILURE
    assert instance.get_materialized_partitions(AssetKey(KEY)) == seen[-1]


def goes_away(engine: Any, monkeypatch: pytest.MonkeyPatch, times: int, error: Exception) -> None:
    """Let PostgreSQL go away after the first part, so many times."""
    from detektor_pipelines.orchestration.assets import materialization

    monkeypatch.setattr(materialization, "_PAUSE_SECONDS", 0.01)
    original, left = engine.materialize, [error] * times

    def materialize(view: Any, days: Any, *, resume: bool = False, on_part: Any = None) -> Any:
        def part(done: Any) -> None:
            on_part(done)
            engine.kept |= {day.day for day in done.days}
            if left:
                raise left.pop()

        return original(view, days, resume=resume, on_part=part)

    monkeypatch.setattr(engine, "materialize", materialize)


def test_when_postgres_went_away_and_is_back_the_step_goes_on(engine: Any, instance: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster import AssetKey

    engine.chunk = 2
    goes_away(engine, monkeypatch, 1, psycopg.OperationalError("server closed the connection unexpectedly"))
    result = run(engine, instance)
    assert result.success
    assert engine.resumed == [False, True]
    assert engine.computed[-1] == (VIEW.name, DAYS[2:])
    assert instance.get_materialized_partitions(AssetKey(KEY)) == {day.isoformat() for day in DAYS}


def test_a_postgres_that_goes_away_again_and_again_fails_the_step_in_words(
    engine: Any, instance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detektor_pipelines.orchestration.problems import reason

    goes_away(engine, monkeypatch, 9, psycopg.OperationalError("server closed the connection unexpectedly"))
    result = run(engine, instance)
    assert len(engine.resumed) == 4
    (failure,) = (event for event in result.all_node_events if event.is_step_failure)
    assert reason(failure).startswith("PostgreSQL does not answer.")


def test_what_waiting_does_not_mend_is_not_tried_again(engine: Any, instance: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_away(engine, monkeypatch, 1, psycopg.errors.DiskFull("no space"))
    assert not run(engine, instance).success
    assert engine.resumed == [False]


def test_a_bad_day_in_one_part_leaves_the_days_of_the_others(engine: Any, instance: Any) -> None:
    engine.chunk, engine.bad = 2, {DAYS[2]}
    result = run(engine, instance)
    assert not result.success
    assert sorted(recorded(instance, result.run_id)) == [day.isoformat() for day in DAYS if day != DAYS[2]]


def test_kept_days_are_shown_as_materialized_and_kept(engine: Any, instance: Any) -> None:
    engine.kept = set(DAYS[:4])
    result = run(engine, instance, {"detektor/resume": "true"})
    assert result.success
    assert engine.computed == [(VIEW.name, DAYS[4:])]
    events = recorded(instance, result.run_id)
    assert sorted(events) == [day.isoformat() for day in DAYS]
    kept = events["2026-05-02"].metadata
    assert kept["status"].value == "kept"
    assert kept["rows_hash"].value == "hash-of-2026-05-02"
    assert not {"snapshot", "null_rates", "mlflow_run"} & set(kept)


def test_runs_that_go_on_and_runs_that_begin(engine: Any, instance: Any, dg: ModuleType) -> None:
    def resumed(tags: Mapping[str, str]) -> bool:
        run(engine, instance, tags)
        return bool(engine.resumed[-1])

    assert not resumed({})
    assert resumed({"detektor/resume": "true"})
    assert not resumed({"dagster/backfill": "first"})
    engine.raising = {VIEW.name: RuntimeError("the process ended")}
    assert not run(engine, instance, {"dagster/backfill": "second"}).success
    engine.raising = {}
    assert resumed({"dagster/backfill": "second"})
    made(instance, "CANCELED", {"dagster/backfill": "cancelled"})
    assert resumed({"dagster/backfill": "cancelled"})
    made(instance, "SUCCESS", {"dagster/backfill": "third"})
    assert not resumed({"dagster/backfill": "third"})
    assert not resumed({"dagster/backfill": "second", "detektor/resume": "false"})
    assert resumed({"dagster/backfill": "fourth", "dagster/parent_backfill_id": "second"})


def test_a_retried_run_goes_on(instance: Any, dg: ModuleType) -> None:
    from dagster._core.utils import make_new_run_id

    from detektor_pipelines.orchestration.assets.materialization import resumes

    first = dg.DagsterRun(job_name="x", run_id=make_new_run_id())
    again = dg.DagsterRun(job_name="x", run_id=make_new_run_id(), parent_run_id=first.run_id, root_run_id=first.run_id)
    assert not resumes(instance, first)
    assert resumes(instance, again)


def staleness(instance: Any, engine: Any, days: Any, view: Any = VIEW) -> dict[str, list[str]]:
    """Return why Dagster calls each day out of date, by the day: what its pages show as "Unsynced"."""
    from dagster import AssetKey
    from dagster._core.definitions.data_version import CachingStaleStatusResolver
    from dagster._core.loader import LoadingContextForTest

    from detektor_pipelines.orchestration.build import build_definitions

    graph = build_definitions({"engine": engine, "platform": engine}, views=(view,)).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    key = AssetKey(KEY)
    found = {day.isoformat(): resolver.get_stale_causes(key, day.isoformat()) for day in days}
    assert {resolver.get_status(key, day) == resolver.get_status(key, day).FRESH for day, causes in found.items() if not causes} <= {True}
    return {day: [f"{cause.category.value}: {cause.reason}" for cause in causes] for day, causes in found.items()}


def test_a_published_day_is_in_sync_whatever_arrives_in_the_log_later(engine: Any, instance: Any) -> None:
    from dataclasses import replace

    from detektor_pipelines.orchestration.raw_log import observation

    assert run(engine, instance).success
    nothing = {day.isoformat(): [] for day in DAYS}
    assert staleness(instance, engine, DAYS) == nothing
    volume = engine.log_volume()
    for version in ("771-1234", "771-1235"):
        instance.report_runless_asset_event(observation(replace(volume, version=version)))
        assert staleness(instance, engine, DAYS) == nothing


def test_a_day_of_an_earlier_definition_is_not_in_sync(engine: Any, instance: Any) -> None:
    from dataclasses import replace

    assert run(engine, instance).success
    changed = replace(VIEW, version="9.0.0", features=VIEW.features[:-1])
    assert staleness(instance, engine, DAYS[:1], changed) == {DAYS[0].isoformat(): ["CODE: has a new code version"]}


def test_a_day_shows_its_own_events_and_the_run_what_it_read(engine: Any, instance: Any) -> None:
    events = recorded(instance, run(engine, instance).run_id)
    shown = {day: event.metadata["event_range"].value for day, event in events.items()}
    assert shown == {str(day): f"{day} 08:00:00+00:00 … {day} 17:00:00+00:00" for day in DAYS}
    assert {event.metadata["events"].value for event in events.values()} == {10}
    assert {event.metadata["events_read"].value for event in events.values()} == {10 * len(DAYS)}
