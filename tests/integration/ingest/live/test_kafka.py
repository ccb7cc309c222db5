"""`ingest.live.kafka` against librdkafka's own mock cluster: a broker that speaks Kafka's protocol, inside the client library."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from detektor_pipelines.ingest.live.kafka import KafkaRefusesError, KafkaSource
from detektor_pipelines.ingest.live.writer import LiveWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from detektor_pipelines.settings import Settings

confluent_kafka = pytest.importorskip("confluent_kafka", reason="the extra `kafka` is not installed")
TOPIC = "agent-events"


@pytest.fixture(scope="module")
def producer() -> Iterator[Any]:
    """Return a producer whose client runs the cluster: one broker, gone with it."""
    found = confluent_kafka.Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock", "log_level": 0})
    yield found
    found.flush(5)


@pytest.fixture
def topic(producer: Any, request: pytest.FixtureRequest) -> str:
    name = f"{TOPIC}-{request.node.name}"
    producer.list_topics(name, timeout=10)  # makes it, with four partitions
    return name


@pytest.fixture
def source(producer: Any, topic: str, database: Settings) -> Callable[[], KafkaSource]:
    """Return what makes a new member of one group."""
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    options = {"bootstrap.servers": f"{broker.host}:{broker.port}", "group.id": topic, "session.timeout.ms": 6_000, "log_level": 0}
    return lambda: KafkaSource(database, topic, options)


def event(number: int, **others: Any) -> dict[str, Any]:
    at = f"2026-11-20T10:00:{number:02}Z"
    return {
        "agent": "code-reviewer",
        "operation": "review",
        "project": "shop",
        "occurred_at": at,
        "event_id": f"k{number}",
        "issues_found": 3,
        **others,
    }


def send(producer: Any, topic: str, *values: Any, partition: int = 0) -> None:
    for value in values:
        producer.produce(topic, value if isinstance(value, bytes) else json.dumps(value).encode(), partition=partition)
    assert producer.flush(10) == 0


def drain(source: KafkaSource, writer: LiveWriter, wanted: int) -> dict[str, int]:
    """Step until so many records have been answered for; joining the group takes some steps."""
    total: dict[str, int] = {}
    for _ in range(200):
        for status, number in source.step(writer).items():
            total[status] = total.get(status, 0) + number
        if sum(total.values()) >= wanted:
            return {status: number for status, number in total.items() if number}
    message = f"after 40 s only {total}"
    raise AssertionError(message)


def stored(settings: Settings, what: str = "event_id, project, issues_found FROM ml_learning.agent_events ORDER BY 1") -> list[Any]:
    with psycopg.connect(settings.postgres_dsn) as connection:
        return connection.execute(f"SELECT {what}".encode()).fetchall()


@pytest.mark.slow
def test_duplicates_and_what_is_no_event_leave_one_row_and_one_reason(
    producer: Any, topic: str, source: Callable[[], KafkaSource], database: Settings
) -> None:
    send(producer, topic, event(1), event(2), b"torn {", event(1), b"")
    send(producer, topic, event(2), event(3), event(4, issues_found="many"), partition=1)
    with LiveWriter(database) as writer, source() as member:
        counts = drain(member, writer, 7)
    assert counts == {"accepted": 3, "known": 2, "rejected": 2}
    assert stored(database) == [("k1", "shop", 3), ("k2", "shop", 3), ("k3", "shop", 3)]
    rejected = stored(database, "source, line FROM ml_learning.rejected_events ORDER BY 1")
    assert rejected == [(f"kafka:{topic}:0", 2), (f"kafka:{topic}:1", 2)]


@pytest.mark.slow
def test_a_crash_between_storing_and_committing_changes_nothing(
    producer: Any, topic: str, source: Callable[[], KafkaSource], database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(producer, topic, event(1), b"torn {", event(2))

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with LiveWriter(database) as writer:
        with monkeypatch.context() as patched, source() as member:
            patched.setattr(KafkaSource, "_commit", crash)
            with pytest.raises(KeyboardInterrupt):
                drain(member, writer, 3)
        before = stored(database)
        send(producer, topic, event(3))
        with source() as member:
            assert drain(member, writer, 4) == {"accepted": 1, "known": 2, "rejected": 1}
        with source() as member:
            send(producer, topic, event(4))
            assert drain(member, writer, 1) == {"accepted": 1}, "what was committed does not come again"
    assert before == [("k1", "shop", 3), ("k2", "shop", 3)]
    assert [row[0] for row in stored(database)] == ["k1", "k2", "k3", "k4"]
    assert len(stored(database, "* FROM ml_learning.rejected_events")) == 1


@pytest.mark.slow
def test_records_wait_for_postgresql(
    producer: Any, topic: str, source: Callable[[], KafkaSource], database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next step takes the same records, not those behind them."""
    send(producer, topic, event(1), event(2))
    with LiveWriter(database) as writer, source() as member:
        with monkeypatch.context() as patched:
            patched.setattr(writer, "write", refuse)
            with pytest.raises(ConnectionError):
                drain(member, writer, 2)
        send(producer, topic, event(3))
        assert drain(member, writer, 3) == {"accepted": 3}


def refuse(records: list[Any]) -> None:
    raise ConnectionError(len(records))


@pytest.mark.slow
def test_a_topic_that_is_not_there_is_said(producer: Any, database: Settings) -> None:
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    options = {
        "bootstrap.servers": f"{broker.host}:{broker.port}",
        "group.id": "nobody",
        "log_level": 0,
        "allow.auto.create.topics": False,
        "topic.metadata.propagation.max.ms": 0,
    }
    with (
        LiveWriter(database) as writer,
        KafkaSource(database, "no-such-topic", options) as member,
        pytest.raises(KafkaRefusesError) as said,
    ):
        drain(member, writer, 1)
    assert said.value.where == "topic no-such-topic"
