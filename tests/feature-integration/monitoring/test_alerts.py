"""A real Prometheus and Alertmanager over real servers of ours: each alert fires for a real cause, and ends with it.

The rules are those of `monitoring/prometheus/`, with windows of seconds. One stack for all; causes that do not disturb each other come
together, in waves: each wave is caused, seen to fire, cured, and seen to end.
"""

from __future__ import annotations

import http.server
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from support.log_rows import insert, partition_log
from support.oracle import Event
from support.serving_client import DETEKTOR, Server, running

from detektor_pipelines import clock
from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.engine.online import publish_online
from detektor_pipelines.language.calendar import between, owner
from detektor_pipelines.language.records import Rejection
from detektor_pipelines.monitoring import started
from detektor_pipelines.monitoring.prometheus import Pace
from detektor_pipelines.monitoring.rules import ALERTS
from detektor_pipelines.quality.parity import check as parity
from detektor_pipelines.settings import get_settings
from detektor_pipelines.stack import ports
from detektor_pipelines.stack.servers import embedded
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.online import clock as online_clock
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.raw_log.bulk import append

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from redis import Redis

    from detektor_pipelines.settings import Settings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1_200),
    pytest.mark.skipif(
        not shutil.which("prometheus") or not any(map(shutil.which, ("alertmanager", "prometheus-alertmanager"))),
        reason=f"no Prometheus and Alertmanager here: {started.INSTALL}",
    ),
]

PACE = Pace(windows=1 / 150, lasting=1 / 3_600, seconds=0.4)
PATIENCE_S = 240
VIEW = view_named("code_review_features")
COUNT = f"{VIEW.name}:recent_reviews_count"
AGENT = "code-reviewer@shop"
HOUR = 3_600_000_000

ELSEWHERE = {"DefinitionsDiffer", "FeatureDrift"}
"""Shown by Prometheus' tool alone (`tests/unit/monitoring/test_rules.py`): a second release, and drift over months, are not made here."""


