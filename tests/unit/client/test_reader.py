"""The typed client against a server that answers what the test says."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from support import certificates

from detektor_pipelines import AgentFeatures
from detektor_pipelines.client import (
    CodeReviewFeatures,
    DeploymentFeatures,
    FeatureServerDownError,
    FeatureServerError,
    RequestRefusedError,
    connections,
)
from detektor_pipelines.errors import UserError
from detektor_pipelines.web.problems import TITLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROW_AT = "2026-03-05T11:00:00.000001Z"
NAMES = ["recent_reviews_count", "rejection_rate", "last_rejection_at"]


def answer(*agents: tuple[str, str], names: list[str] = NAMES, age: float | None = 1.5) -> dict[str, Any]:
    """Agents, each with a status for all its features; a rejection rate that is null."""
    values: dict[str, Any] = {"recent_reviews_count": 4, "rejection_rate": None, "last_rejection_at": 1_772_704_800}
    results: list[dict[str, Any]] = [{"values": [agent for agent, _ in agents]}]
    for name in names:
        null = values[name] is None
        results.append(
            {
                "values": [None if status == "NOT_FOUND" else values[name] for _, status in agents],
                "statuses": ["NULL_VALUE" if null and status == "PRESENT" else status for _, status in agents],
                "event_timestamps": ["1970-01-01T00:00:00Z" if status == "NOT_FOUND" else ROW_AT for _, status in agents],
            }
        )
    ages = [None if status == "NOT_FOUND" else age for _, status in agents]
    return {
        "metadata": {"feature_names": ["agent_id", *names], "value_age_seconds": {"code_review_features": ages}},
        "results": results,
    }


class Stub:
    """A server: `reply` is its status, headers and body; it notes requests and connections."""

    def __init__(self, port: int = 0, tls: Any = None) -> None:
        stub = self
        self.reply: tuple[int, dict[str, str], bytes] = (200, {"X-Feature-Source": "redis"}, b"{}")
        self.silence = 0.0
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.connections: list[socket.socket] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                stub.connections.append(self.connection)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                stub.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}, json.loads(body)))
                time.sleep(stub.silence)
                status, headers, content = stub.reply
                self.send_response(status)
                for name, value in (headers | {"Content-Length": str(len(content))}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
            self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that does not trust it
        self.port = self._server.server_port
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def says(self, content: Any, status: int = 200, **headers: str) -> None:
        self.reply = (status, {name.replace("_", "-"): value for name, value in headers.items()}, json.dumps(content).encode())

    def close(self) -> None:
        """End it as a process ends: its connections are closed too."""
        self._server.shutdown()
        self._thread.join()
        self._server.socket.close()
        for each in self.connections:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._server.server_close()


@pytest.fixture(autouse=True)
def no_connections_left() -> Iterator[None]:
    connections.connections.cache_clear()
    yield
    connections.close_all()


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, isolated_environment: object) -> Iterator[Stub]:
    del isolated_environment
    server = Stub()
    monkeypatch.setenv("DETEKTOR_SERVE_URL", server.url)
    yield server
    server.close()


def test_an_answer_is_typed_values_with_their_age(stub: Stub) -> None:
    stub.says(answer(("code-reviewer", "PRESENT")), X_Feature_Source="redis")
    found = AgentFeatures("code-reviewer").get()
    assert isinstance(found, CodeReviewFeatures)
    assert (found.recent_reviews_count, found["rejection_rate"]) == (4, None)
    assert found.last_rejection_at == datetime(2026, 3, 5, 10, 0, tzinfo=UTC)
    assert (found.agent_id, found.status, found.age) == ("code-reviewer", "PRESENT", timedelta(seconds=1.5))
    assert found.statuses == {"recent_reviews_count": "PRESENT", "rejection_rate": "NULL_VALUE", "last_rejection_at": "PRESENT"}
    assert found.event_timestamp == datetime(2026, 3, 5, 11, 0, 0, 1, tzinfo=UTC)
    assert (found.source, found.is_fallback) == ("redis", False)
    assert found.as_dict() == dict(found)
    assert list(found) == NAMES
    assert repr(found).startswith("CodeReviewFeatures(agent_id='code-reviewer', status='PRESENT', age=")


def test_all_features_of_the_view_are_asked_for_by_default_else_those_named(stub: Stub) -> None:
    stub.says(answer(("code-reviewer@shop", "PRESENT")))
    reviewer = AgentFeatures("code_review_features", "shop")
    reviewer.get()
    reviewer.get(names=["rejection_rate", "recent_reviews_count", "rejection_rate"])
    reviewer.get(names="rejection_rate")
    paths, _, bodies = zip(*stub.requests, strict=True)
    assert set(paths) == {"/get-online-features"}
    assert bodies[0] == {
        "features": [f"code_review_features:{name}" for name in CodeReviewFeatures.FEATURES],
        "entities": {"agent_id": ["code-reviewer@shop"]},
    }
    assert bodies[1]["features"] == ["code_review_features:rejection_rate", "code_review_features:recent_reviews_count"]
    assert bodies[2]["features"] == ["code_review_features:rejection_rate"]


def test_several_projects_in_one_request(stub: Stub) -> None:
    stub.says(answer(("code-reviewer", "PRESENT"), ("code-reviewer@a", "NOT_FOUND"), ("code-reviewer@b", "OUTSIDE_MAX_AGE")))
    everywhere, missing, old = AgentFeatures("code-reviewer").get_many([None, "a", "b"])
    assert [everywhere.status, missing.status, old.status] == ["PRESENT", "NOT_FOUND", "OUTSIDE_MAX_AGE"]
    assert (missing.recent_reviews_count, missing.age, missing.event_timestamp) == (None, None, None)
    assert (old.recent_reviews_count, old.statuses["rejection_rate"]) == (4, "OUTSIDE_MAX_AGE")
    assert len(stub.requests) == 1
    assert AgentFeatures("code-reviewer").get_many([]) == []


def test_the_same_without_blocking(stub: Stub) -> None:
    stub.says(answer(("code-reviewer", "PRESENT")))
    assert asyncio.run(AgentFeatures("code-reviewer").get_async(["recent_reviews_count"])).recent_reviews_count == 4
    assert len(asyncio.run(AgentFeatures("code-reviewer").get_many_async(iter([None])))) == 1


def test_a_fallback_says_so(stub: Stub) -> None:
    stub.says(answer(("code-reviewer", "PRESENT"), age=90.0), X_Feature_Source="fallback")
    found = AgentFeatures("code-reviewer").get()
    assert found.is_fallback
    assert found.age == timedelta(seconds=90)


def test_a_server_of_feasts_own_tells_no_age(stub: Stub) -> None:
    content = answer(("code-reviewer", "PRESENT"))
    del content["metadata"]["value_age_seconds"]
    stub.says(content)
    found = AgentFeatures("code-reviewer").get()
    assert (found.age, found.source, found.recent_reviews_count) == (None, "", 4)


def test_what_was_answered_cannot_be_changed(stub: Stub) -> None:
    stub.says(answer(("code-reviewer", "PRESENT")))
    found = AgentFeatures("code-reviewer").get()
    with pytest.raises(AttributeError, match="cannot be set"):
        found.recent_reviews_count = 5
    with pytest.raises(AttributeError, match="cannot be deleted"):
        del found.recent_reviews_count
    with pytest.raises(TypeError):
        found["recent_reviews_count"] = 5  # type: ignore[index]
    found.as_dict()["recent_reviews_count"] = 5
    assert found.recent_reviews_count == 4


def test_what_was_not_asked_for_is_no_null(stub: Stub) -> None:
    stub.says(answer(("code-reviewer", "PRESENT"), names=["recent_reviews_count"]))
    found = AgentFeatures("code-reviewer").get(names=["recent_reviews_count"])
    with pytest.raises(AttributeError, match="rejection_rate was not asked for"):
        _ = found.rejection_rate
    with pytest.raises(KeyError, match="rejection_rate was not asked for"):
        _ = found["rejection_rate"]
    with pytest.raises(AttributeError, match="has no feature rejections; it has recent_reviews_count, "):
        _ = found.rejections  # type: ignore[attr-defined]
    assert "rejection_rate" not in found


def test_an_answer_travels(stub: Stub) -> None:
    stub.says(answer(("code-reviewer", "PRESENT")))
    found = AgentFeatures("code-reviewer").get()
    for same in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):  # noqa: S301 - our own
        assert (same, same.age, same.rejection_rate) == (found, found.age, None)


def test_mistakes_are_told_before_anybody_is_asked(stub: Stub) -> None:
    with pytest.raises(UserError, match=r"(?s)There is no agent 'reviewer'.*code-reviewer, deployment-specialist") as caught:
        AgentFeatures("reviewer")
    assert not isinstance(caught.value, FeatureServerError)
    with pytest.raises(UserError, match="code_review_features has no feature 'age'"):
        AgentFeatures("code-reviewer").get(names=["age"])
    with pytest.raises(UserError, match="No feature is named"):
        AgentFeatures("code-reviewer").get(names=[])
    for url in ("localhost:6566", "http://", "http://host:99999", "ftp://host"):
        with pytest.raises(UserError, match="not the address of a feature server"):
            AgentFeatures("code-reviewer", url=url).get()
    with pytest.raises(UserError, match=r"(?s)certificate cannot be read.*DETEKTOR_SERVE_CA"):
        AgentFeatures("code-reviewer", url="https://127.0.0.1:1", ca="/nowhere.pem").get()
    assert stub.requests == []


def test_a_token_is_sent(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    stub.says(answer(("code-reviewer", "PRESENT")))
    AgentFeatures("code-reviewer").get()
    AgentFeatures("code-reviewer", token="given").get()
    monkeypatch.setenv("DETEKTOR_SERVE_TOKEN", "of-the-environment\n")
    AgentFeatures("code-reviewer").get()
    assert [headers.get("authorization") for _, headers, _ in stub.requests] == [None, "Bearer given", "Bearer of-the-environment"]


def test_the_port_of_this_machines_server_is_the_settings_one(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DETEKTOR_SERVE_URL")
    assert connections.default_url() == "http://127.0.0.1:6566"
    monkeypatch.setenv("DETEKTOR_SERVE_PORT", str(stub.port))
    stub.says(answer(("code-reviewer", "PRESENT")))
    assert AgentFeatures("code-reviewer").get().recent_reviews_count == 4


def test_a_server_behind_a_proxys_path(stub: Stub) -> None:
    stub.says(answer(("code-reviewer", "PRESENT")))
    AgentFeatures("code-reviewer", url=f"{stub.url}/features/").get()
    assert stub.requests[0][0] == "/features/get-online-features"


def test_one_connection_serves_all_who_ask_one_after_another(stub: Stub) -> None:
    stub.says(answer(("code-reviewer", "PRESENT")))
    for _ in range(5):
        AgentFeatures("code-reviewer").get()
    assert (len(stub.requests), len(stub.connections)) == (5, 1)


def test_threads_share_a_client(stub: Stub) -> None:
    stub.says(answer(("code-reviewer", "PRESENT")))
    reviewer = AgentFeatures("code-reviewer", timeout=20)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: reviewer.get().recent_reviews_count, range(100)))
    assert found == [4] * 100
    assert len(stub.connections) <= 100


def test_a_forked_process_leaves_its_parents_connections_alone(stub: Stub) -> None:
    stub.says(answer(("code-reviewer", "PRESENT")))
    reviewer = AgentFeatures("code-reviewer", timeout=20)
    reviewer.get()
    child = os.fork()
    if not child:
        status = 1
        try:
            status = 0 if reviewer.get().recent_reviews_count == 4 else 1
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    reviewer.get()
    assert len(stub.connections) == 2


def test_a_restart_costs_no_request(stub: Stub) -> None:
    stub.says(answer(("code-reviewer", "PRESENT")))
    reviewer = AgentFeatures("code-reviewer", patience=30)
    reviewer.get()
    stub.close()
    replaced: list[Stub] = []

    def start_again() -> None:
        time.sleep(0.2)
        replaced.append(Stub(stub.port))
        replaced[0].says(answer(("code-reviewer", "PRESENT")))

    thread = threading.Thread(target=start_again)
    thread.start()
    try:
        assert reviewer.get().recent_reviews_count == 4
    finally:
        thread.join()
        replaced[0].close()


def test_a_server_that_is_not_there_is_said_in_words(stub: Stub) -> None:
    stub.close()
    with pytest.raises(FeatureServerDownError) as caught:
        AgentFeatures("code-reviewer", patience=0.05).get()
    assert "cannot be reached: Connection refused" in caught.value.what
    assert caught.value.where == stub.url
    assert "detektor up" in str(caught.value.fix)


def test_a_host_that_has_no_address(isolated_environment: object) -> None:
    with pytest.raises(FeatureServerDownError, match="cannot be reached"):
        AgentFeatures("code-reviewer", url="http://features.invalid:6566", patience=0).get()


def test_a_silent_server_is_given_up(isolated_environment: object) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(FeatureServerDownError, match=r"has said nothing for 0\.1 s"):
            AgentFeatures("code-reviewer", url=url, timeout=0.1, patience=30).get()


def test_a_kept_connection_waits_as_long_as_the_one_who_asks_now(stub: Stub) -> None:
    stub.says(answer(("code-reviewer", "PRESENT")))
    AgentFeatures("code-reviewer", timeout=20).get()
    stub.silence = 1.0
    with pytest.raises(FeatureServerDownError, match=r"has said nothing for 0\.1 s"):
        AgentFeatures("code-reviewer", timeout=0.1).get()
    assert len(stub.requests) == 2
    assert AgentFeatures("code-reviewer", timeout=20).get().recent_reviews_count == 4


def test_a_connection_that_the_server_closed_meanwhile_costs_no_patience(stub: Stub) -> None:
    stub.says(answer(("code-reviewer", "PRESENT")))
    reviewer = AgentFeatures("code-reviewer", patience=0)
    reviewer.get()
    stub.connections[0].shutdown(socket.SHUT_RDWR)
    assert reviewer.get().recent_reviews_count == 4
    assert len(stub.connections) == 2


def test_a_server_that_keeps_no_connection(stub: Stub) -> None:
    stub.says(answer(("code-reviewer", "PRESENT")), Connection="close")
    assert [AgentFeatures("code-reviewer", patience=0).get().recent_reviews_count for _ in range(3)] == [4, 4, 4]


@pytest.mark.parametrize(
    ("status", "kind"), [(401, RequestRefusedError), (413, RequestRefusedError), (422, RequestRefusedError), (503, FeatureServerDownError)]
)
def test_a_problem_is_passed_on_in_its_words(stub: Stub, status: int, kind: type[FeatureServerError]) -> None:
    stub.says({"title": TITLES[status], "status": status, "detail": "Something is wrong. Do this."}, status)
    with pytest.raises(kind) as caught:
        AgentFeatures("code-reviewer").get()
    assert (caught.value.what, caught.value.fix) == ("Something is wrong.", "Do this.")
    assert stub.url in str(caught.value.where)
    assert getattr(caught.value, "status", 503) == status
    stub.says(answer(("code-reviewer", "PRESENT")))
    assert AgentFeatures("code-reviewer").get().recent_reviews_count == 4


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>a proxy's page</html>"),
        (404, b"not here"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"metadata": {"feature_names": []}, "results": [1]}'),
        (200, json.dumps(answer(("debugger", "PRESENT"))).encode()),
        (200, json.dumps(answer(("code-reviewer", "PRESENT"), names=[])).encode()),
    ],
)
def test_what_is_no_feature_server_is_called_that(stub: Stub, status: int, body: bytes) -> None:
    stub.reply = (status, {}, body)
    with pytest.raises(FeatureServerError) as caught:
        AgentFeatures("code-reviewer").get()
    assert type(caught.value) is FeatureServerError
    assert caught.value.where == stub.url
    assert caught.value.fix


def test_what_speaks_no_http(isolated_environment: object) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def greet() -> None:
            client, _ = other.accept()
            with client:
                client.recv(65_536)
                client.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(FeatureServerError, match="not a feature server"):
            AgentFeatures("code-reviewer", url=f"http://127.0.0.1:{other.getsockname()[1]}").get()
        thread.join()


def test_tls_with_an_authority_of_ones_own(tmp_path: Path, isolated_environment: object, monkeypatch: pytest.MonkeyPatch) -> None:
    import ssl

    files = certificates.make(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    server = Stub(tls=context)
    try:
        server.says(answer(("code-reviewer", "PRESENT")))
        with pytest.raises(FeatureServerDownError, match=r"certificate is not trusted: .*\n.*\n.*DETEKTOR_SERVE_CA"):
            AgentFeatures("code-reviewer", url=server.url).get()
        assert AgentFeatures("code-reviewer", url=server.url, ca=str(files.authority)).get().recent_reviews_count == 4
        monkeypatch.setenv("DETEKTOR_SERVE_CA", str(files.authority))
        assert AgentFeatures("code-reviewer", url=server.url).get().recent_reviews_count == 4
    finally:
        connections.close_all()
        server.close()


def test_importing_it_loads_nothing_heavy() -> None:
    code = "import json, sys; from detektor_pipelines import AgentFeatures; print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout))
    heavy = {"feast", "pydantic", "pyarrow", "numpy", "redis", "httpx", "requests", "asyncio", "detektor_pipelines.catalog"}
    assert not loaded & heavy
    plain = subprocess.run(
        [sys.executable, "-c", code.replace("from detektor_pipelines import AgentFeatures", "import detektor_pipelines")],
        capture_output=True,
        check=True,
    )
    assert "detektor_pipelines.serving" not in json.loads(plain.stdout)


def test_each_agent_has_its_class(isolated_environment: object) -> None:
    reader: AgentFeatures[DeploymentFeatures] = AgentFeatures("deployment-specialist", "shop")
    assert (reader.agent, reader.project) == ("deployment-specialist", "shop")
