"""The feature server on a real Redis: answers, limits, metrics, and a Redis that goes and comes back."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support.serving_client import DETEKTOR, Server, running

from detektor_pipelines import clock
from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.compile.loaded import combined_hash
from detektor_pipelines.language.hashes import short_hash
from detektor_pipelines.serving.values.last_known import FILE
from detektor_pipelines.settings import Settings
from detektor_pipelines.stack import ports
from detektor_pipelines.stack.servers import embedded
from detektor_pipelines.stores.online import read_log
from detektor_pipelines.stores.online import values as online

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from detektor_pipelines.language.views import FeatureView

VIEW = view_named("code_review_features")
COUNT = f"{VIEW.name}:recent_reviews_count"


def publish(settings: Settings, *agents: str, count: int = 4, view: FeatureView = VIEW, valid_through_us: int | None = None) -> None:
    now = clock.now_us()
    values: dict[str, Any] = {each.name: count if each.value_type == "int64" else None for each in view.features}
    as_of = min(now, valid_through_us or now)
    rows = [online.OnlineRow(agent, as_of, as_of, as_of - 3_600_000_000, "1:1:", values) for agent in agents]
    with online.redis_client(settings) as client:
        online.write_values(client, settings.project, view, rows, valid_through_us=valid_through_us or now)


def counts(answer: Any) -> list[Any]:
    assert answer.status == 200, answer.body
    return list(answer.json["results"][1]["values"])


@pytest.fixture(scope="module")
def module_server(redis_server: embedded.RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("serve")
    named = {
        "DETEKTOR_HOME": str(directory / "home"),
        "DETEKTOR_EXTERNAL_REDIS_URL": redis_server.url(),
        "DETEKTOR_SERVE_READ_SAMPLE": "1",
        "DETEKTOR_SERVE_ENTITIES_LIMIT": "3000",
        "PROMETHEUS_MULTIPROC_DIR": str(directory / "of-another-program"),  # Feast leaves one to every process that comes after it
        "DETEKTOR_SERVE_REDIS_TIMEOUT_MS": "10000",  # a busy machine is not a Redis that is away
    }
    with running(directory, "serve", environment=named) as server:
        yield server


@pytest.fixture
def server(module_server: Server, redis_db: Settings) -> Server:
    """Return the module's server over an empty Redis."""
    del redis_db
    return module_server


def test_a_read(server: Server, redis_db: Settings) -> None:
    publish(redis_db, "code-reviewer", "code-reviewer@a")
    answer = server.read([COUNT], ["code-reviewer@a", "nobody", "code-reviewer"])
    assert counts(answer) == [4, None, 4]
    assert answer.json["results"][1]["statuses"] == ["PRESENT", "NOT_FOUND", "PRESENT"]
    assert 0 <= float(answer.headers["x-feature-age-seconds"]) < 60
    assert (answer.headers["content-type"], answer.headers["x-feature-source"]) == ("application/json", "redis")


def test_a_read_that_asks_why(server: Server, redis_db: Settings) -> None:
    publish(redis_db, "code-reviewer", "code-reviewer@a")
    with online.redis_client(redis_db) as client:
        client.hset(online.refused_key(redis_db.project, VIEW), "code-reviewer@a", "2,1772712000000000,stream host-7")
    body = json.dumps({"features": [COUNT], "entities": {"agent_id": ["code-reviewer", "code-reviewer@a", "nobody"]}, "why": True})
    answer = server.ask("POST", "/get-online-features", body.encode())
    assert counts(answer) == [4, 4, None]
    one, other, nobody = answer.json["metadata"]["why"][VIEW.name]
    assert (one["snapshot"], one["epoch"], one["writer"], one["refused"], nobody) == ("1:1:", 1, None, None, None)
    assert other["refused"] == {"count": 2, "last": "2026-03-05T12:00:00Z", "writer": "stream host-7"}
    assert "why" not in server.read([COUNT], ["code-reviewer"]).json["metadata"]


