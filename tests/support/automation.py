"""What the tests of schedules and sensors share: published days and events as rows, and Dagster runs that have happened."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.stores.connections import connect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

_PUBLISH = """
INSERT INTO ml_learning.partition_state (view, data_hash, partition, snapshot, rows, hash, published_at)
SELECT %(view)s, %(hash)s, %(day)s, ml_learning.log_snapshot(), 0, 'x', %(at)s
ON CONFLICT (view, data_hash, partition) DO UPDATE SET snapshot = excluded.snapshot, published_at = excluded.published_at
"""
_EVENT = """
INSERT INTO ml_learning.agent_events
    (event_id, revision, agent_type, raw_name, operation, occurred_at, known_at, ingested_at, derived, simulated, source, reader_revision)
VALUES (%(id)s, 1, %(agent)s, 'x', 'review', %(at)s, %(at)s, now(), false, false, 'test', 1)
"""


def span(first: date, last: date) -> list[date]:
    """The days from `first` to `last`, both included."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def publish(settings: Settings, view: FeatureView, days: Iterable[date], *, at: str | None = None, digest: str | None = None) -> None:
    """Record the days as published from all that the log holds now, by default when each was over."""
    with connect(settings) as connection:
        for day in days:
            values = {"view": view.name, "hash": digest or data_hash(view), "day": day, "at": at or f"{day + timedelta(days=1)} 00:20+00"}
            connection.execute(_PUBLISH, values)


def append(settings: Settings, view: FeatureView, *instants: str) -> None:
    """Append one event of the view's agent for each instant, such as "2026-05-20 10:30"."""
    with connect(settings) as connection:
        for at in instants:
            connection.execute(_EVENT, {"id": f"{view.agent} {at}", "agent": view.agent, "at": f"{at}+00"})


def made(
    instance: Any, status: str, tags: Mapping[str, str] | None = None, keys: Sequence[Any] | None = None, job: str = "__ASSET_JOB"
) -> str:
    """Make a run with this status, tags and asset selection (of all assets); returns its id."""
    from dagster import DagsterRunStatus
    from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
    from dagster._core.test_utils import create_run_for_test

    run = create_run_for_test(
        instance,
        job,
        status=DagsterRunStatus[status],
        tags=dict(tags or {}),
        asset_selection=None if keys is None else frozenset(keys),
        remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "repository"), job),
    )
    return str(run.run_id)


def start(instance: Any, request: Any, status: str = "FAILURE") -> str:
    """Make the run that the daemon would make of a RunRequest, and let it end as `status`."""
    return made(instance, status, request.tags, request.asset_selection)
