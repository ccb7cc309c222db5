"""Feast's SDK, unchanged, with our servers that ask who comes and speak TLS."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from support import certificates
from support.oidc_provider import AUDIENCE, Provider, new_key, running_provider
from support.serving_client import Server, running

from detektor_pipelines import clock
from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.stack import ports
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.web.tokens import add_token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from feast import FeatureStore

    from detektor_pipelines.settings import Settings

pytestmark = pytest.mark.slow

VIEW = view_named("code_review_features")
ASKED: dict[str, Any] = {"features": [f"{VIEW.name}:recent_reviews_count"], "entity_rows": [{"agent_id": "code-reviewer"}]}


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> certificates.Files:
    return certificates.make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    file = tmp_path_factory.mktemp("tokens") / "tokens"
    return str(file), add_token(file, "sdk")


@pytest.fixture(scope="module")
def environment(
    module_store: tuple[FeatureStore, Settings],
    provider: Provider,
    files: certificates.Files,
    token: tuple[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """Return the settings of servers that know a file of tokens and a provider, and speak TLS."""
    settings = module_store[1]
    return {
        "DETEKTOR_HOME": str(tmp_path_factory.mktemp("home")),
        "DETEKTOR_EXTERNAL_POSTGRES_URL": str(settings.external_postgres_url),
        "DETEKTOR_EXTERNAL_REDIS_URL": str(settings.external_redis_url),
        "DETEKTOR_SERVE_REDIS_TIMEOUT_MS": "10000",
        "DETEKTOR_SERVE_TOKENS_FILE": token[0],
        "DETEKTOR_SERVE_OIDC_DISCOVERY_URL": provider.discovery_url,
        "DETEKTOR_SERVE_OIDC_AUDIENCE": AUDIENCE,
        "DETEKTOR_SERVE_TLS_CERT": str(files.certificate),
        "DETEKTOR_SERVE_TLS_KEY": str(files.key),
    }


@pytest.fixture(scope="module")
def server(environment: dict[str, str], files: certificates.Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    context = ssl.create_default_context(cafile=str(files.authority))
    with running(tmp_path_factory.mktemp("serve"), "serve", environment=environment, context=context) as server:
        yield server


@pytest.fixture(scope="module")
def grpc_port() -> int:
    return ports.free_port()


@pytest.fixture(scope="module")
def registry(
    environment: dict[str, str], files: certificates.Files, grpc_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    context = ssl.create_default_context(cafile=str(files.authority))
    words = ["--grpc-port", str(grpc_port)]
    with running(tmp_path_factory.mktemp("registry"), "registry", *words, environment=environment, context=context) as server:
        yield server


def remote(auth: dict[str, str], files: certificates.Files, server: Server, grpc_port: int) -> FeatureStore:
    from feast import FeatureStore, RepoConfig

    config = RepoConfig(
        project="detektor",
        provider="local",
        registry={"registry_type": "remote", "path": f"localhost:{grpc_port}", "cert": str(files.authority)},
        online_store={"type": "remote", "path": f"https://localhost:{server.port}", "cert": str(files.authority)},
        auth={"type": "oidc"} | auth,
        entity_key_serialization_version=3,
    )
    return FeatureStore(config=config)


@pytest.fixture(params=["file", "provider", "environment"])
def auth(request: pytest.FixtureRequest, provider: Provider, token: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return Feast's section `auth`, with a token of each kind."""
    if request.param == "environment":
        monkeypatch.setenv("MY_TOKEN", provider.token())
        return {"token_env_var": "MY_TOKEN"}
    return {"token": token[1] if request.param == "file" else provider.token()}


def test_the_sdk_reads_and_lists(
    auth: dict[str, str], files: certificates.Files, server: Server, registry: Server, grpc_port: int, redis_db: Settings
) -> None:
    del registry
    now = clock.now_us()
    values: dict[str, Any] = {each.name: 4 if each.value_type == "int64" else None for each in VIEW.features}
    with online.redis_client(redis_db) as client:
        rows = [online.OnlineRow("code-reviewer", now, now, now - 1, None, values)]
        online.write_values(client, redis_db.project, VIEW, rows, valid_through_us=now)
    store = remote(auth, files, server, grpc_port)
    try:
        assert {view.name for view in store.list_feature_views()} == {view.name for view in VIEWS}
        assert store.get_online_features(**ASKED).to_dict() == {"agent_id": ["code-reviewer"], "recent_reviews_count": [4]}
    finally:
        close(store)


