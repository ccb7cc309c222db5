"""What our storage relies on in dagster-postgres, against a real PostgreSQL: the same records as the stock classes write."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::dagster.BetaWarning")]

DAYS = [f"2026-05-{day:02}" for day in range(1, 6)]


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the storage set Dagster's batch size, and take it away afterwards."""
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "")
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE")
    yield
    os.environ.pop("DAGSTER_EVENT_BATCH_SIZE", None)


def job() -> Any:
    import dagster as dg

    days = dg.DailyPartitionsDefinition("2026-05-01", end_date="2026-06-01")
    policy = dg.BackfillPolicy.single_run()

    @dg.asset(partitions_def=days, backfill_policy=policy)
    def first() -> None:
        """Do nothing."""

    @dg.asset(partitions_def=days, backfill_policy=policy, deps=[first])
    def second() -> None:
        """Do nothing."""

    definitions = dg.Definitions([first, second], executor=dg.in_process_executor)
    return definitions.get_repository_def().get_implicit_job_def_for_assets([first.key, second.key])


def run(instance: Any) -> str:
    tags = {"dagster/asset_partition_range_start": DAYS[0], "dagster/asset_partition_range_end": DAYS[-1]}
    result = job().execute_in_process(instance=instance, tags=tags)
    assert result.success
    return str(result.run_id)


def records(settings: Settings, run_id: str, schema: str) -> dict[str, Any]:
    """Return what the run left: events by type, asset and partition, and the assets' own rows."""
    from detektor_pipelines.stores.connections import connect

    with connect(settings) as connection:
        events = connection.execute(
            f"SELECT dagster_event_type, asset_key, partition, count(*) FROM {schema}.event_logs"
            " WHERE run_id = %s AND asset_key IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
            (run_id,),
        ).fetchall()
        assets = connection.execute(f"SELECT asset_key, last_run_id = %s FROM {schema}.asset_keys ORDER BY 1", (run_id,)).fetchall()
    return {"events": events, "assets": assets}


@pytest.mark.usefixtures("batches")
def test_a_range_leaves_the_same_records_as_the_stock_storage(database: Settings, tmp_path: Any) -> None:
    import dagster as dg

    from detektor_pipelines.orchestration.instance import persistent_instance
    from detektor_pipelines.stores.connections import connect

    with persistent_instance(database) as instance:
        ours = records(database, run(instance), "dagster")
        assert os.environ["DAGSTER_EVENT_BATCH_SIZE"] == "200"
    with connect(database) as connection:
        connection.execute("CREATE SCHEMA stock")
    (tmp_path / "dagster.yaml").write_text(f"storage:\n  postgres:\n    postgres_url: '{database.sqlalchemy_url('stock')}'\n")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        stock = records(database, run(instance), "stock")
    assert ours == stock
    assert len(ours["events"]) == 2 * 2 * len(DAYS)  # planned and done, two assets