def test_what_is_no_longer_complete_is_outside_max_age(server: Server, redis_db: Settings) -> None:
    publish(redis_db, "code-reviewer", valid_through_us=clock.now_us() - 27 * 3_600_000_000)
    answer = server.read([COUNT], ["code-reviewer"])
    assert answer.json["results"][1]["statuses"] == ["OUTSIDE_MAX_AGE"]


def test_eight_views_in_one_request(server: Server, redis_db: Settings) -> None:
    for view in VIEWS:
        publish(redis_db, f"{view.agent}@a", view=view)
    features = [f"{view.name}:{each.name}" for view in VIEWS for each in view.features]
    answer = server.read(features, [f"{view.agent}@a" for view in VIEWS], full_feature_names=True)
    assert len(answer.json["results"]) == 1 + sum(len(view.features) for view in VIEWS)
    for view in VIEWS:  # of each agent of the project, the one row that the view has there
        assert answer.json["metadata"]["rows_of"][view.name] == [f"{view.agent}@a"] * 8
        assert None not in answer.json["metadata"]["value_age_seconds"][view.name]


def test_reads_at_the_same_time_get_their_own_answers(server: Server, redis_db: Settings) -> None:
    for number in range(30):
        publish(redis_db, f"agent-{number}", count=number)
    wanted = [[f"agent-{(start + step) % 30}" for step in range(1 + start % 5)] for start in range(200)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda agents: counts(server.read([COUNT], agents)), wanted))
    assert answers == [[int(agent.removeprefix("agent-")) for agent in agents] for agents in wanted]


def test_more_keys_than_fit_into_a_round_trip(server: Server, redis_db: Settings) -> None:
    publish(redis_db, "code-reviewer")
    answer = counts(server.read([COUNT], ["code-reviewer", "nobody", *(["code-reviewer"] * 2_998)]))
    assert answer == [4, None] + [4] * 2_998


def test_limits(server: Server) -> None:
    assert server.read([COUNT], ["a"] * 3_001).status == 413
    large = server.ask("POST", "/get-online-features", b" " * 1_048_577)
    assert (large.status, large.headers["content-type"]) == (413, "application/problem+json")
    assert server.ask("POST", "/get-online-features", b" " * 1_048_576).status == 400, "it may be that large"


def test_a_large_body_whose_size_is_not_declared(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"POST /get-online-features HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(2_000):
                connection.sendall(b"400\r\n" + b" " * 1_024 + b"\r\n")
        except OSError:
            pass  # the server has answered and closed
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413")


def test_a_feature_that_is_named_many_times_is_refused_unread(server: Server) -> None:
    assert server.read([COUNT] * 32_000, ["a"]).status == 413
    twice = server.read([COUNT] * 1_000, ["a"])
    assert (twice.status, "Ask for each once" in twice.json["detail"], len(twice.body) < 1_000) == (422, True, True)


def test_a_page_of_elsewhere_reads_nothing(server: Server) -> None:
    body = json.dumps({"features": [COUNT], "entities": {"agent_id": ["a"]}}).encode()
    asked = {"Content_Type": "text/plain"}, {"Origin": "http://page.example"}, {"Host": f"page.example:{server.port}"}
    assert [server.ask("POST", "/get-online-features", body, **each).status for each in asked] == [415, 403, 403]
    assert [server.ask("GET", path, Host="page.example").status for path in ("/health", "/metrics", "/openapi.json")] == [403] * 3
    assert server.ask("POST", "/get-online-features", body, Host=f"localhost:{server.port}").status == 200


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain;charset=UTF-8", "multipart/form-data; boundary=x"])
def test_a_body_that_any_page_could_send_is_refused_also_without_an_origin(server: Server, kind: str) -> None:
    body = json.dumps({"features": [COUNT], "entities": {"agent_id": ["a"]}}).encode()
    answer = server.ask("POST", "/get-online-features", body, Content_Type=kind)
    assert answer.status == 415
    assert "web page" in answer.json["detail"]
    assert "--json" in answer.json["detail"]
    for good in ("application/json", "Application/JSON; charset=utf-8", "application/problem+json"):
        assert server.ask("POST", "/get-online-features", body, Content_Type=good).status == 200


def test_what_is_turned_away_is_counted_by_its_reason(server: Server) -> None:
    def counts() -> dict[str, float]:
        lines = server.get("/metrics").body.decode().splitlines()
        said = [line for line in lines if line.startswith("detektor_serve_refused_total{")]
        return {line.split('"')[1]: float(line.rsplit(" ", 1)[1]) for line in said}

    before = counts()
    server.ask("GET", "/health", Host="page.example")
    server.ask("GET", "/health", Origin="http://page.example")
    for sent in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection, suppress(OSError):
            connection.sendall(sent)
            connection.recv(1_000)
    after = counts()
    assert {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)} == {
        "page": 2,
        "syntax": 1,
        "size": 1,
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/get-online-features", b"{", 400),
        ("POST", "/get-online-features", b'{"features": ["a:b"], "entities": {"agent_id": ["x"]}}', 404),
        ("GET", "/get-online-features", None, 405),
        ("GET", "/nope", None, 404),
    ],
)
def test_problems_are_said_in_words(server: Server, method: str, path: str, body: bytes | None, status: int) -> None:
    answer = server.ask(method, path, body)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json["status"] == status
    assert answer.json["detail"]


