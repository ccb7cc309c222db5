"""The typed client on a real feature server over a real Redis, through a restart and with Redis gone."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from support import certificates
from support.serving_client import DETEKTOR, running

from detektor_pipelines import AgentFeatures, clock
from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.client import FeatureServerDownError, RequestRefusedError, connections
from detektor_pipelines.errors import UserError
from detektor_pipelines.quality.read import read_served
from detektor_pipelines.settings import Settings
from detektor_pipelines.stack.servers import embedded
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.web.tokens import add_token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from detektor_pipelines.language.views import FeatureView

VIEW = view_named("code_review_features")
REJECTED_AT = 1_772_704_800_000_000


@pytest.fixture(autouse=True)
def no_connections_left() -> Iterator[None]:
    connections.close_all()  # of other tests of the process
    connections.connections.cache_clear()
    yield
    connections.close_all()


def publish(settings: Settings, view: FeatureView, *agents: str) -> None:
    now = clock.now_us()
    values: dict[str, Any] = {each.name: 4 if each.value_type == "int64" else None for each in view.features}
    values |= {each.name: REJECTED_AT for each in view.features if each.value_type == "instant"}
    rows = [online.OnlineRow(agent, now, now, now - 3_600_000_000, None, values) for agent in agents]
    with online.redis_client(settings) as client:
        online.write_values(client, settings.project, view, rows, valid_through_us=now)


def test_every_agent_is_read(tmp_path: Path, redis_db: Settings) -> None:
    for view in VIEWS:
        publish(redis_db, view, view.agent, f"{view.agent}@shop")
    with running(tmp_path, "serve") as server:
        url = f"http://127.0.0.1:{server.port}"
        for view in VIEWS:
            everywhere, shop, nobody = AgentFeatures(view.agent, url=url, timeout=20).get_many([None, "shop", "nobody"])
            assert (everywhere.agent_id, shop.agent_id) == (view.agent, f"{view.agent}@shop")
            assert list(everywhere) == [each.name for each in view.features]
            kinds = {"int64": 4, "float64": None, "instant": clock.from_us(REJECTED_AT)}
            assert shop.as_dict() == {each.name: kinds[each.value_type] for each in view.features}
            assert set(nobody.values()) == {None}
            assert [everywhere.status, shop.status, nobody.status] == ["PRESENT", "PRESENT", "NOT_FOUND"]
            assert everywhere.age is not None
            assert timedelta(0) <= everywhere.age < timedelta(minutes=5)
            assert everywhere.event_timestamp is not None
            assert (everywhere.source, nobody.age, nobody.event_timestamp) == ("redis", None, None)


def test_a_guarded_server_over_tls(tmp_path: Path, redis_db: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(redis_db, VIEW, "code-reviewer@shop")
    files, token = certificates.make(tmp_path), add_token(tmp_path / "tokens", "tests")
    named = {
        "DETEKTOR_SERVE_TOKENS_FILE": str(tmp_path / "tokens"),
        "DETEKTOR_SERVE_TLS_CERT": str(files.certificate),
        "DETEKTOR_SERVE_TLS_KEY": str(files.key),
    }
    context = ssl.create_default_context(cafile=files.authority)
    with running(tmp_path, "serve", environment=named, context=context) as server:
        url = f"https://127.0.0.1:{server.port}"
        monkeypatch.setenv("DETEKTOR_SERVE_CA", str(files.authority))
        with pytest.raises(RequestRefusedError, match="has no token") as caught:
            AgentFeatures("code-reviewer", url=url, timeout=20).get()
        assert caught.value.status == 401
        monkeypatch.setenv("DETEKTOR_SERVE_TOKEN", token)
        assert AgentFeatures("code-reviewer", "shop", url=url, timeout=20).get().recent_reviews_count == 4
        read = read_served(VIEW, "code-reviewer@shop", url)
        assert (read.source, read.values[0].value, read.values[0].status) == (f"{url} (redis)", 4, "PRESENT")
        assert read_served(VIEW, "code-reviewer@nowhere", url).as_of is None


def test_a_restart_of_the_server_costs_no_read(tmp_path: Path, redis_db: Settings) -> None:
    publish(redis_db, VIEW, "code-reviewer")
    found: list[Any] = []
    stop = threading.Event()

    def read(url: str) -> None:
        reviewer = AgentFeatures("code-reviewer", url=url, timeout=30, patience=120)
        while not stop.is_set():
            try:
                found.append(reviewer.get(names=["recent_reviews_count"]).recent_reviews_count)
            except UserError as error:
                found.append(error)
            time.sleep(0.01)

    with running(tmp_path, "serve") as server:
        thread = threading.Thread(target=read, args=(f"http://127.0.0.1:{server.port}",))
        thread.start()
        try:
            _until(lambda: len(found) > 10)
            server.process.terminate()
            server.process.wait(30)
            before = len(found)
            again = subprocess.Popen([DETEKTOR, "serve", "--port", str(server.port)], start_new_session=True)
            try:
                _until(lambda: len(found) > before + 10)
                stop.set()
                thread.join()
            finally:
                os.killpg(again.pid, signal.SIGTERM)
                again.wait(30)
        finally:
            stop.set()
            thread.join()
    assert set(found) == {4}


def test_with_redis_gone_the_answer_says_so(tmp_path: Path, isolated_environment: Path) -> None:
    with embedded.start_redis(tmp_path / "redis") as redis:
        named = {"DETEKTOR_EXTERNAL_REDIS_URL": redis.url(), "DETEKTOR_SERVE_FALLBACK_SECONDS": "0.1"}
        publish(Settings(home=isolated_environment, external_redis_url=redis.url()), VIEW, "code-reviewer")
        with running(tmp_path, "serve", environment=named) as server:
            reviewer = AgentFeatures("code-reviewer", url=f"http://127.0.0.1:{server.port}", timeout=20)
            assert not reviewer.get().is_fallback
            _until((isolated_environment / "static-features.json").exists)
            os.kill(redis.pid, signal.SIGKILL)
            _until(lambda: reviewer.get().is_fallback)
            found = reviewer.get()
            assert (found.recent_reviews_count, found.status) == (4, "PRESENT")


def test_without_redis_and_anything_kept_it_is_said_in_words(tmp_path: Path, isolated_environment: object) -> None:
    with (
        running(tmp_path, "serve", environment={"DETEKTOR_EXTERNAL_REDIS_URL": "redis://127.0.0.1:1/0"}) as server,
        pytest.raises(FeatureServerDownError, match=r"(?s)Redis does not answer.*127\.0\.0\.1:1"),
    ):
        AgentFeatures("code-reviewer", url=f"http://127.0.0.1:{server.port}", timeout=20).get()


def _until(done: Any) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)
