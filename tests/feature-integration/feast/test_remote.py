"""Feast's SDK with its remote online store, over our feature server: the same as the SDK over Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.serving_client import Server, running

from detektor_pipelines import clock
from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.training.references import row_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feast import FeatureStore

    from detektor_pipelines.settings import Settings

pytestmark = pytest.mark.slow

FEATURES = [f"{view.name}:{each.name}" for view in VIEWS for each in view.features]
INSTANTS = {f"{view.name}__{each.name}" for view in VIEWS for each in view.features if each.value_type == "instant"}
AGENTS = ["code-reviewer", "nobody", "pisarz@a", "code-reviewer"]


@pytest.fixture(scope="module")
def server(module_store: tuple[FeatureStore, Settings], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("serve")
    named = {"DETEKTOR_EXTERNAL_REDIS_URL": module_store[1].redis_url, "DETEKTOR_HOME": str(directory / "home")}
    with running(directory, "serve", environment=named) as server:
        yield server


@pytest.fixture
def remote(store: FeatureStore, server: Server) -> Iterator[FeatureStore]:
    """Make a store that differs from `store` in its online store only."""
    from feast import FeatureStore, RepoConfig
    from feast.permissions.client.http_auth_requests_wrapper import HttpSessionManager

    config = store.config.model_dump(by_alias=True, exclude={"online_store", "online_config"})
    config = {name: value for name, value in config.items() if value is not None}
    path = f"http://127.0.0.1:{server.port}"
    made = FeatureStore(config=RepoConfig(**config | {"online_store": {"type": "remote", "path": path}}))
    yield made
    made.registry.write_engine.dispose()
    made.registry.read_engine.dispose()
    HttpSessionManager.close_session()


def publish(settings: Settings) -> None:
    now = clock.now_us()
    with online.redis_client(settings) as client:
        for view in VIEWS:
            values: dict[str, Any] = {}
            for number, each in enumerate(view.features):
                value = {"int64": 2**53 + number, "float64": float(number) if number % 2 else number / 7, "instant": now - 1_500_000}
                values[each.name] = None if each.nullable and number % 3 == 0 else value[each.value_type]
            rows = [online.OnlineRow(agent, now, now, now - 1_000_001, None, values) for agent in (view.agent, f"{view.agent}@a")]
            online.write_values(client, settings.project, view, rows, valid_through_us=now)


def test_the_remote_store_reads_what_the_sdk_reads(store: FeatureStore, remote: FeatureStore, redis_db: Settings) -> None:
    publish(redis_db)
    asked: dict[str, Any] = {"features": FEATURES, "entity_rows": [{"agent_id": each} for each in AGENTS], "full_feature_names": True}
    over_http = remote.get_online_features(**asked)
    found = over_http.to_dict()
    wanted: dict[str, Any] = {}
    statuses: dict[str, Any] = {}
    for view in VIEWS:  # the server reads the row of the view's agent in the same project, the SDK the very one that is named
        rows = [{"agent_id": each if each == "nobody" else row_of(view, each)} for each in AGENTS]
        features = [f"{view.name}:{each.name}" for each in view.features]
        direct = store.get_online_features(features, rows, full_feature_names=True)
        wanted |= direct.to_dict()
        statuses |= _statuses(direct)
    wanted["agent_id"] = AGENTS
    for name in INSTANTS:  # Feast's server says an instant as a whole second, and its client reads it as a number
        wanted[name] = [value and int(value.timestamp()) for value in wanted[name]]
    assert found == wanted
    assert _statuses(over_http) == statuses


def test_its_read_of_one_view(store: FeatureStore, remote: FeatureStore, redis_db: Settings) -> None:
    """The lower door of Feast's online stores, which other parts of Feast go through."""
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    publish(redis_db)
    view = store.get_feature_view("code_review_features")
    keys = [EntityKey(join_keys=["agent_id"], entity_values=[Value(string_val=agent)]) for agent in ("code-reviewer", "nobody")]
    names = [each.name for each in view.features]
    direct = store._get_provider().online_read(store.config, view, keys, names)
    over_http = remote._get_provider().online_read(remote.config, view, keys, names)
    assert over_http[0][1] == direct[0][1]
    assert all(value == Value() for value in over_http[1][1].values())


def test_what_it_cannot_answer_is_said_to_the_client(remote: FeatureStore) -> None:
    """The client knows its registry, so only the server can tell that a view is not the server's."""
    store = remote._get_provider().online_store
    asked = {"features": ["nope:x"], "entity_rows": [{"agent_id": "a"}], "registry": None, "project": "detektor"}
    with pytest.raises(RuntimeError, match="There is no feature view 'nope'"):
        store.get_online_features(remote.config, **asked)


def _statuses(response: Any) -> dict[str, list[int]]:
    names = response.proto.metadata.feature_names.val
    return {name: list(each.statuses) for name, each in zip(names, response.proto.results, strict=True)}
