"""From the offline rows to the online store: which values go, and up to when they are said to be true."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from engine_cases import event_table
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from log_rows import clear, insert, partition_log
from oracle import Event

from detektor_pipelines.catalog import view_named
from detektor_pipelines.clock import parse_instant, to_us
from detektor_pipelines.engine.materialize import compute_days, materialize, midnight
from detektor_pipelines.engine.online import publish_online
from detektor_pipelines.language.windows import HOUR
from detektor_pipelines.quality.parity import Served, compare
from detektor_pipelines.stores import online
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.offline import row_table

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

VIEW = view_named("code_review_features")


def test_an_open_day_is_true_up_to_its_last_whole_hour(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    partition_log(servers)
    instants = [parse_instant(f"2026-03-05T{time}") for time in ("10:30", "12:20")]
    insert(servers, [Event(str(at), at, at) for at in instants])
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-05T12:40:00Z")
    materialize(servers, VIEW, [date(2026, 3, 5)])

    assert publish_online(servers, VIEW).as_of == datetime(2026, 3, 5, 12, tzinfo=UTC)

    with online.redis_client(servers) as client:
        row = online.read(client, servers.project, VIEW, [VIEW.agent])[0]
    assert row is not None
    assert row.values["recent_reviews_count"] == 1  # the review of 12:20 counts from 13:00 on
    assert row.as_of == row.valid_through == parse_instant("2026-03-05T12:00")


FIRST = date(2026, 3, 5)
DAYS = [FIRST + timedelta(days=number) for number in range(12)]


@pytest.fixture
def log(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    partition_log(servers)
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-17T00:00:00Z")
    return servers


def read(settings: Settings, *projects: str) -> list[online.OnlineRow | None]:
    with online.redis_client(settings) as client:
        return online.read(client, settings.project, VIEW, [f"{VIEW.agent}@{project}" for project in projects])


def at(day: date, hour: int = 0) -> int:
    return midnight(day) + hour * HOUR


def test_what_left_the_windows_on_a_day_that_is_not_published_is_not_served(log: Settings) -> None:
    insert(log, [Event("idle", at(DAYS[0], 10), at(DAYS[0], 10), "idle"), Event("busy", at(DAYS[2], 10), at(DAYS[2], 10), "busy")])
    materialize(log, VIEW, [DAYS[0], DAYS[2]])

    publish_online(log, VIEW)

    idle, busy = read(log, "idle", "busy")
    assert idle is not None
    assert busy is not None
    assert idle.values["recent_reviews_count"] == 0  # its row of the first day says 1
    assert idle.as_of == busy.as_of == at(DAYS[3])
    served = [Served(each.agent_id, each.as_of, each.snapshot, each.values) for each in (idle, busy)]
    parity = compare(log, VIEW, served)
    assert (parity.compared, parity.mismatches) == (2, [])


def test_a_value_that_breaks_the_gate_is_true_up_to_the_day_that_is_not_published(log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(log, [Event("idle", at(DAYS[0], 10), at(DAYS[0], 10), "idle"), Event("busy", at(DAYS[2], 10), at(DAYS[2], 10), "busy")])
    materialize(log, VIEW, [DAYS[0], DAYS[2]])
    monkeypatch.setattr("detektor_pipelines.engine.online.failures_by_day", lambda *_: {20_000: [{"column": "recent_reviews_count"}]})

    publish_online(log, VIEW)

    idle, busy = read(log, "idle", "busy")
    assert idle is not None
    assert busy is not None
    assert (idle.values["recent_reviews_count"], idle.as_of) == (1, at(DAYS[1]))
    assert (busy.values["recent_reviews_count"], busy.as_of) == (1, at(DAYS[3]))


def test_while_late_events_wait_the_values_name_no_snapshot(log: Settings) -> None:
    insert(log, [Event("one", at(DAYS[0], 10), at(DAYS[0], 10), "p")])
    materialize(log, VIEW, DAYS[:2])
    insert(log, [Event("late", at(DAYS[0], 11), at(DAYS[1], 11), "p")])
    publish_online(log, VIEW)
    assert [row and row.snapshot for row in read(log, "p")] == [None]

    materialize(log, VIEW, DAYS[:2])
    with online.redis_client(log) as client:
        client.flushdb()
    publish_online(log, VIEW)
    assert all(row and row.snapshot for row in read(log, "p"))


@pytest.mark.slow
@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hours=st.lists(st.tuples(st.integers(0, 12 * 24 - 1), st.sampled_from("pq")), min_size=1, max_size=8),
    published=st.sets(st.sampled_from(DAYS), min_size=1),
)
def test_whatever_days_are_published_a_value_is_that_of_all_days(log: Settings, hours: list[tuple[int, str]], published: set[date]) -> None:
    clear(log)
    with connect(log) as connection, online.redis_client(log) as client:
        connection.execute(f'DROP TABLE IF EXISTS feast."{row_table(VIEW)}" CASCADE')
        client.flushdb()
    instants = [at(FIRST) + hour * HOUR + 1 for hour, _ in hours]
    projects = [project for _, project in hours]
    review = {"operation": "review"}
    events = [Event(str(n), when, when, where, values=review) for n, (when, where) in enumerate(zip(instants, projects, strict=True))]
    insert(log, events)
    materialize(log, VIEW, sorted(published))

    publish_online(log, VIEW)

    every = compute_days(VIEW, event_table(VIEW, events), DAYS, cutoff=None).to_pylist()
    for row in read(log, "p", "q"):
        if row is not None:
            known = [each for each in every if each["agent_id"] == row.agent_id and to_us(each["event_timestamp"]) <= row.as_of]
            expected = {each.name: known[-1][each.name] for each in VIEW.features}
            assert row.values == {name: to_us(value) if isinstance(value, datetime) else value for name, value in expected.items()}
            assert row.as_of == row.valid_through == at(max(published) + timedelta(days=1))