def test_the_sdk_is_told_when_it_is_not_known(
    provider: Provider, files: certificates.Files, server: Server, registry: Server, grpc_port: int, store: FeatureStore
) -> None:
    del registry
    stranger = remote({"token": provider.token(key=new_key())}, files, server, grpc_port)
    try:
        with pytest.raises(grpc.RpcError) as found:
            stranger.list_feature_views()
        assert found.value.code() == grpc.StatusCode.UNAUTHENTICATED
        view = store.get_feature_view(VIEW.name)
        with pytest.raises(Exception, match=r"401|not valid"):
            stranger._get_provider().online_read(stranger.config, view, [], ["recent_reviews_count"])
    finally:
        close(stranger)


def test_nothing_is_changed_through_the_registry(
    token: tuple[str, str], files: certificates.Files, server: Server, registry: Server, grpc_port: int
) -> None:
    from feast import Entity, ValueType

    store = remote({"token": token[1]}, files, server, grpc_port)
    try:
        with pytest.raises(grpc.RpcError) as found:
            store.registry.apply_entity(Entity(name="mine", join_keys=["mine"], value_type=ValueType.STRING), "detektor")
        assert found.value.code() == grpc.StatusCode.PERMISSION_DENIED
    finally:
        close(store)
    registry.token = token[1]
    assert registry.ask("POST", "/api/v1/entities", b"{}").status == 403


def test_the_registry_over_http(token: tuple[str, str], registry: Server) -> None:
    registry.token = None
    assert registry.get("/health").json == {"status": "OK"}
    path = "/api/v1/feature_views?project=detektor"
    answer = registry.get(path)
    assert (answer.status, answer.headers["content-type"]) == (401, "application/problem+json")
    for open_elsewhere in ("/", "/docs", "/openapi.json", "/api/v1/health"):
        assert registry.get(open_elsewhere).status == 401
    registry.token = token[1]
    assert {each["spec"]["name"] for each in registry.get(path).json["featureViews"]} == {view.name for view in VIEWS}
    assert registry.get("/health").json["feature_views"] == 8


def test_the_registrys_own_permissions_are_enforced(
    own_store: FeatureStore, row_tables: Settings, provider: Provider, tmp_path: Path
) -> None:
    """Feast's, on the roles of the provider's token: by REST and by gRPC."""
    from feast import FeatureStore, FeatureView, RepoConfig
    from feast.errors import FeastPermissionError
    from feast.permissions.action import AuthzedAction
    from feast.permissions.permission import Permission
    from feast.permissions.policy import RoleBasedPolicy

    may = Permission(name="readers", types=[FeatureView], policy=RoleBasedPolicy(roles=["reader"]), actions=[AuthzedAction.DESCRIBE])
    own_store.apply([may])
    grpc_port = ports.free_port()
    named = {
        "DETEKTOR_EXTERNAL_POSTGRES_URL": str(row_tables.external_postgres_url),
        "DETEKTOR_EXTERNAL_REDIS_URL": "redis://127.0.0.1:1",
        "DETEKTOR_SERVE_OIDC_DISCOVERY_URL": provider.discovery_url,
        "DETEKTOR_SERVE_OIDC_AUDIENCE": AUDIENCE,
    }
    with running(tmp_path, "registry", "--grpc-port", str(grpc_port), environment=named) as server:
        for roles, status in ((["reader"], 200), (["writer"], 403), ([], 403)):
            token = server.token = provider.token(roles=roles)
            assert server.get(f"/api/v1/feature_views/{VIEW.name}?project=detektor").status == status
            config = RepoConfig(
                project="detektor",
                provider="local",
                registry={"registry_type": "remote", "path": f"localhost:{grpc_port}"},
                online_store={"type": "remote"},
                auth={"type": "oidc", "token": token},
                entity_key_serialization_version=3,
            )
            store = FeatureStore(config=config)
            try:
                if status == 200:
                    assert store.get_feature_view(VIEW.name).name == VIEW.name
                else:
                    with pytest.raises(FeastPermissionError):
                        store.get_feature_view(VIEW.name)
            finally:
                close(store)


def close(store: FeatureStore) -> None:
    from feast.permissions.client.http_auth_requests_wrapper import HttpSessionManager

    store.registry.close()
    HttpSessionManager.close_session()