def test_health_says_ok_and_how_fresh(server: Server, redis_db: Settings) -> None:
    assert server.get("/health").json["newest_valid_through"] is None
    publish(redis_db, VIEW.agent)
    answer = server.get("/health")
    assert (answer.status, answer.json["status"], answer.json["redis"]) == (200, "OK", "up")
    assert answer.json["newest_valid_through"] == answer.json["valid_through"][VIEW.name] > "2026"
    command = f"curl -s http://127.0.0.1:{server.port}/health | grep OK"
    assert subprocess.run(["sh", "-c", command], check=False, capture_output=True).returncode == 0


def test_health_is_not_content_with_what_lies_ahead_of_the_clock(server: Server, redis_db: Settings) -> None:
    publish(redis_db, VIEW.agent)
    assert "feast_online_ahead_seconds 0.0" in server.get("/metrics").body.decode()
    with online.redis_client(redis_db) as client:
        online.move_valid_through(client, redis_db.project, VIEW, clock.now_us() + 17 * 3_600_000_000)
    answer = server.get("/health")
    assert (answer.status, answer.json["status"]) == (200, "AHEAD")
    assert b"OK" not in answer.body
    assert 16 * 3_600 < answer.json["ahead_seconds"] <= 17 * 3_600
    assert "detektor online repair" in answer.json["fix"]
    (line,) = (line for line in server.get("/metrics").body.decode().splitlines() if line.startswith("feast_online_ahead_seconds "))
    assert 16 * 3_600 < float(line.split()[1]) <= 17 * 3_600
    assert server.read([COUNT], [VIEW.agent]).json["results"][1]["statuses"] == ["OUTSIDE_MAX_AGE"]


def test_health_and_metrics_say_which_definitions_are_loaded(server: Server) -> None:
    said = server.get("/health").json["definitions"]
    assert said["hash"] == combined_hash()
    assert said["views"][VIEW.name] == {"version": VIEW.version, "hash": short_hash(VIEW)}
    text = server.get("/metrics").body.decode()
    assert f'detektor_definitions_info{{hash="{short_hash(VIEW)}",version="{VIEW.version}",view="{VIEW.name}"}} 1.0' in text
    assert f'detektor_definitions_combined_info{{hash="{combined_hash()}"}} 1.0' in text


def test_a_feature_that_only_a_newer_definition_has(server: Server) -> None:
    answer = server.read([f"{VIEW.name}:of_tomorrow"], ["a"])
    assert answer.status == 422
    assert f"Loaded here is {VIEW.name} {VIEW.version} ({short_hash(VIEW)})" in answer.json["detail"]
    assert "detektor restart" in answer.json["detail"]


def test_metrics(server: Server) -> None:
    server.read([COUNT], ["a"])
    server.read(["nope:b"], ["a"])
    text = server.get("/metrics").body.decode()
    for bucket in ("0.0005", "0.001", "0.01", "1.0"):
        assert f'feast_online_serving_latency_bucket{{le="{bucket}"}}' in text
    assert 'feast_online_requests_total{status="200"}' in text
    assert 'feast_online_requests_total{status="404"}' in text
    assert "feast_online_redis_up 1.0" in text


