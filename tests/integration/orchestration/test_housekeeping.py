"""Trimming Dagster's event log on a real PostgreSQL: what pages read is the same before and after, the rest is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::dagster.BetaWarning")]

DAYS = [f"2026-05-{day:02}" for day in range(1, 6)]
BAD_DAY = DAYS[3]


def definitions(*, broken: bool) -> Any:
    """Return two assets by day, a check, an asset without partitions; `broken` fails on one day."""
    import dagster as dg

    days = dg.DailyPartitionsDefinition("2026-05-01", end_date="2026-06-01")
    policy = dg.BackfillPolicy.single_run()
    spec = dg.AssetCheckSpec("values_are_valid", asset="rows")

    @dg.asset(partitions_def=days, backfill_policy=policy, check_specs=[spec])
    def rows() -> Any:
        context = dg.AssetExecutionContext.get()
        context.log.warning('a line that says "level": 40')
        context.log.error("a line that stays")
        yield dg.AssetCheckResult(passed=not broken, metadata={"rows": 7})
        if broken and BAD_DAY in context.partition_keys:
            raise dg.Failure("bad day")
        yield dg.MaterializeResult(metadata={"rows": 7})

    @dg.asset(deps=[rows])
    def newest() -> None:
        dg.AssetExecutionContext.get().log_event(dg.AssetObservation("raw", metadata={"events": 3}))

    return dg.Definitions([rows, newest], executor=dg.in_process_executor)


def run(instance: Any, first: str, last: str, *, broken: bool = False) -> str:
    repository = definitions(broken=broken).get_repository_def()
    job = repository.get_implicit_job_def_for_assets(list(repository.asset_graph.executable_asset_keys))
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    result = job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)
    assert result.success is not broken
    return str(result.run_id)


def sql(settings: Settings, statement: str, *values: object) -> list[Any]:
    from detektor_pipelines.stores.connections import connect

    with connect(settings) as connection:
        connection.execute("SET search_path TO dagster")
        cursor = connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def age(settings: Settings, run_id: str, days: int) -> None:
    """Make the events of a run older."""
    sql(settings, "UPDATE event_logs SET timestamp = timestamp - make_interval(days => %s) WHERE run_id = %s", days, run_id)


def kinds(settings: Settings, run_id: str) -> dict[str | None, int]:
    found = sql(settings, "SELECT dagster_event_type, count(*) FROM event_logs WHERE run_id = %s GROUP BY 1", run_id)
    return dict(found)


def pages(instance: Any, settings: Settings) -> dict[str, Any]:
    """Return what the pages of assets, partitions, checks and runs are made of."""
    import dagster as dg
    from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

    sql(settings, "UPDATE asset_keys SET cached_status_data = NULL")
    log = instance.event_log_storage
    keys = sorted(instance.get_asset_keys())
    partitions = dg.DailyPartitionsDefinition("2026-05-01", end_date="2026-06-01")
    check = dg.AssetCheckKey(dg.AssetKey("rows"), "values_are_valid")
    runs = [each.run_id for each in instance.get_runs()]
    planned = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    return {
        "status by partition": instance.get_status_by_partition(dg.AssetKey("rows"), DAYS, partitions),
        "status cache": get_and_update_asset_status_cache_value(instance, dg.AssetKey("rows"), partitions),
        "failed partitions": [log.get_latest_asset_partition_materialization_attempts_without_materializations(key) for key in keys],
        "newest planned": [log.get_latest_planned_materialization_info(key) for key in keys],
        "newest planned of a day": log.get_latest_storage_id_by_partition(dg.AssetKey("rows"), planned),
        "assets": [record.asset_entry for record in sorted(instance.get_asset_records(keys), key=lambda each: each.asset_entry.asset_key)],
        "materializations": [instance.fetch_materializations(key, limit=1000).records for key in keys],
        "observations": [instance.fetch_observations(key, limit=1000).records for key in keys],
        "check history": log.get_asset_check_execution_history(check, limit=1000),
        "newest check": log.get_latest_asset_check_execution_by_key([check]),
        "runs": [instance.get_run_record_by_id(each) for each in runs],
        "times of runs": [instance.get_run_stats(each) for each in runs],
        "steps of runs": [instance.get_run_step_stats(each) for each in runs],
    }


@pytest.fixture
def instance(database: Settings) -> Iterator[Any]:
    from detektor_pipelines.orchestration.instance import persistent_instance

    with persistent_instance(database) as instance:
        yield instance


def test_pages_show_the_same_after_a_trim_and_the_noise_is_gone(instance: Any, database: Settings) -> None:
    from detektor_pipelines.orchestration.housekeeping import TrimConfig, trim

    first = run(instance, DAYS[0], DAYS[-1])
    again = run(instance, DAYS[0], DAYS[1])
    failed = run(instance, BAD_DAY, BAD_DAY, broken=True)
    recent = run(instance, DAYS[0], DAYS[0])
    for old, days in ((first, 60), (again, 40), (failed, 40)):
        age(database, old, days)
    debug = """
        UPDATE event_logs SET event = replace(event, '"level": 30', '"level": 10') WHERE dagster_event_type IS NULL AND run_id = %s
    """
    sql(database, debug, failed)  # dagster.yaml lets no such line through; another installation's may
    before = pages(instance, database)
    assert before["status by partition"][BAD_DAY].value == "FAILED"
    kept = kinds(database, failed), kinds(database, recent)
    (total,) = sql(database, "SELECT count(*) FROM event_logs")[0]

    done = trim(instance, TrimConfig(), batch=7)

    assert pages(instance, database) == before
    after = kinds(database, first)
    assert not {"ENGINE_EVENT", "RESOURCE_INIT_SUCCESS", "STEP_OUTPUT", "HANDLED_OUTPUT", "ASSET_CHECK_EVALUATION_PLANNED"} & set(after)
    assert after["ASSET_MATERIALIZATION"] == len(DAYS) + 1
    assert after["ASSET_CHECK_EVALUATION"] == 1
    assert after["ASSET_OBSERVATION"] == 1
    assert after["ASSET_MATERIALIZATION_PLANNED"] == 2 * 2  # of the two days that no later run planned, for either asset
    assert after[None] == 1  # the error
    only_debug_gone = {kind: number - (kind is None) for kind, number in kept[0].items()}
    assert kinds(database, failed) == only_debug_gone  # forty days: its other lines stay for fifty more
    assert kinds(database, recent) == kept[1]
    assert (done.rows, done.rows_left) == (total - sql(database, "SELECT count(*) FROM event_logs")[0][0], total - done.rows)
    assert done.rows > 20
    assert done.bytes > 100 * done.rows
    assert trim(instance, TrimConfig()).rows == 0


def test_failed_runs_are_kept_longer_not_for_ever(instance: Any, database: Settings) -> None:
    from detektor_pipelines.orchestration.housekeeping import TrimConfig, trim

    failed = run(instance, BAD_DAY, BAD_DAY, broken=True)
    age(database, failed, 91)
    before = pages(instance, database)
    assert trim(instance, TrimConfig()).rows > 0
    assert pages(instance, database) == before
    assert "ENGINE_EVENT" not in kinds(database, failed)
    assert kinds(database, failed)["STEP_FAILURE"] == 1


def test_a_run_under_way_keeps_its_events(instance: Any, database: Settings) -> None:
    from dagster import DagsterRunStatus
    from dagster._core.test_utils import create_run_for_test

    from detektor_pipelines.orchestration.housekeeping import TrimConfig, trim

    under_way = create_run_for_test(instance, status=DagsterRunStatus.STARTED)
    instance.report_engine_event("Started process for run (pid: 1).", under_way)
    age(database, under_way.run_id, 400)
    assert trim(instance, TrimConfig()).rows == 0


def test_of_observations_that_sensors_note_the_newest_stays(instance: Any, database: Settings) -> None:
    """The stream's come by the minute, for ever."""
    import dagster as dg

    from detektor_pipelines.orchestration.housekeeping import TrimConfig, trim

    for asset, keys, days in (("stream", 1, 60), ("log", 2, 50), ("stream", 3, 40), ("stream", 4, 20), ("stream", 5, 0)):
        instance.report_runless_asset_event(dg.AssetObservation(asset, metadata={"keys": keys}, tags={"of": asset}))
        sql(
            database,
            "UPDATE event_logs SET timestamp = timestamp - make_interval(days => %s) WHERE id = (SELECT max(id) FROM event_logs)",
            days,
        )
    assert trim(instance, TrimConfig()).rows == 2
    left = {
        asset: [each.asset_observation.metadata["keys"].value for each in instance.fetch_observations(dg.AssetKey(asset), limit=9).records]
        for asset in ("stream", "log")
    }
    assert left == {"stream": [5, 4], "log": [2]}
    assert sql(database, "SELECT count(*) FROM asset_event_tags WHERE event_id NOT IN (SELECT id FROM event_logs)") == [(0,)]


def test_an_empty_log_is_trimmed_to_an_empty_log(instance: Any) -> None:
    from detektor_pipelines.orchestration.housekeeping import TrimConfig, trim

    done = trim(instance, TrimConfig())
    assert (done.rows, done.bytes, done.rows_left) == (0, 0, 0)


def test_the_job_runs_weekly_and_reports_what_went(instance: Any, database: Settings) -> None:
    import dagster as dg

    from detektor_pipelines.orchestration.build import build_definitions
    from detektor_pipelines.orchestration.housekeeping import JOB

    age(database, run(instance, DAYS[0], DAYS[-1]), 31)
    found = build_definitions()
    schedule = found.resolve_schedule_def(f"{JOB}_weekly")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    result = found.resolve_job_def(JOB).execute_in_process(instance=instance, run_config={"ops": {"delete_old_events": {"config": {}}}})
    (output,) = (event for event in result.all_node_events if event.event_type is dg.DagsterEventType.STEP_OUTPUT)
    metadata: dict[str, Any] = {name: value.value for name, value in output.step_output_data.metadata.items()}
    assert metadata["rows_deleted"] >= 5
    assert metadata["bytes_deleted"] > 1000
    assert metadata["rows_left"] > 10
