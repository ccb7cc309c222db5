"""The short way of a read: what goes it, how it ends when Redis does not answer as usual, and what is left to the application."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.serving.server_metrics import ServerMetrics
from detektor_pipelines.serving.shortcut import LINES_KEPT, Head, Shortcut
from detektor_pipelines.serving.values.live_values import OnlineStoreLateError
from detektor_pipelines.stores.connections_redis import OnlineStoreDownError
from detektor_pipelines.stores.online import read_log
from detektor_pipelines.web.access import Access
from detektor_pipelines.web.browsers import NoPages
from detektor_pipelines.web.request_log import Lines
from detektor_pipelines.web.tokens import TokenFile, add_token

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from detektor_pipelines.settings import Settings

PATH = "/read"
REQUESTS, AGENTS = 'feast_online_requests_total{status="200"} ', "feast_online_agents_total "
BODY = json.dumps({"features": [VIEWS[0].name], "entities": {"agent_id": ["a", "b"]}}).encode()


class Sources:
    """Redis and what was kept, played: `who` waits."""

    def __init__(self, sample: float) -> None:
        self.static, self.live = type("Static", (), {"on": False})(), self
        self.who: Any = None
        self.keys: list[bytes] = []
        self.down: OnlineStoreDownError | None = None
        self.sent: list[Any] = []
        self.sampler = read_log.Sampler(sample)

    def ask(self, keys: list[bytes], who: Any) -> None:
        if self.down:
            raise self.down
        self.keys, self.who = keys, who

    def send(self, commands: list[Any]) -> None:
        self.sent += commands

    def is_patient(self, lookups: Any) -> bool:
        return len(lookups) != 1

    def instead(self, error: OnlineStoreDownError, keys: list[str]) -> list[None]:
        assert isinstance(error, OnlineStoreLateError)
        assert keys == [key.decode() for key in self.keys]
        return [None] * len(keys)


class Taken:
    """A connection that keeps what it is told."""

    client = ("127.0.0.1", 1)

    def __init__(self) -> None:
        self.told: list[Any] = []

    def answer(self, headers: bytes, content: bytes) -> None:
        self.told.append((headers, json.loads(content)))

    def give_back(self) -> None:
        self.told.append("given back")


class World:
    """A shortcut with what it needs; `later`: what the event loop was asked to do."""

    def __init__(self, settings: Settings, access: Access | None = None) -> None:
        self.later: list[Callable[[], None]] = []
        self.metrics, self.sources = ServerMetrics(), Sources(settings.serve_read_sample)
        pages = NoPages(None, frozenset())  # type: ignore[arg-type]
        self.short = Shortcut(PATH, settings, self.metrics, access, pages, Lines(sample=0))
        self.short.sources = self.sources  # type: ignore[assignment]

    def call_later(self, _: float, call: Callable[[], None]) -> None:
        self.later.append(call)

    def call_soon(self, call: Callable[[], None]) -> None:
        self.later.append(call)

    def known(self, *headers: tuple[bytes, bytes], method: str = "POST", path: str = PATH, query: bytes = b"") -> Head | None:
        given = [(b"host", b"localhost"), (b"content-type", b"application/json"), *headers]
        latest = list(dict(given).items())
        return self.short.known({"method": method, "path": path, "query_string": query, "headers": latest})

    def counted(self, name: str) -> float:
        """Return what a counter says, which may go on from another test where Feast has made counters this process's."""
        lines = self.metrics.exposition()[0].decode().splitlines()
        return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))

    def take(self, body: bytes = BODY, head: Head | None = None) -> tuple[bool, Taken]:
        taken = Taken()
        return self.short.take(head or Head(None, "id-1"), body, taken), taken