def test_what_was_read_is_kept_for_parity(server: Server, redis_db: Settings) -> None:
    agent = "code-reviewer@kept"  # a sample of what other tests read may come a moment later
    publish(redis_db, agent)
    server.read([COUNT], [agent, "nobody"])
    deadline = time.monotonic() + 10
    with online.redis_client(redis_db) as client:
        while not (kept := ours(read_log.newest(client, "detektor", 10), agent, "nobody")) and time.monotonic() < deadline:
            time.sleep(0.02)
    assert kept == [(online.stored_view(VIEW).version, agent)]


def ours(kept: list[tuple[str, str, bytes]], *agents: str) -> list[tuple[str, str]]:
    return [(version, agent) for version, agent, _ in kept if agent in agents]


def test_a_taken_port_is_said(server: Server) -> None:
    done = subprocess.run([DETEKTOR, "serve", "--port", str(server.port)], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "--port or DETEKTOR_SERVE_PORT" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_several_workers_have_one_account(redis_db: Settings, tmp_path: Path) -> None:
    publish(redis_db, "code-reviewer")
    with running(tmp_path, "serve", "--workers", "2") as several:
        for _ in range(20):
            assert counts(several.read([COUNT], ["code-reviewer"])) == [4]
        assert 'feast_online_requests_total{status="200"} 20.0' in several.get("/metrics").body.decode()
    assert several.process.returncode == 0, several.log


@pytest.mark.slow
def test_workers_are_replaced_without_a_failed_request(redis_db: Settings, tmp_path: Path) -> None:
    publish(redis_db, "code-reviewer")
    patient = {"DETEKTOR_SERVE_REDIS_LATE_MS": "0"}  # the machine is busy with starting workers
    with running(tmp_path, "serve", "--workers", "2", environment=patient) as several, ThreadPoolExecutor(3) as pool:
        over, before = threading.Event(), workers(several)
        asking = [pool.submit(ask_until, over, several) for _ in range(3)]
        try:
            os.kill(several.process.pid, signal.SIGHUP)
            deadline = time.monotonic() + 60
            while len(now := workers(several)) < 2 or now & before:
                assert time.monotonic() < deadline, (before, now)
                time.sleep(0.1)
            assert counts(several.read([COUNT], ["code-reviewer"])) == [4]
        finally:
            over.set()
        seen = {answer for each in asking for answer in each.result(30)}
    assert seen == {(200, "redis")}


def workers(server: Server) -> set[int]:
    found = set()
    for each in psutil.Process(server.process.pid).children():
        with suppress(psutil.NoSuchProcess):  # one that ends this moment, too
            if "resource_tracker" not in " ".join(each.cmdline()):
                found.add(each.pid)
    return found


def test_requests_that_have_begun_are_answered_before_it_ends(redis_db: Settings, tmp_path: Path) -> None:
    publish(redis_db, "code-reviewer")
    content = json.dumps({"features": [COUNT], "entities": {"agent_id": ["code-reviewer"]}}).encode()
    with running(tmp_path, "serve") as ending, socket.create_connection(("127.0.0.1", ending.port), timeout=10) as connection:
        head = b"POST /get-online-features HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(content)
        connection.sendall(head + content[:10])
        time.sleep(0.3)
        os.killpg(ending.process.pid, signal.SIGTERM)
        time.sleep(0.3)
        connection.sendall(content[10:])
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
    assert ending.process.returncode == 0, ending.log


def test_redis_goes_hangs_and_comes_back(tmp_path: Path) -> None:
    port = ports.free_port()
    with embedded.start_redis(tmp_path / "first", port) as redis:
        named = {"DETEKTOR_EXTERNAL_REDIS_URL": redis.url(), "DETEKTOR_SERVE_REDIS_TIMEOUT_MS": "500"}
        with running(tmp_path, "serve", environment=named) as server:
            assert counts(server.read([COUNT], ["code-reviewer"])) == [None]
            os.kill(redis.pid, signal.SIGSTOP)
            try:
                assert server.read([COUNT], ["code-reviewer"]).status == 503
                again = server.read([COUNT], ["code-reviewer"])
                assert again.status == 503
                assert again.seconds < 0.5, "it does not wait for a Redis that has not answered others"
                health = server.get("/health")
                assert (health.status, health.json["redis"]) == (503, "down")
                assert "does not answer" in health.json["reason"]
            finally:
                os.kill(redis.pid, signal.SIGCONT)
            comes_back(server)
            os.kill(redis.pid, signal.SIGKILL)
            time.sleep(0.2)
            gone = server.read([COUNT], ["code-reviewer"])
            assert (gone.status, gone.headers["content-type"]) == (503, "application/problem+json")
            assert "feast_online_redis_up 0.0" in server.get("/metrics").body.decode()
            with embedded.start_redis(tmp_path / "second", port):
                comes_back(server)
        assert "Traceback" not in server.log


def test_a_killed_redis_under_load_fails_no_request(tmp_path: Path) -> None:
    port = ports.free_port()
    with embedded.start_redis(tmp_path / "first", port) as redis:
        settings = Settings(home=tmp_path / "home", external_redis_url=redis.url())
        publish(settings, "code-reviewer", count=4)
        named = {"DETEKTOR_EXTERNAL_REDIS_URL": redis.url(), "DETEKTOR_HOME": str(settings.home), "DETEKTOR_SERVE_FALLBACK_SECONDS": "0.5"}
        with running(tmp_path, "serve", environment=named) as server, ThreadPoolExecutor(4) as pool:
            kept_values(settings)
            over = threading.Event()
            asking = [pool.submit(ask_until, over, server) for _ in range(4)]
            time.sleep(0.5)
            os.kill(redis.pid, signal.SIGKILL)
            time.sleep(0.5)
            answer = server.read([COUNT], ["code-reviewer", "nobody"])
            assert counts(answer) == [4, None]
            assert answer.headers["x-feature-source"] == "fallback"
            assert float(answer.headers["x-feature-age-seconds"]) > 0.5
            health = server.get("/health")
            assert (health.status, health.json["status"], health.json["fallback"]["values"]) == (503, "FALLBACK", 2)
            with embedded.start_redis(tmp_path / "second", port):
                publish(settings, "code-reviewer", count=5)
                deadline = time.monotonic() + 10
                while (answer := server.read([COUNT], ["code-reviewer"])).headers["x-feature-source"] != "redis":
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
                assert counts(answer) == [5]
                over.set()
                seen = [answer for each in asking for answer in each.result(30)]
    assert {status for status, _ in seen} == {200}
    assert {source for _, source in seen} == {"redis", "fallback"}
    assert "Traceback" not in server.log


def test_what_was_kept_is_there_after_a_restart_without_redis(redis_db: Settings, tmp_path: Path) -> None:
    publish(redis_db, "code-reviewer", count=4)
    home = {"DETEKTOR_HOME": str(redis_db.home)}
    with running(tmp_path, "serve", environment=home):
        kept_values(redis_db)
    with running(tmp_path, "serve", environment=home | {"DETEKTOR_EXTERNAL_REDIS_URL": "redis://127.0.0.1:1"}) as server:
        answer = server.read([COUNT], ["code-reviewer"])
        assert (counts(answer), answer.headers["x-feature-source"]) == ([4], "fallback")


def kept_values(settings: Settings) -> None:
    deadline = time.monotonic() + 30
    while not (settings.home / FILE).exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ask_until(over: threading.Event, server: Server) -> list[tuple[int, str]]:
    seen = []
    while not over.is_set():
        answer = server.read([COUNT], ["code-reviewer"])
        seen.append((answer.status, answer.headers.get("x-feature-source", "")))
        time.sleep(0.005)
    return seen


def comes_back(server: Server) -> None:
    deadline = time.monotonic() + 10
    while server.read([COUNT], ["code-reviewer"]).status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert server.get("/health").status == 200
