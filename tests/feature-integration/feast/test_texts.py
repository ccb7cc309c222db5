"""A view with texts and lists through Feast: registered as String, read online in both of its ways, written by it, and joined to labels."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from support.rule_views import view_of

from detektor_pipelines import clock
from detektor_pipelines.compile.feast import entity, feature_view
from detektor_pipelines.language import count, days, event, first, last_k
from detektor_pipelines.stores.offline.row_tables import ensure_tables
from detektor_pipelines.stores.offline.rows import row_table
from detektor_pipelines.stores.online import values as online

if TYPE_CHECKING:
    from feast import FeatureStore
    from redis import Redis

    from detektor_pipelines.settings import Settings

pytestmark = pytest.mark.slow

VIEW = view_of(calls=(count(), days(1)), tool=(first(event.tool_name), days(1)), tools=(last_k(event.tool_name, 3), days(1)))
NOON = 1_772_712_000_000_000  # 2026-03-05 12:00 UTC
VALUES: dict[str, dict[str, Any]] = {
    "code-reviewer": {"calls": 3, "tool": 'Ż "x"\n', "tools": '["a","ż"]'},
    "code-reviewer@p": {"calls": 1, "tool": "", "tools": None},
}
REFERENCES = [f"{VIEW.name}:{each.name}" for each in VIEW.features]


@pytest.fixture
def feast_store(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> FeatureStore:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-05T12:00:00Z")
    store.apply([entity(), feature_view(VIEW)])
    return store


def test_they_are_read_online_in_both_of_feasts_ways(feast_store: FeatureStore, client: Redis) -> None:
    from feast.infra.online_stores.redis import RedisOnlineStore

    rows = [online.OnlineRow(agent, NOON, NOON, NOON, "3:4:", values) for agent, values in VALUES.items()]
    online.write_values(client, "detektor", VIEW, rows, valid_through_us=NOON)
    keys = {"agent_id": [*VALUES, "nobody"]}
    wanted = {**keys, **{name: [*(each[name] for each in VALUES.values()), None] for name in ("calls", "tool", "tools")}}

    assert feast_store.get_online_features(REFERENCES, keys).to_dict() == wanted
    general = RedisOnlineStore.get_online_features(
        feast_store._get_provider().online_store, feast_store.config, REFERENCES, keys, feast_store.registry, feast_store.project
    )
    assert general.to_dict() == wanted
    assert feast_store.get_online_features(REFERENCES, keys).proto == general.proto


def test_what_feast_writes_is_read_back(feast_store: FeatureStore) -> None:
    import pandas as pd

    rows = pd.DataFrame([{"agent_id": agent, **values, "event_timestamp": clock.from_us(NOON)} for agent, values in VALUES.items()])
    rows["created_at"] = rows["event_timestamp"]
    feast_store.write_to_online_store(VIEW.name, rows)

    found = feast_store.get_online_features(REFERENCES, {"agent_id": list(VALUES)}).to_dict()
    assert (found["tool"], found["tools"]) == (['Ż "x"\n', ""], ['["a","ż"]', None])


def test_they_are_joined_to_labels(feast_store: FeatureStore, module_store: tuple[FeatureStore, Settings]) -> None:
    import pandas as pd
    import psycopg

    settings = module_store[1]
    ensure_tables(settings, [VIEW])
    at = clock.from_us(NOON)
    with psycopg.connect(settings.postgres_dsn) as connection:
        for agent, values in VALUES.items():
            connection.execute(
                f'INSERT INTO feast."{row_table(VIEW)}" (agent_id, event_timestamp, created_at, written_at, calls, tool, tools)'
                " VALUES (%s, %s, %s, %s, %s, %s, %s)",
                (agent, at, at, at, *values.values()),
            )
    labels = pd.DataFrame({"agent_id": list(VALUES), "event_timestamp": [at + dt.timedelta(minutes=5)] * 2})
    found = feast_store.get_historical_features(labels, REFERENCES).to_df().set_index("agent_id")

    assert list(found.loc[list(VALUES), "tool"]) == ['Ż "x"\n', ""]
    assert found.loc["code-reviewer", "tools"] == '["a","ż"]'
    assert pd.isna(found.loc["code-reviewer@p", "tools"])