@pytest.fixture
def world(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(settings)
    monkeypatch.setattr("detektor_pipelines.serving.shortcut.asyncio.get_running_loop", lambda: made)
    return made


def test_it_is_answered_when_redis_has_answered(world: World) -> None:
    before = {name: world.counted(name) for name in (REQUESTS, AGENTS)}
    went, taken = world.take()
    assert (went, taken.told, len(world.sources.keys)) == (True, [], 3)
    world.sources.who.answered([None, None, None])
    ((headers, content),) = taken.told
    assert content["results"][1]["statuses"] == ["NOT_FOUND"] * 2
    assert b"x-feature-source: redis\r\n" in headers
    assert b"x-request-id: id-1\r\n" in headers
    assert b"age" not in headers
    assert {name: world.counted(name) - number for name, number in before.items()} == {REQUESTS: 1, AGENTS: 2}


def test_what_is_counted_and_the_lines_wait_a_moment(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.short, "_lines", Lines(sample=1))
    caplog.set_level("INFO")
    before = {name: world.counted(name) for name in (REQUESTS, "feast_online_serving_latency_count")}
    for _ in range(2):
        _, taken = world.take()
        world.sources.who.answered([None, None, None])
        assert len(taken.told) == 1
    assert not caplog.records
    (world.later.pop())()
    assert len(caplog.records) == 1, "one in each turn of the event loop"
    (world.later.pop())()
    assert not world.later
    assert [vars(each)["status"] for each in caplog.records] == [200, 200]
    assert all(vars(each)["timestamp"].endswith("Z") for each in caplog.records), "when it was answered, not when it was written"
    assert {name: world.counted(name) - number for name, number in before.items()} == dict.fromkeys(before, 2)
    for _ in range(LINES_KEPT + 2):
        world.take()
        world.sources.who.answered([None, None, None])
    assert len(caplog.records) == 2 + 2, "no more are kept waiting"
    assert len(world.later) == 1
    world.short.flush()
    assert not world.short._due


def test_a_late_redis_and_one_that_is_away(world: World) -> None:
    _, taken = world.take()
    assert not world.sources.who.patient()
    assert not world.sources.who.done()
    world.sources.who.failed(OnlineStoreLateError("late"))
    assert b"x-feature-source: fallback\r\n" in taken.told[0][0]
    assert world.sources.who.done()
    _, taken = world.take()
    world.sources.who.failed(OnlineStoreDownError("away"))
    assert taken.told == ["given back"]
    world.sources.down = OnlineStoreDownError("away")
    assert not world.take()[0]
    assert not world.sources.sent, "what was kept is no reading of Redis"


def test_what_is_left_to_the_application(world: World) -> None:
    assert not world.take(b"no JSON")[0]
    world.sources.static.on = True
    assert not world.take()[0], "switched to what was kept"
    world.short.sources = None
    assert not world.take()[0], "not begun yet"
    assert world.known() == Head(None, None)
    assert world.known((b"x-request-id", b"mine")) == Head(None, "mine")
    for header in (
        (b"host", b"page.example"),
        (b"origin", b"http://localhost"),
        (b"content-type", b"text/plain"),
        (b"content-encoding", b"gzip"),
        (b"expect", b"100-continue"),
    ):
        assert world.known(header) is None, header
    assert world.known(method="GET") is None
    assert world.known(path="/health") is None
    assert world.known(query=b"a=b") is None


def test_a_token_is_looked_at_each_time(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = add_token(tmp_path / "tokens", "tests")
    world = World(settings, Access(TokenFile(tmp_path / "tokens"), None))
    head = world.known((b"authorization", f"Bearer {token}".encode()))
    assert head is not None
    assert world.take(head=head)[0]
    assert world.known() is None, "without one"
    other = world.known((b"authorization", b"Bearer other"))
    assert other is not None
    assert not world.take(head=other)[0]
    (tmp_path / "tokens").unlink()
    monkeypatch.setattr("detektor_pipelines.web.tokens.time.monotonic", lambda: float("inf"))
    assert not world.take(head=head)[0], "it was taken back"


def test_what_is_read_is_sampled(world: World) -> None:
    world.sources.sampler = read_log.Sampler(1)
    world.take()
    world.sources.who.answered([b"broken", None, None])
    (command,) = world.sources.sent
    assert command[-4:] == ("a", "a", "p", b"broken")
