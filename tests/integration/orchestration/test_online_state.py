"""The asset of the online state: what workers and parity say, as observations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
import pytest
from support.log_rows import insert, partition_log
from support.oracle import Event

from detektor_pipelines import clock
from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.orchestration.assets.online import ONLINE_STATE, watch_stream
from detektor_pipelines.orchestration.build import build_definitions
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stream.run import _tell, report
from detektor_pipelines.stream.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detektor_pipelines.settings import Settings

pytestmark = pytest.mark.slow


@pytest.fixture
def streamed(servers: Settings) -> Settings:
    """One event, counted and written online by a worker that has reported."""
    partition_log(servers)
    now = clock.now_us()
    insert(servers, [Event("a", now - 1, now - 1, "p", values={"verdict": "rejected"})])
    with Worker(servers, VIEWS) as worker:
        worker.tick()
        _tell(servers, report(worker.health))
    return servers


def observed(settings: Settings) -> Mapping[str, dg.MetadataValue]:
    """Observe through Dagster, as its page and the hourly schedule do."""
    job = build_definitions(settings=settings).get_repository_def().get_implicit_job_def_for_assets([ONLINE_STATE])
    assert job is not None
    with dg.DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(instance=instance, asset_selection=[ONLINE_STATE]).success
        (record,) = instance.fetch_observations(ONLINE_STATE, limit=10).records
    assert record.asset_observation is not None
    return record.asset_observation.metadata


def test_an_observation_says_how_the_stream_is_and_whether_it_is_right(streamed: Settings) -> None:
    found = observed(streamed)
    assert {
        name: found[name].value for name in ("workers", "keys", "parity_known", "parity_compared", "parity_ok", "parity_mismatches")
    } == {
        "workers": 1,
        "keys": 2,
        "parity_known": 2,
        "parity_compared": 2,
        "parity_ok": 2,
        "parity_mismatches": 0,
    }


def test_a_wrong_value_is_named(streamed: Settings) -> None:
    client = online.redis_client(streamed)
    try:
        (row,) = online.read(client, streamed.project, VIEWS[0], [VIEWS[0].agent])
        assert row is not None
        wrong = online.OnlineRow(
            row.agent_id, row.as_of, row.created_at + 1, row.event_timestamp, row.snapshot, {**row.values, "recent_reviews_count": 7}
        )
        online.write_values(client, streamed.project, VIEWS[0], [wrong], valid_through_us=row.as_of)
    finally:
        client.close()
    found = observed(streamed)
    assert found["parity_mismatches"].value == 1
    (record,) = found["mismatches"].records
    assert {name: record.data[name] for name in ("state", "view", "feature", "served", "right")} == {
        "state": "wrong",
        "view": "code_review_features",
        "feature": "recent_reviews_count",
        "served": "7",
        "right": "1",
    }


def test_the_sensor_notes_the_workers_and_nothing_without_one(streamed: Settings) -> None:
    with dg.DagsterInstance.ephemeral() as instance, dg.build_sensor_context(instance=instance) as context:
        result = watch_stream(streamed).evaluate_tick(context)
        (event,) = result.asset_events
        assert isinstance(event, dg.AssetObservation)
        assert (event.asset_key, event.metadata["keys"].value) == (ONLINE_STATE, 2)
        client = online.redis_client(streamed)
        try:
            client.flushall()
        finally:
            client.close()
        assert "detektor stream" in (watch_stream(streamed).evaluate_tick(context).skip_message or "")
