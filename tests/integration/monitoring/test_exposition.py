"""What each server really answers to Prometheus has exactly the names of the list, few series, and true numbers."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from support.log_rows import insert, partition_log
from support.oracle import Event

from detektor_pipelines import clock
from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.engine.online import publish_online
from detektor_pipelines.language.calendar import owner
from detektor_pipelines.language.records import Rejection
from detektor_pipelines.monitoring.exporter.collector import Collector
from detektor_pipelines.monitoring.exporter.question import Answer, Question
from detektor_pipelines.monitoring.metrics import EXPORTER, LOG_AGE, METRICS, REJECTED
from detektor_pipelines.stack import ports
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.online.worker_mark import WorkerMark, leave_mark
from detektor_pipelines.stores.raw_log.bulk import append
from detektor_pipelines.stream.metrics import _Metrics, health_page, serve
from detektor_pipelines.stream.worker import Health

if TYPE_CHECKING:
    from detektor_pipelines.metric import Metric
    from detektor_pipelines.settings import Settings

VIEW = view_named("code_review_features")
DAY = 24 * 3_600_000_000
MOST_SERIES = 600
"""Of a server, with eight views: a bound, so that a label without one is seen."""


def exposed(text: str) -> dict[str, Any]:
    """Return the families by the name that Prometheus stores."""
    found = {}
    for family in text_string_to_metric_families(text):
        found[f"{family.name}_total" if family.type == "counter" else family.name] = family
    assert sum(len(each.samples) for each in found.values()) < MOST_SERIES
    return found


def check(server: str, text: str) -> dict[str, Any]:
    """Hold an exposition to the list."""
    found = exposed(text)
    listed = {each.name: each for each in METRICS[server]}
    assert set(found) == set(listed)
    for name, family in found.items():
        metric: Metric = listed[name]
        assert (family.type, family.documentation) == (metric.kind, metric.text)
        assert {label for sample in family.samples for label in sample.labels} - {"le"} <= set(metric.labels)
    assert "_created" not in text
    return found


def value(families: dict[str, Any], name: str, **labels: str) -> float:
    (sample,) = (each for each in families[name].samples if each.labels == labels)
    return float(sample.value)


def collected(collector: Any) -> str:
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry).decode()


def test_the_feature_server(redis_db: Settings) -> None:
    from detektor_pipelines.serving.server import app

    with online.redis_client(redis_db) as client:
        for view in VIEWS:
            online.move_valid_through(client, redis_db.project, view, clock.now_us() - 60_000_000)
        leave_mark(client, redis_db.project, WorkerMark(0.0))
    with TestClient(app(redis_db), base_url="http://127.0.0.1") as server:
        families = check("serve", server.get("/metrics").text)
        assert 60 <= value(families, "detektor_online_age_seconds", view=VIEW.name) < 90
        assert value(families, "detektor_online_fresh") == 0
        said = server.get("/health")
        assert (said.status_code, said.json()["status"]) == (200, "STALE")
        assert server.get("/health?fresh").status_code == 503
        assert server.get("/health/live").json() == {"status": "ALIVE"}


def test_the_stream_worker(servers: Settings) -> None:
    families = check("stream", collected(_Metrics(servers, Health(keys=3, lost=2))))
    assert (value(families, "detektor_stream_keys"), value(families, "detektor_stream_lost_values_total")) == (3, 2)


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        ({}, (200, "OK")),
        ({"beat": 0}, (503, "HUNG")),
        ({"beat": 0, "loading": True}, (200, "LOADING")),
        ({"complete": 0}, (200, "STALE")),
    ],
)
def test_a_workers_health(health: dict[str, Any], expected: tuple[int, str]) -> None:
    status, content = health_page(Health(**health))
    assert (status, content["status"]) == expected


def test_the_exporter(servers: Settings) -> None:
    partition_log(servers)
    now = clock.now_us()
    insert(servers, [Event("a", now - DAY, now - DAY, "shop", values={"verdict": "approved"})])
    append(servers, (), [Rejection("test", 1, "not JSON", "{")])
    yesterday = owner(now - DAY)
    materialize(servers, VIEW, [yesterday])
    publish_online(servers, VIEW)
    with online.redis_client(servers) as client:
        client.delete(online.value_key(servers.project, VIEW, "code-reviewer@shop"))
        leave_mark(client, servers.project, WorkerMark(now / 1_000_000 - 5))
    with closing(Collector(servers)) as collector:
        collector.turn()
    families = check("exporter", collected(collector))
    assert {each.labels["query"]: each.value for each in families["detektor_exporter_query_up"].samples if not each.value} == {}
    of_view = {"view": VIEW.name}
    assert 0 <= value(families, "detektor_offline_age_seconds", **of_view) <= DAY / 1_000_000
    assert value(families, "detektor_offline_rows", **of_view) > 0
    assert value(families, "detektor_offline_days", **of_view, state="missing") == 1, "today"
    assert value(families, "detektor_offline_days", **of_view, state="fresh") == 1
    assert value(families, "detektor_log_events", agent="code-reviewer") == 1
    assert value(families, "detektor_log_rejected_events_total") == 1
    assert (value(families, "detektor_online_keys", **of_view), value(families, "detektor_online_missing_keys", **of_view)) == (1, 1)
    assert 5 <= value(families, "detektor_stream_heartbeat_age_seconds") < 120
    assert 0 <= value(families, "detektor_offline_null_ratio", **of_view, feature="rejection_rate") <= 1
    assert value(families, "detektor_redis_memory_bytes") > 100_000


def test_what_fails_is_absent_and_ages_grow_on(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(clock.VARIABLE, "2026-03-05T10:00:00Z")
    answers = iter([Answer({REJECTED: {(): 4.0}}, {LOG_AGE: {(): float(clock.now_us())}})])
    collector = Collector(servers, [Question("log", 1, lambda _: next(answers))])
    collector.turn()
    first = exposed(collected(collector))
    assert (value(first, "detektor_log_rejected_events_total"), value(first, "detektor_log_age_seconds")) == (4, 0)
    monkeypatch.setenv(clock.VARIABLE, "2026-03-05T10:01:00Z")
    collector.turn()
    second = exposed(collected(collector))
    assert second["detektor_log_rejected_events_total"].samples == []
    assert value(second, "detektor_log_age_seconds") == 60
    assert value(second, "detektor_exporter_query_up", query="log") == 0
    assert set(second) == {each.name for each in EXPORTER}


def test_the_exporter_only_reads(servers: Settings) -> None:
    with connect(servers) as connection:
        before = connection.execute("SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables").fetchone()
    with closing(Collector(servers)) as collector:
        collector.turn()
    with connect(servers) as connection:
        assert connection.execute("SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables").fetchone() == before


def test_the_stream_worker_listens_where_it_is_told(redis_db: Settings) -> None:
    elsewhere = redis_db.model_copy(update={"stream_metrics_host": "127.0.0.2"})
    port = ports.free_port()
    with serve(elsewhere, Health(), port):
        assert ports.answers(port, "127.0.0.2")
        assert not ports.answers(port, "127.0.0.1")