def test_planned_events_of_many_assets_update_each_asset(database: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from detektor_pipelines.orchestration.instance import persistent_instance

    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")  # one batch holds both assets
    with persistent_instance(database) as instance:
        run_id = run(instance)
        keys = instance.get_asset_keys()
        assert {record.asset_entry.last_run_id for record in instance.get_asset_records(keys)} == {run_id}
        assert len(keys) == 2


@pytest.mark.usefixtures("batches")
def test_connections_are_given_back(database: Settings) -> None:
    from detektor_pipelines.orchestration.instance import persistent_instance
    from detektor_pipelines.stores.connections import connect

    with persistent_instance(database) as instance:
        run(instance)
    with connect(database) as connection:
        (others,) = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone() or (0,)
    assert others == 0


def test_dagster_dev_beside_a_stack_does_not_remove_its_schedules(database: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its daemon does not know their code location, and takes them for gone."""
    from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
    from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorType, ScheduleInstigatorData

    from detektor_pipelines.orchestration.instance import persistent_instance

    place = GrpcServerCodeLocationOrigin(host="127.0.0.1", port=1, location_name="detektor_pipelines")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(place, "__repository__"), "nightly_close")
    state = InstigatorState(origin, InstigatorType.SCHEDULE, InstigatorStatus.DECLARED_IN_CODE, ScheduleInstigatorData("0 3 * * *"))
    with persistent_instance(database) as instance:
        instance.add_instigator_state(state)
        for program, left in (("/lib/dagster/_daemon/__main__.py", 1), ("/lib/detektor_pipelines/orchestration/daemon.py", 0)):
            monkeypatch.setattr("sys.argv", [program, "run"])
            instance.delete_instigator_state(state.instigator_origin_id, state.selector_id)
            assert len(instance.all_instigator_state()) == left


@pytest.mark.parametrize("by_the_webserver", [False, True])
def test_connections_that_the_server_closed_cost_no_failed_request(database: Settings, *, by_the_webserver: bool) -> None:
    from detektor_pipelines.orchestration.instance import persistent_instance
    from detektor_pipelines.stores.connections import connect

    close = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with persistent_instance(database) as instance:
        if by_the_webserver:
            instance.optimize_for_webserver(statement_timeout=15_000, pool_recycle=3_600, max_overflow=20)  # as dagster-webserver does
        for _ in range(2):
            assert instance.get_runs() == []
            assert instance.all_asset_keys() == []
            assert instance.all_instigator_state() == []
            with connect(database) as connection:
                assert (connection.execute(close).fetchone() or (0,))[0] >= 3
        if by_the_webserver:
            storage: Any = instance.run_storage
            with storage.connect() as connection:
                shown = [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in ("statement_timeout", "search_path", "timezone")]
            assert shown == ["15s", "dagster", "UTC"]


def test_a_server_that_is_down_is_said_plainly(settings: Settings) -> None:
    from detektor_pipelines.orchestration.instance import persistent_instance

    with (
        pytest.raises(UserError, match="storage cannot be opened") as error,
        persistent_instance(settings.model_copy(update={"postgres_port": 1})),
    ):
        pass
    assert "detektor up" in str(error.value)


@pytest.mark.usefixtures("batches")
def test_dagsters_own_commands_find_the_storage_by_the_settings(database: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    import dagster as dg

    monkeypatch.setenv("DAGSTER_HOME", str(database.dagster_home))
    with dg.DagsterInstance.get() as instance:
        run_id = run(instance)
        for storage in (instance.run_storage, instance.event_log_storage, instance.schedule_storage):
            assert storage
            storage.dispose()
    assert records(database, run_id, "dagster")["assets"] == [('["first"]', True), ('["second"]', True)]


@pytest.mark.usefixtures("batches")
@pytest.mark.parametrize("batched", [True, False])
def test_a_check_of_a_backfills_run_is_planned_once_and_completed(database: Settings, *, batched: bool) -> None:
    import dagster as dg
    from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluation, AssetCheckEvaluationPlanned
    from dagster._core.events import DagsterEventBatchMetadata
    from dagster._core.test_utils import create_run_for_test

    from detektor_pipelines.orchestration.instance import persistent_instance

    def event(kind: dg.DagsterEventType, data: Any) -> dg.DagsterEvent:
        return dg.DagsterEvent(kind.value, "job", message="", event_specific_data=data)

    keys = [dg.AssetCheckKey(dg.AssetKey("rows"), name) for name in ("one", "two")]
    days = dg.DailyPartitionsDefinition("2026-05-01", end_date="2026-06-01")
    subset = days.subset_with_partition_keys(DAYS).to_serializable_subset()  # the daemon gives it to each run of a backfill
    with persistent_instance(database) as instance:
        run_id = create_run_for_test(instance).run_id
        for position, key in enumerate(keys):
            planned = AssetCheckEvaluationPlanned(asset_key=key.asset_key, check_name=key.name, partitions_subset=subset)
            batch = DagsterEventBatchMetadata("batch", is_end=position == len(keys) - 1) if batched else None
            instance.report_dagster_event(
                event(dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED, planned), run_id=run_id, batch_metadata=batch
            )
        for key in keys:
            (waiting,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
            assert (waiting.status.value, waiting.partition) == ("PLANNED", None)
            done = AssetCheckEvaluation(asset_key=key.asset_key, check_name=key.name, passed=True, metadata={})
            instance.report_dagster_event(event(dg.DagsterEventType.ASSET_CHECK_EVALUATION, done), run_id=run_id)
            complete: Any
            (complete,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
            assert complete.status.value == "SUCCEEDED"
            assert complete.event.dagster_event.asset_check_evaluation_data.passed


def test_mlflow_asks_its_connections_too(database: Settings) -> None:
    from mlflow.store.db.utils import create_sqlalchemy_engine

    from detektor_pipelines.stores.connections import connect

    engine = create_sqlalchemy_engine(database.sqlalchemy_url("mlflow"))
    for _ in range(2):
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SHOW search_path").scalar() == "mlflow"
        with connect(database) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
    engine.dispose()
