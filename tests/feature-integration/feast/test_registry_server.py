"""The registry server: Feast's SDK with its remote registry, Feast's REST registry, and health."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support.serving_client import DETEKTOR, Server, running
from support.waiting import eventually

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.stack import ports
from detektor_pipelines.stack.servers import embedded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from feast import FeatureStore

    from detektor_pipelines.settings import Settings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def grpc_port() -> int:
    return ports.free_port()


@pytest.fixture(scope="module")
def server(module_store: tuple[FeatureStore, Settings], grpc_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("registry")
    _, settings = module_store
    named = {
        "DETEKTOR_HOME": str(directory / "home"),
        "DETEKTOR_EXTERNAL_POSTGRES_URL": str(settings.external_postgres_url),
        "DETEKTOR_EXTERNAL_REDIS_URL": str(settings.external_redis_url),
    }
    with running(directory, "registry", "--grpc-port", str(grpc_port), environment=named) as server:
        yield server


@contextmanager
def remote_store(store: FeatureStore, grpc_port: int) -> Iterator[FeatureStore]:
    """Return a store like another one, whose registry is the server's."""
    from feast import FeatureStore, RepoConfig

    config = RepoConfig(
        project=store.project,
        provider="local",
        registry={"registry_type": "remote", "path": f"127.0.0.1:{grpc_port}"},
        online_store=store.config.online_store.model_dump(),
        entity_key_serialization_version=3,
    )
    remote = FeatureStore(config=config)
    try:
        yield remote
    finally:
        remote.registry.close()


def test_the_sdk_reads_it(module_store: tuple[FeatureStore, Settings], server: Server, grpc_port: int) -> None:
    del server
    store, _ = module_store
    with remote_store(store, grpc_port) as remote:
        assert {view.name for view in remote.list_feature_views()} == {view.name for view in VIEWS}
        assert remote.get_feature_view(VIEWS[0].name) == store.get_feature_view(VIEWS[0].name)
        asked = {"features": [f"{VIEWS[0].name}:recent_reviews_count"], "entity_rows": [{"agent_id": "nobody"}]}
        assert remote.get_online_features(**asked).to_dict() == {"agent_id": ["nobody"], "recent_reviews_count": [None]}


def test_over_http(server: Server) -> None:
    found = server.get("/api/v1/feature_views?project=detektor")
    assert {each["spec"]["name"] for each in found.json["featureViews"]} == {view.name for view in VIEWS}


def test_health(server: Server) -> None:
    answer = server.get("/health")
    assert (answer.status, answer.json["status"], answer.json["postgres"], answer.json["feature_views"]) == (200, "OK", "up", 8)
    command = f"curl -s http://127.0.0.1:{server.port}/health | grep OK"
    assert subprocess.run(["sh", "-c", command], check=False, capture_output=True).returncode == 0


def test_health_without_postgres(tmp_path: Path) -> None:
    from detektor_pipelines.stack.servers import postgres

    with embedded.start_postgres(tmp_path / "postgres") as own:
        postgres.create_database(own.dsn(), "detektor")
        postgres.create_schemas(own.dsn("detektor"))
        named = {"DETEKTOR_EXTERNAL_POSTGRES_URL": own.dsn("detektor"), "DETEKTOR_EXTERNAL_REDIS_URL": "redis://127.0.0.1:1"}
        with running(tmp_path, "registry", environment=named) as server:
            assert server.get("/health").status == 200
            os.kill(own.pid, signal.SIGQUIT)  # at once
            while ports.answers(own.login.port):
                time.sleep(0.05)
            answer = server.get("/health")
            assert (answer.status, answer.json["status"]) == (503, "DOWN")
            assert answer.json["reason"]


def test_a_taken_grpc_port_is_said(server: Server, grpc_port: int, module_store: tuple[FeatureStore, Settings]) -> None:
    del server
    port, url = ports.free_port(), str(module_store[1].external_postgres_url)
    words = [DETEKTOR, "registry", "--port", str(port), "--grpc-port", str(grpc_port)]
    environment = os.environ | {"DETEKTOR_EXTERNAL_POSTGRES_URL": url, "DETEKTOR_EXTERNAL_REDIS_URL": "redis://127.0.0.1:1"}
    done = subprocess.run(words, check=False, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 1
    assert "--grpc-port" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_changes_nothing_over_grpc_for_anybody(module_store: tuple[FeatureStore, Settings], server: Server, grpc_port: int) -> None:
    import grpc
    from feast import Entity, ValueType

    del server
    store, _ = module_store
    with remote_store(store, grpc_port) as remote:
        mine = Entity(name="mine", join_keys=["mine"], value_type=ValueType.STRING)
        for change in (
            lambda: remote.registry.apply_entity(mine, store.project),
            lambda: remote.registry.delete_feature_view(VIEWS[0].name, store.project),
        ):
            with pytest.raises(grpc.RpcError) as found:
                change()
            assert found.value.code() == grpc.StatusCode.PERMISSION_DENIED
        assert {view.name for view in remote.list_feature_views()} == {view.name for view in VIEWS}


def test_one_peer_does_not_keep_the_others_from_the_grpc_registry(server: Server, grpc_port: int) -> None:
    """Calls that never say what they ask fill what their address may have; those of another one are answered."""
    import grpc
    from feast.protos.feast.registry.RegistryServer_pb2 import ListFeatureViewsRequest
    from feast.protos.feast.registry.RegistryServer_pb2_grpc import RegistryServerStub

    from detektor_pipelines.serving.registry_access import GRPC_CALLS_OF_LOOPBACK

    del server
    ending = threading.Event()
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        stub, request = RegistryServerStub(channel), ListFeatureViewsRequest(project="detektor")
        ask = channel.stream_unary(
            "/feast.registry.RegistryServer/ListFeatureViews", ListFeatureViewsRequest.SerializeToString, lambda answer: answer
        )

        def nothing() -> Iterator[ListFeatureViewsRequest]:
            ending.wait()
            yield from ()

        silent = [ask.future(nothing()) for _ in range(GRPC_CALLS_OF_LOOPBACK)]
        try:

            def refused() -> bool:
                # This call takes a place too, and may have kept one of the silent ones out: such a one asks again.
                silent[:] = [ask.future(nothing()) if each.done() else each for each in silent]
                try:
                    stub.ListFeatureViews(request)
                except grpc.RpcError as error:
                    return error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and "this address" in (error.details() or "")
                return False

            assert eventually(refused)
        finally:
            ending.set()
        assert {each.code() for each in silent} == {grpc.StatusCode.INVALID_ARGUMENT}
        assert stub.ListFeatureViews(request).feature_views


def test_it_changes_nothing_over_http_and_answers_no_page_of_elsewhere(server: Server) -> None:
    path = f"/api/v1/feature_views/{VIEWS[0].name}?project=detektor"
    assert {server.ask(method, path).status for method in ("DELETE", "POST", "PUT", "PATCH", "OPTIONS")} == {403}
    assert server.ask("GET", path, Host="page.example").status == 403
    assert server.ask("GET", path, Origin="http://page.example").status == 403
    answer = server.get(path)
    assert (answer.status, "access-control-allow-origin" in answer.headers) == (200, False)


def test_its_page_needs_nothing_of_the_internet(server: Server) -> None:
    answer = server.get("/")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"http://" not in answer.body
    assert b"https://" not in answer.body
    links = [each.partition('"')[0] for each in answer.body.decode().split('href="')[1:]]
    assert links
    assert {server.get(each).status for each in links} == {200}
