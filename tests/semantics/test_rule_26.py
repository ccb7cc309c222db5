"""Rule 26, its offline part: what Feast reads of a registered version are that version's rows, whoever ran last."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.log_rows import insert, partition_log
from support.rule_log import run
from support.rule_views import happened

from detektor_pipelines.catalog import view_named
from detektor_pipelines.errors import UserError
from detektor_pipelines.language import days, event
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.feast import registry as feast_repo
from detektor_pipelines.stores.online import values as online

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feast import FeatureStore

    from detektor_pipelines.language import FeatureView
    from detektor_pipelines.settings import Settings

pytestmark = pytest.mark.slow

ONE_DAY = view_named("code_review_features")
COUNT = ONE_DAY.features[0]
TWO_DAYS = replace(ONE_DAY, version="2.0.0", features=(replace(COUNT, over=days(2)), *ONE_DAY.features[1:]))
ANY_WORK = replace(ONE_DAY, version="1.2.0", features=(replace(COUNT, where=event.operation != "chat"), *ONE_DAY.features[1:]))
"""Another number under the same name, type and window: Feast itself sees no change of the schema."""

NOON = "2026-03-06T12:00:00Z"


@pytest.fixture
def store(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[FeatureStore]:
    """A review a day at ten, and on the 6th something else; Feast's registry is empty."""
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-08T00:30:00Z")
    partition_log(servers)
    events = [happened(f"2026-03-0{day} 10:00", event_id=str(day)) for day in range(1, 8)]
    insert(servers, [*events, happened("2026-03-06 11:00", operation="advise")])
    with feast_repo.closing_store(servers) as feast:
        yield feast


def compute(settings: Settings, view: FeatureView, last: str = "2026-03-07") -> None:
    run(settings, view, "2026-03-01", last)


def read(store: FeatureStore, version: str = "") -> Any:
    """The count that Feast's history has for noon of the 6th."""
    import pandas as pd

    labels = pd.DataFrame({"agent_id": ["code-reviewer"], "event_timestamp": pd.to_datetime([NOON])})
    found = store.get_historical_features(labels, [f"code_review_features{version}:{COUNT.name}"]).to_arrow()
    return found[-1].to_pylist()[0]


def plain_names(settings: Settings) -> list[int]:
    """The count of noon of the 6th under the view's plain name, and in the relation of all views."""
    newest = f"WHERE agent_id = 'code-reviewer' AND event_timestamp <= '{NOON}' ORDER BY event_timestamp DESC, created_at DESC LIMIT 1"
    with connect(settings) as connection:
        plain = connection.execute(f"SELECT {COUNT.name} FROM feast.code_review_features {newest}").fetchall()
        every = connection.execute(f"SELECT features->>'{COUNT.name}' FROM feast.agent_features_historical {newest}").fetchall()
    return [int(number) for (number,) in plain + every]


def test_26_a_run_of_the_older_definition_changes_nothing_for_the_registered_one(servers: Settings, store: FeatureStore) -> None:
    from datetime import UTC, datetime

    feast_repo.apply(servers, [ONE_DAY])
    compute(servers, ONE_DAY)
    assert read(store) == 1
    feast_repo.apply(servers, [TWO_DAYS])
    compute(servers, TWO_DAYS)
    store.refresh_registry()
    assert (read(store), plain_names(servers)) == (2, [2, 2])
    compute(servers, ONE_DAY)
    assert (read(store), plain_names(servers)) == (2, [2, 2])
    insert(servers, [happened("2026-03-06 09:00", event_id="a"), happened("2026-03-06 09:00", event_id="b")])
    compute(servers, ONE_DAY)
    assert (read(store), plain_names(servers)) == (2, [2, 2]), "two more reviews, which the registered version has not computed"
    assert read(store, "@v0") == 3, "and the older one has"

    store.materialize(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 6, 12, tzinfo=UTC))
    with online.redis_client(servers) as client:
        (row,) = online.read(client, servers.project, TWO_DAYS, ["code-reviewer"])
        assert row is not None
        assert dict(row.values)[COUNT.name] == 2
        assert online.read(client, servers.project, ONE_DAY, ["code-reviewer"]) == [None]


def test_26_each_change_of_the_numbers_is_a_version_that_stays_readable(servers: Settings, store: FeatureStore) -> None:
    for view in (ONE_DAY, ANY_WORK, TWO_DAYS):
        feast_repo.apply(servers, [view])
        compute(servers, view)
    store.refresh_registry()
    assert [read(store, version) for version in ("", "@v0", "@v1", "@v2")] == [2, 1, 2, 2]


def test_26_what_is_registered_again_is_what_people_see_again(servers: Settings, store: FeatureStore) -> None:
    for view in (ONE_DAY, TWO_DAYS, ONE_DAY):
        feast_repo.apply(servers, [view])
        compute(servers, view)
    store.refresh_registry()
    assert (read(store), plain_names(servers)) == (1, [1, 1])


def test_26_a_version_that_was_never_computed_is_not_read_as_nulls(servers: Settings, store: FeatureStore) -> None:
    feast_repo.apply(servers, [ONE_DAY])
    compute(servers, ONE_DAY)
    feast_repo.apply(servers, [TWO_DAYS])
    store.refresh_registry()
    with pytest.raises(UserError, match=r"v2\.0\.0 was never computed") as told:
        read(store)
    assert "detektor backfill --view code_review_features" in str(told.value.fix)
    assert read(store, "@v0") == 1