class Stack:
    """The servers, and what Prometheus and Alertmanager say."""

    def __init__(self, settings: Settings, redis: embedded.RedisServer, prometheus: int, told: list[dict[str, Any]]) -> None:
        self.settings = settings
        self.redis = redis
        self.seen: set[str] = set()
        self.ended: set[str] = set()
        self.serve: Server
        self.exporter: Server
        self.stream: subprocess.Popen[bytes]
        self._prometheus = prometheus
        self._told = told

    def firing(self) -> set[str]:
        """Return the alerts that fire now."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._prometheus}/api/v1/alerts", timeout=10) as answer:
            alerts = json.load(answer)["data"]["alerts"]
        return {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return what an expression gives now."""
        address = f"http://127.0.0.1:{self._prometheus}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            return list(json.load(answer)["data"]["result"])

    def fire(self, *names: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Wait until each of the alerts has been seen to fire."""
        await_(
            lambda: meanwhile() or self._note() or set(names) <= self.seen, lambda: f"{set(names) - self.seen} did not fire; {self.why()}"
        )

    def end(self, *names: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Wait until none of them fires."""
        await_(lambda: meanwhile() or not self.firing() & set(names), lambda: f"{self.firing() & set(names)} did not end; {self.why()}")
        self.ended |= set(names)

    def told(self, name: str, status: str) -> bool:
        """Whether Alertmanager has told of an alert."""
        return any(each["status"] == status and each["labels"]["alertname"] == name for said in self._told for each in said["alerts"])

    def silenced(self, name: str) -> bool:
        """Whether Alertmanager keeps an alert to itself because of another one."""
        address = f"http://127.0.0.1:{self.settings.alertmanager_port}/api/v2/alerts"
        with urllib.request.urlopen(address, timeout=10) as answer:
            found = {each["labels"]["alertname"]: each["status"] for each in json.load(answer)}
        return bool(found.get(name, {}).get("inhibitedBy"))

    def _note(self) -> None:
        self.seen |= self.firing()

    def why(self) -> str:
        """Return what helps to see why."""
        up = {each["metric"]["job"]: each["value"][1] for each in self.query("up")}
        try:
            health = self.serve.get("/health").json
        except OSError as error:
            health = {"status": str(error)}
        said = {name: health.get(name) for name in ("status", "reason")}
        return f"firing: {sorted(self.firing())}; up: {up}; health: {said}"


@pytest.fixture
def stack(database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """Start everything; the log is three days old, one of them is published, and the newest event arrived four days ago."""
    del database
    with ExitStack() as exits:
        redis = exits.enter_context(embedded.start_redis(tmp_path / "redis"))
        chosen = {
            "EXTERNAL_REDIS_URL": redis.url(),
            "EXPORTER_SECONDS": "0.4",
            "SERVE_READ_SAMPLE": "0",
            "SERVE_REDIS_LATE_MS": "0",
            "SERVE_FALLBACK_SECONDS": "0.5",
        }
        for name in ("SERVE", "STREAM_METRICS", "EXPORTER", "PROMETHEUS", "ALERTMANAGER"):
            chosen[f"{name}_PORT"] = str(ports.free_port())
        told: list[dict[str, Any]] = []
        chosen["ALERT_WEBHOOK"] = f"http://127.0.0.1:{exits.enter_context(webhook(told))}/"
        for name, value in chosen.items():
            monkeypatch.setenv(f"DETEKTOR_{name}", value)
        get_settings.cache_clear()
        settings = get_settings()
        settings.home.mkdir()
        prepare(settings)
        made = Stack(settings, redis, settings.prometheus_port, told)
        for name in ("alertmanager", "prometheus"):
            exits.enter_context(process(started.command(settings, name, tmp_path / name, PACE), tmp_path / f"{name}.log"))
        made.stream = exits.enter_context(
            process([DETEKTOR, "stream", "--quiet", "--metrics-port", str(settings.stream_metrics_port)], tmp_path / "stream.log")
        )
        made.serve = exits.enter_context(running(tmp_path, "serve", port=settings.serve_port))
        made.exporter = exits.enter_context(running(tmp_path, "exporter", port=settings.exporter_port))
        await_(lambda: len(list(made.query("up == 1"))) == 3, made.why)
        await_(lambda: made.serve.get("/health").json["status"] == "OK", made.why)
        yield made


def prepare(settings: Settings) -> None:
    now = clock.now_us()
    partition_log(settings)
    insert(
        settings, [Event(f"old-{day}", now - day * 24 * HOUR, now - 96 * HOUR, "shop", values={"verdict": "approved"}) for day in (4, 5)]
    )
    today = owner(now)
    days = between(today - timedelta(days=6), today)
    for view in VIEWS:
        materialize(settings, view, days[:-2])
        publish_online(settings, view)
    dagster_tables(settings)


def dagster_tables(settings: Settings) -> None:
    from detektor_pipelines.orchestration.instance import persistent_instance

    with persistent_instance(settings) as instance:
        instance.get_runs(limit=1)


@contextmanager
def process(words: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file, subprocess.Popen(words, stdout=file, stderr=file, start_new_session=True) as begun:
        try:
            yield begun
        finally:
            with suppress(ProcessLookupError):
                os.killpg(begun.pid, signal.SIGKILL)


@contextmanager
def webhook(told: list[dict[str, Any]]) -> Iterator[int]:
    """Take what Alertmanager sends; yields the port."""

    class Taker(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Taker) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def await_(condition: Callable[[], object], why: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, why()
        time.sleep(0.1)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Have a process stand still."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def load(server: Server) -> Iterator[None]:
    """Read all the time."""
    going = threading.Event()
    going.set()

    def read() -> None:
        while going.is_set():
            with suppress(OSError):
                server.read([COUNT], [AGENT])
            time.sleep(0.02)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    yield
    going.clear()
    thread.join(30)


@pytest.mark.long  # over a minute; what promtool judges of the same rules is part of every run
def test_every_alert_fires_for_its_cause_and_ends_with_it(stack: Stack) -> None:
    with load(stack.serve), online.redis_client(stack.settings) as client:
        the_data(stack, client)
        slow_redis(stack, client)
        redis_away(stack)
        clocks_and_memory(stack, client)
        servers_away(stack)
    assert stack.seen >= {each.name for each in ALERTS} - ELSEWHERE
    assert stack.ended >= {each.name for each in ALERTS} - ELSEWHERE
    await_(lambda: stack.told("EventsRejected", "resolved") and stack.told("RedisDown", "resolved"), stack.why)


def the_data(stack: Stack, client: Redis) -> None:
    """Rows and days that nobody published, a silent log, records that cannot be read, a failed gate, a backfill of hours, wrong values."""
    settings = stack.settings
    numbers = count()

    def reject() -> None:
        append(settings, (), [Rejection("test", next(numbers), "not JSON", "{") for _ in range(10)])

    with failing_dagster(stack), unreadable_table(settings):
        with stopped(stack.stream.pid):  # which would take it for lost between the two steps
            wrong(settings, client)
        parity.check(settings, VIEWS)
        names = ("RowsStale", "DaysBehind", "LogSilent", "EventsRejected", "GateFailing", "BackfillSlow", "ExporterBlind", "ParityBroken")
        stack.fire(*names, meanwhile=reject)
        with stopped(stack.stream.pid):  # which would write it again
            client.delete(online.value_key(settings.project, VIEW, AGENT))
            stack.fire("ValuesMissing")
    parity.repair(settings, VIEWS, parity.check(settings, VIEWS))
    parity.check(settings, VIEWS)
    now = clock.now_us()
    insert(settings, [Event("new", now, now, "shop", values={"verdict": "approved"})])
    today = owner(now)
    for view in VIEWS:
        materialize(settings, view, between(today - timedelta(days=6), today))
        publish_online(settings, view)
    stack.end(*names, "ValuesMissing")


def wrong(settings: Settings, client: Redis) -> None:
    """Put another number in the place of one, with its stamps, as no program of ours does."""
    (row,) = online.read(client, settings.project, VIEW, [AGENT])
    assert row is not None
    client.delete(online.value_key(settings.project, VIEW, AGENT))
    values = {**row.values, "recent_reviews_count": 77}
    online.write_values(client, settings.project, VIEW, [replace(row, values=values)], valid_through_us=None)


@contextmanager
def failing_dagster(stack: Stack) -> Iterator[None]:
    """Have Dagster know of a gate that failed and of a backfill that has been under way for five hours; it ends with the block."""
    import dagster as dg
    from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

    from detektor_pipelines.orchestration.instance import persistent_instance
    from detektor_pipelines.orchestration.keys import features_key

    began = (datetime.now(UTC) - timedelta(hours=5)).timestamp()
    backfill = PartitionBackfill("five-hour", BulkActionStatus.REQUESTED, False, {}, began)  # noqa: FBT003 - Dagster's
    with persistent_instance(stack.settings) as instance:
        instance.add_backfill(backfill)
        # A counter that is first seen when it has grown has not grown for Prometheus
        await_(lambda: stack.query("detektor_gate_failures_total == 0"), stack.why)
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(asset_key=features_key(VIEW), check_name="values_are_valid", passed=False, metadata={})
        )
        yield
        instance.update_backfill(backfill.with_status(BulkActionStatus.COMPLETED))


@contextmanager
def unreadable_table(settings: Settings) -> Iterator[None]:
    """Have a table be there that is not as the exporter knows it, as after a release of Feast's."""
    with connect(settings) as connection:
        connection.execute("CREATE TABLE feast.feature_views (other int)")
    yield
    with connect(settings) as connection:
        connection.execute("DROP TABLE feast.feature_views")


def slow_redis(stack: Stack, client: Redis) -> None:
    """A Redis that takes no writes for a while, then one that answers each read late."""
    client.execute_command("CLIENT", "PAUSE", "20000", "WRITE")
    stack.fire("StreamLag", "ValuesStale")
    client.execute_command("CLIENT", "UNPAUSE")
    stack.end("StreamLag", "ValuesStale")

    def pause() -> None:
        client.execute_command("CLIENT", "PAUSE", "90", "ALL")

    stack.fire("ServingLatencyHigh", meanwhile=pause)
    stack.end("ServingLatencyHigh")


def redis_away(stack: Stack) -> None:
    """A Redis that does not answer: kept values are served."""
    await_(lambda: stack.serve.read([COUNT], [AGENT]).status == 200, stack.why)
    time.sleep(1)  # values are kept each half second
    with stopped(stack.redis.pid):
        stack.fire("RedisDown", "ServingFallback")
        await_(lambda: stack.silenced("ServingFallback"), stack.why)  # it follows from RedisDown: nobody is told of both
    stack.end("RedisDown", "ServingFallback")


def clocks_and_memory(stack: Stack, client: Redis) -> None:
    """Values ahead of the clock, and a Redis that is full and drops some."""
    settings = stack.settings
    with stopped(stack.stream.pid):
        online.move_valid_through(client, settings.project, VIEW, clock.now_us() + 17 * HOUR)
        stack.fire("ValuesAhead")
        online_clock.drop(client, settings.project, VIEW, online_clock.ahead(client, settings.project, VIEW))
    stack.end("ValuesAhead", "ValuesStale", "StreamLag")
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("maxmemory", int(client.info("memory")["used_memory"]) + 200_000)
    numbers = count()

    def fill() -> None:
        for _ in range(50):
            client.set(f"of-others:{next(numbers)}", b" " * 10_000)

    stack.fire("ValuesDropped", meanwhile=fill)
    client.config_set("maxmemory", 0)
    client.config_set("maxmemory-policy", "noeviction")
    stack.end("ValuesDropped")


def servers_away(stack: Stack) -> None:
    """A feature server and an exporter that hang: that burns the error budget, though no request fails."""
    names = ("FeatureServerDown", "ServerDown", "ErrorBudgetBurnsFast", "ErrorBudgetBurnsSlowly")
    with stopped(stack.serve.process.pid), stopped(stack.exporter.process.pid):
        stack.fire(*names)
    stack.end(*names)
