from __future__ import annotations

import gzip
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
import pytest

from detektor_pipelines.clock import from_us, now_us
from detektor_pipelines.ingest.live.http import BODY_LIMIT, EVENTS_LIMIT
from detektor_pipelines.ingest.live.writer import LiveWriter
from detektor_pipelines.web.problems import TITLES
from detektor_pipelines.web.tokens import add_token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stack.servers.embedded import PostgresServer

DETEKTOR = str(Path(sys.executable).with_name("detektor"))
LINES = "application/x-ndjson"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """A real `detektor collect` on a free port."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.process = process

    def post(self, path: str, body: Any, kind: str = "application/json", **headers: str) -> Answer:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request("POST", path, content, {"Content-Type": kind, **named})
            response = connection.getresponse()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
        finally:
            connection.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def server(database: Settings, tmp_path: Path) -> Iterator[Server]:
    """Run a server on a log of the test's own."""
    with running(tmp_path, {}) as server:
        yield server


@pytest.fixture(scope="module")
def refusing(module_database: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server for requests that leave nothing in the log."""
    directory = tmp_path_factory.mktemp("collect")
    named = {"DETEKTOR_HOME": str(directory / "home"), "DETEKTOR_EXTERNAL_POSTGRES_URL": module_database.postgres_dsn}
    with running(directory, named) as server:
        yield server


@contextmanager
def running(directory: Path, environment: dict[str, str]) -> Iterator[Server]:
    port = free_port()
    log = (directory / "collect.log").open("wb")
    process = subprocess.Popen(
        [DETEKTOR, "collect", "--port", str(port)], stdout=log, stderr=log, start_new_session=True, env=os.environ | environment
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, (directory / "collect.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield Server(port, process)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
        log.close()


def review(event_id: str | None = None, **said: Any) -> dict[str, Any]:
    at = from_us(now_us() - 30_000_000).isoformat()
    event = {"agent": "code-reviewer", "operation": "review", "occurred_at": at, "project": "shop", "issues_found": 2}
    return {**event, **({"event_id": event_id} if event_id else {}), **said}


def count(settings: Settings, table: str = "agent_events") -> int:
    with psycopg.connect(settings.postgres_dsn) as connection:
        return (connection.execute(f"SELECT count(*) FROM ml_learning.{table}").fetchone() or (0,))[0]


def test_a_batch_is_answered_item_by_item(database: Settings, server: Server) -> None:
    events = [review("a"), review("b", issues_found=-1), review("c", isues=1), 5, review("d", operation="deploy"), review("e")]
    answer = server.post("/v1/events", events)
    assert answer.status == 200
    said = answer.json
    assert [item["status"] for item in said["items"]] == ["accepted", "rejected", "rejected", "rejected", "rejected", "accepted"]
    assert said["items"][1]["reason"] == "issues_found is below its minimum 0"
    assert said["items"][2]["reason"].startswith("unknown field 'isues'")
    assert (said["accepted"], said["known"], said["rejected"]) == (2, 0, 4)
    again = server.post("/v1/events", events).json
    assert (again["accepted"], again["known"], again["rejected"]) == (0, 2, 4)
    assert (count(database), count(database, "rejected_events")) == (2, 4)


def test_lines_gzip_and_a_single_event(database: Settings, server: Server) -> None:
    lines = b"\n".join(json.dumps(review(f"l{number}")).encode() for number in range(50)) + b"\n\n{torn"
    answer = server.post("/v1/events", gzip.compress(lines), LINES, Content_Encoding="gzip").json
    assert (answer["accepted"], answer["rejected"]) == (50, 1)
    assert server.post("/v1/events", review("single")).json["accepted"] == 1


def test_an_event_without_an_id_is_its_own_identity(database: Settings, server: Server) -> None:
    event = review()
    assert [server.post("/v1/events", [event]).json["items"][0]["status"] for _ in range(2)] == ["accepted", "known"]


def test_many_clients_at_once(database: Settings, server: Server) -> None:
    batches = [
        [review(f"e{number % 40}", occurred_at="2026-01-05T10:00:00Z") for number in range(start, start + 20)]
        for start in range(0, 200, 10)
    ]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda batch: server.post("/v1/events", batch).json, batches))
    assert sum(answer["accepted"] for answer in answers) == 40 == count(database)
    assert sum(answer["rejected"] for answer in answers) == 0


@pytest.mark.parametrize(
    ("body", "kind", "headers", "status"),
    [
        (b"{", "application/json", {}, 400),
        (b'"text"', "application/json", {}, 400),
        (b"not gzip", "application/json", {"Content_Encoding": "gzip"}, 400),
        (gzip.compress(b"[]")[:-4], "application/json", {"Content_Encoding": "gzip"}, 400),
        (b"[]", "text/plain", {}, 415),
        (b"[]", "application/json", {"Content_Encoding": "br"}, 415),
        (b"[]", "application/json", {"Origin": "https://example.org"}, 403),
        (gzip.compress(b" " * (BODY_LIMIT + 1)), "application/json", {"Content_Encoding": "gzip"}, 413),
        (b" " * (BODY_LIMIT + 1), "application/json", {}, 413),
        (b"[" + b"1," * EVENTS_LIMIT + b"1]", "application/json", {}, 413),
    ],
    ids=["torn", "text", "no-gzip", "cut-gzip", "type", "encoding", "browser", "bomb", "large", "many"],
)
def test_what_cannot_be_taken(refusing: Server, body: bytes, kind: str, headers: dict[str, str], status: int) -> None:
    try:
        answer = refusing.post("/v1/events", body, kind, **headers)
    except (BrokenPipeError, ConnectionResetError):
        assert status == 413  # it is answered before all was sent
        return
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json) == {"type", "title", "status", "detail"}
    assert answer.json["title"] == TITLES[status]


def test_a_head_is_bounded_as_the_feature_servers_is(refusing: Server) -> None:
    with socket.create_connection(("127.0.0.1", refusing.port), timeout=20) as connection:
        connection.sendall(b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 70_000 + b"\r\n\r\n")
        assert connection.recv(1_000).startswith(b"HTTP/1.1 431")


def test_pages_that_are_not_there(refusing: Server) -> None:
    answer = refusing.post("/v2/events", [])
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
    answer = refusing.post("/healthz", [])
    assert (answer.status, answer.json["title"]) == (405, "Method not allowed")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


def logs(*ids: str) -> dict[str, Any]:
    said = [{"event.name": "tool_result", "tool_use_id": each, "tool_name": "Bash", "success": "true", "session.id": "s"} for each in ids]
    said.append({"event.name": "user_prompt"})
    said.append({"event.name": "something_new"})
    records = [
        {"timeUnixNano": str(now_us() * 1000), "attributes": [{"key": key, "value": {"stringValue": each}} for key, each in one.items()]}
        for one in said
    ]
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}


def test_opentelemetry_in_json(database: Settings, server: Server) -> None:
    answer = server.post("/v1/logs", gzip.compress(json.dumps(logs("t1", "t2")).encode()), Content_Encoding="gzip")
    assert answer.status == 200
    assert answer.json["partialSuccess"] == {
        "rejectedLogRecords": "1",
        "errorMessage": "the log record 'something_new' makes no event",
    }
    assert (count(database), count(database, "rejected_events")) == (2, 1)
    assert server.post("/v1/logs", {}).json == {}
    assert server.post("/v1/logs", b"[]").status == 400


def test_opentelemetry_in_protobuf(database: Settings, server: Server) -> None:
    from google.protobuf.json_format import Parse
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

    message = Parse(json.dumps(logs("t1")), ExportLogsServiceRequest())
    answer = server.post("/v1/logs", message.SerializeToString(), "application/x-protobuf")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-protobuf")
    assert ExportLogsServiceResponse.FromString(answer.body).partial_success.rejected_log_records == 1
    assert count(database) == 1


def test_what_comes_from_a_clock_that_is_ahead_is_taken_when_its_instant_has_come(database: Settings, server: Server) -> None:
    content = logs("t1")
    soon = now_us() + 6_500_000
    content["resourceLogs"][0]["scopeLogs"][0]["logRecords"] = content["resourceLogs"][0]["scopeLogs"][0]["logRecords"][:1]
    content["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["timeUnixNano"] = str(soon * 1000)
    assert server.post("/v1/logs", content).json == {}
    event = {"agent": "x", "operation": "research", "event_id": "e", "occurred_at": soon}
    assert server.post("/v1/events", [event]).json["held"] == 1
    assert (count(database), count(database, "rejected_events")) == (0, 0)
    with LiveWriter(database) as writer:
        assert writer.release(soon + 1_000_000) == 2
    assert count(database) == 2


def test_a_database_that_is_away(database: Settings, server: Server, postgres_server: PostgresServer) -> None:
    name = database.postgres_database
    postgres_server.sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    try:
        postgres_server.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        answer = server.post("/v1/events", [review("a")])
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert answer.json["title"] == "Service unavailable"
        assert answer.json["detail"].startswith("The raw log cannot be written.")
    finally:
        postgres_server.sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert server.post("/v1/events", [review("a")]).json["accepted"] == 1


def test_it_ends_when_it_is_told(server: Server) -> None:
    assert server.post("/v1/events", [review("a")]).status == 200
    os.kill(server.process.pid, signal.SIGTERM)
    assert server.process.wait(30) in {0, -signal.SIGTERM}


def test_a_port_that_is_taken(database: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        done = subprocess.run([DETEKTOR, "collect", "--port", port], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr


# Reached by other machines ----------------------------------------------------------------------------------------------------


def test_beyond_loopback_it_does_not_start_without_tokens(database: Settings) -> None:
    done = subprocess.run([DETEKTOR, "collect", "--host", "0.0.0.0"], capture_output=True, text=True, check=False, timeout=60)  # noqa: S104
    assert done.returncode == 1
    assert "DETEKTOR_COLLECTOR_TOKENS_FILE" in done.stderr


def test_beyond_loopback_only_those_with_a_token_write(database: Settings, tmp_path: Path) -> None:
    writers, readers = tmp_path / "writers", tmp_path / "readers"
    writer, reader = add_token(writers, "claude"), add_token(readers, "grafana")
    named = {
        "DETEKTOR_COLLECTOR_HOST": "0.0.0.0",  # noqa: S104 - that is what is tested
        "DETEKTOR_COLLECTOR_TOKENS_FILE": str(writers),
        "DETEKTOR_SERVE_TOKENS_FILE": str(readers),
    }
    with running(tmp_path, named) as server:
        assert server.post("/v1/events", [review("a")]).status == 401
        refused = server.post("/v1/events", [review("a")], Authorization=f"Bearer {reader}")
        assert (refused.status, refused.json["title"]) == (401, TITLES[401])
        assert count(database) == 0
        assert server.post("/v1/events", [review("a")], Authorization=f"Bearer {writer}").status == 200
        assert count(database) == 1
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("GET", "/healthz")
        with connection.getresponse() as open_to_all:
            assert open_to_all.status == 200
        connection.close()
