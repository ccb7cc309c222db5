"""Plan and retirement of a version as a real MLflow knows its users and how long it took, with rows and values on real servers."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.catalog import DECLARED, view_named
from detektor_pipelines.clock import from_us, now_us
from detektor_pipelines.engine.backfill import backfill
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.hashes import data_hash, metadata_hash, short_hash
from detektor_pipelines.simulation.simulator import simulate_table
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.connections_redis import redis_client
from detektor_pipelines.stores.mlflow.durations import rows_per_second
from detektor_pipelines.stores.mlflow.rest import Rest
from detektor_pipelines.stores.mlflow.tracking import MaterializationRecord, Tracker
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.raw_log.bulk import append_table
from detektor_pipelines.versions import retire as retiring
from detektor_pipelines.versions.plan import plan

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

pytestmark = pytest.mark.slow

DECLARED_VIEW = view_named("coding_features", DECLARED)
VIEW = replace(DECLARED_VIEW, name="lifecycle_features")
"""MLflow is one for the session: other tests log runs of the catalogue's views."""

OLD = replace(VIEW, version="0.9.0", features=VIEW.features[:5])


@pytest.fixture
def known(servers: Settings, mlflow_uri: str) -> Settings:
    """Three days of `OLD` are published and online, a model was made from it, and MLflow knows how long its rows took."""
    settings = servers.model_copy(update={"mlflow_tracking_uri": mlflow_uri})
    end = from_us(now_us()).date()
    append_table(settings, simulate_table(days=3, projects=1, seed=3, end=end, events=600))
    days = [date.fromordinal(end.toordinal() - number) for number in range(4)]
    assert len(list(backfill(settings, [OLD], days))) == 1
    _model(mlflow_uri)
    _record(settings)
    return settings


def _model(uri: str) -> None:
    rest = Rest(uri)
    try:
        if rest.call("GET", "registered-models/get", {"name": "coder"}, absent_is_none=True) is not None:
            return
        rest.answer("POST", "registered-models/create", {"name": "coder"})
        tags = [{"key": "views", "value": f'[{{"name": "{OLD.name}", "data_hash": "{data_hash(OLD)}"}}]'}]
        rest.answer("POST", "model-versions/create", {"name": "coder", "source": "s3://models/coder", "tags": tags})
    finally:
        rest.close()


def _record(settings: Settings) -> None:
    tracker = Tracker(settings)
    try:
        for rows, seconds in ((900.0, 2.0), (100.0, 3.0), (0.0, 9.0)):
            tracker.log(
                MaterializationRecord(
                    root="run:a",
                    agent=OLD.agent,
                    view=OLD.name,
                    version=OLD.version,
                    data_hash=data_hash(OLD),
                    metadata_hash=metadata_hash(OLD),
                    status="FINISHED",
                    days=("2026-05-01", "2026-05-03", 3),
                    rows_hash="r" * 64,
                    counts={"rows": rows, "seconds": seconds},
                    started_ms=1_000,
                    ended_ms=2_000,
                )
            )
    finally:
        tracker.close()


def test_a_plan_names_the_models_and_tells_time_from_earlier_runs(known: Settings) -> None:
    assert rows_per_second(known, [VIEW.name, "content_features"]) == {VIEW.name: 200.0}

    (found,) = plan(known, [VIEW], [VIEW]).views
    assert found.before is not None
    assert (found.before.data_hash, found.before.version, found.changes) == (data_hash(OLD), "", None), "no lock knows it"
    assert (found.models, found.work.told_from, len(found.work.days)) == (("coder v1",), "earlier materializations", 4)
    assert found.work.rows is not None
    assert found.work.seconds == pytest.approx(0.3 + found.work.rows / 200)


def test_a_version_that_a_model_was_made_from_is_kept_unless_forced(known: Settings) -> None:
    found = retiring.find(known, VIEW, short_hash(OLD))
    assert found.rows > 0
    assert found.days == 4
    with pytest.raises(UserError, match=r"is used by coder v1"):
        retiring.check_models(found)
    unknown = retiring.find(known.model_copy(update={"mlflow_tracking_uri": "http://127.0.0.1:1"}), VIEW, short_hash(OLD))
    with pytest.raises(UserError, match="MLflow does not answer"):
        retiring.check_models(unknown)

    with connect(known, writes=True) as connection:
        connection.execute(f'CREATE VIEW public.mine AS SELECT * FROM feast."{found.table}"')
        connection.execute(f'DROP VIEW IF EXISTS feast."{VIEW.name}" CASCADE')
    with pytest.raises(UserError, match=r"SQL views of somebody's hang on .*view mine depends on table"):
        retiring.retire(known, found)
    with connect(known) as connection:
        assert connection.execute("SELECT count(*) FROM public.mine").fetchone() == (found.rows,), "then nothing goes"

    gone = retiring.retire(known, found, force=True)
    assert (gone.rows, gone.days, gone.values > 0) == (found.rows, 4, True)
    with redis_client(known) as client:
        assert online.read(client, known.project, OLD, [VIEW.agent]) == [None]
    with connect(known) as connection:
        assert connection.execute("SELECT count(*) FROM ml_learning.partition_state").fetchone() == (0,)


def test_what_is_in_force_is_not_retired(known: Settings) -> None:
    with pytest.raises(UserError, match="is in force"):
        retiring.find(known, DECLARED_VIEW, DECLARED_VIEW.version)
    with pytest.raises(UserError, match=r"has no version 9\.9\.9"):
        retiring.find(known, DECLARED_VIEW, "9.9.9")
