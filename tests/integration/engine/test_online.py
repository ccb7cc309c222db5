"""From the offline rows to the online store: which values go, and up to when they are said to be true."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.engine_cases import event_table
from support.examples import examples
from support.log_rows import clear, insert, partition_log
from support.oracle import Event
from support.recomputed import Served, compare
from support.rule_log import published

from detektor_pipelines import clock
from detektor_pipelines.catalog import view_named
from detektor_pipelines.clock import parse_instant, to_us
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import reach_back
from detektor_pipelines.engine import gate
from detektor_pipelines.engine.materialize import compute_days, materialize
from detektor_pipelines.engine.online import publish_online, write_from_log
from detektor_pipelines.language.calendar import start_us
from detektor_pipelines.language.windows import DAY, HOUR, MINUTE
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.offline.rows import row_table
from detektor_pipelines.stores.online import values as online

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from detektor_pipelines.language.views import FeatureView
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
NOW = parse_instant("2026-03-17")
REACH = reach_back(plan(VIEW))
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
    return start_us(day) + hour * HOUR


def test_what_left_the_windows_on_a_day_that_is_not_published_is_not_served(log: Settings) -> None:
    insert(log, [Event("idle", at(DAYS[0], 10), at(DAYS[0], 10), "idle"), Event("busy", at(DAYS[2], 10), at(DAYS[2], 10), "busy")])
    materialize(log, VIEW, [DAYS[0], DAYS[2]])

    publish_online(log, VIEW)

    idle, busy = read(log, "idle", "busy")
    assert idle is not None
    assert busy is not None
    assert idle.values["recent_reviews_count"] == 0  # its row of the first day says 1
    assert (idle.as_of, busy.as_of) == (NOW, at(DAYS[3]))  # one computed from the log, the other as its row says
    assert idle.valid_through == at(DAYS[3])
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


def test_while_late_events_wait_a_value_says_that_it_does_not_know_them(log: Settings) -> None:
    insert(log, [Event("one", at(DAYS[0], 10), at(DAYS[0], 10), "p")])
    materialize(log, VIEW, DAYS[:2])
    insert(log, [Event("late", at(DAYS[0], 11), at(DAYS[1], 11), "p")])
    publish_online(log, VIEW)
    (before,) = read(log, "p")
    assert before is not None
    assert before.values["weekly_reviews_count"] == 1
    assert compare(log, VIEW, [Served(before.agent_id, before.as_of, before.snapshot, before.values)]).mismatches == []

    materialize(log, VIEW, DAYS[:2])
    assert publish_online(log, VIEW).refused == 0
    (after,) = read(log, "p")
    assert after is not None
    assert (after.values["weekly_reviews_count"], after.as_of) == (2, before.as_of)
    assert before.snapshot != after.snapshot


def test_a_value_knows_what_the_oldest_day_from_its_row_on_knew(log: Settings) -> None:
    busy = [Event(f"busy{number}", at(day, 10), at(day, 10), "busy") for number, day in enumerate(DAYS[:4])]
    insert(log, [Event("idle", at(DAYS[0], 10), at(DAYS[0], 10), "idle"), *busy])
    materialize(log, VIEW, DAYS[:4])
    insert(log, [Event("elsewhere", at(DAYS[9]), at(DAYS[9]), "far")])
    materialize(log, VIEW, DAYS[3:4])
    publish_online(log, VIEW)
    days = {day: each.snapshot for day, each in published(log, VIEW).items()}
    assert days[str(DAYS[1])] != days[str(DAYS[3])]
    assert [row and row.snapshot for row in read(log, "idle", "busy")] == [days[str(DAYS[1])], days[str(DAYS[3])]]


def test_a_row_that_knows_more_than_a_later_day_is_computed_from_the_log(log: Settings) -> None:
    """A repair of which only the first days passed the gate: the row knows the late event, the days after it do not."""
    insert(log, [Event("idle", at(DAYS[0], 10), at(DAYS[0], 10), "idle")])
    materialize(log, VIEW, DAYS[:4])
    insert(log, [Event("late", at(DAYS[0], 10), at(DAYS[0], 10), "idle")])
    materialize(log, VIEW, DAYS[:2])
    publication = publish_online(log, VIEW)
    (row,) = read(log, "idle")
    assert row is not None
    assert (row.values["weekly_reviews_count"], row.as_of, publication.from_log) == (0, NOW, 2)  # twelve days later
    assert compare(log, VIEW, [Served(row.agent_id, row.as_of, row.snapshot, row.values)]).mismatches == []


def test_who_has_events_in_a_gap_only_is_online_too(log: Settings) -> None:
    """The days before the first published one, and one between that failed."""
    insert(log, [Event("first", at(DAYS[2], 10), at(DAYS[2], 10), "before"), Event("between", at(DAYS[8], 10), at(DAYS[8], 10), "between")])
    insert(log, [Event(f"busy{number}", at(day, 9), at(day, 9), "busy") for number, day in enumerate(DAYS)])
    materialize(log, VIEW, [*DAYS[6:8], *DAYS[9:]])
    publication = publish_online(log, VIEW)
    before, between = read(log, "before", "between")
    assert before is not None
    assert between is not None
    assert (before.values["weekly_reviews_count"], between.values["weekly_reviews_count"]) == (
        0,
        1,
    )  # of the 7th and the 13th; it is the 17th
    assert (before.status, between.status) == ("PRESENT", "PRESENT")
    assert publication.keys == 4

    with online.redis_client(log) as client:
        assert online.valid_through(client, log.project, VIEW) == NOW


def test_a_refused_value_is_computed_from_the_log_and_put_down(log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream has counted a late event that the published days do not know."""
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T12:05:00Z")
    insert(log, [Event("one", at(DAYS[0], 10), at(DAYS[0], 10), "p")])
    materialize(log, VIEW, DAYS[:3])
    insert(log, [Event("late", at(DAYS[0], 11), at(DAYS[1], 11), "p")])
    counted = write_from_log(log, VIEW, [f"{VIEW.agent}@p"], writer="stream test")
    assert (counted.keys, counted.written) == (1, 1)
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T13:05:00Z")
    materialize(log, VIEW, DAYS[2:3])

    publication = publish_online(log, VIEW, writer="batch test")

    (row,) = read(log, "p")
    assert row is not None
    assert (row.values["weekly_reviews_count"], row.writer) == (2, "batch test")
    assert (row.as_of, row.valid_through) == (at(DAYS[2], 13) + 5 * MINUTE, at(DAYS[2], 13))
    assert (publication.refused, publication.made_good, publication.lost) == (1, 1, 0)
    with online.redis_client(log) as client:
        assert online.refusals(client, log.project, VIEW) == {row.agent_id: (1, clock.now_us(), "batch test")}


def test_valid_through_does_not_pass_a_value_that_could_not_be_made_good(log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(log, [Event(project, at(DAYS[0], 10), at(DAYS[0], 10), project) for project in "pq"])
    ahead = online.OnlineRow(f"{VIEW.agent}@p", NOW + DAY, NOW, NOW, "1:1:", {"weekly_reviews_count": 9})
    with online.redis_client(log) as client:
        online.write_values(client, log.project, VIEW, [ahead], valid_through_us=None)
        materialize(log, VIEW, DAYS)
        publication = publish_online(log, VIEW)
        (instants,) = online.shard_instants(client, log.project, [VIEW])
    assert (publication.refused, publication.made_good, publication.lost, publication.ahead) == (1, 0, 1, 1)
    assert instants.keys() == set(online.ALL_SHARDS) - {online.shard_of(ahead.agent_id)}


def test_a_value_of_the_gate_is_not_kept_true_by_valid_through(log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last publication before the gap put it online; after the gap it breaks the gate, while the others go on."""
    insert(log, [Event("idle", at(DAYS[8], 10), at(DAYS[8], 10), "idle"), Event("busy", at(DAYS[10], 10), at(DAYS[10], 10), "busy")])
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-14T00:00:00Z")
    materialize(log, VIEW, [DAYS[8]])
    publish_online(log, VIEW)
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-17T00:00:00Z")
    materialize(log, VIEW, DAYS[10:])

    def failing(view: FeatureView, rows: pa.Table) -> Mapping[int, list[dict[str, Any]]]:
        bad = [name for name in rows["agent_id"].to_pylist() if name.endswith("@idle")]
        return {1: [{"agent_id": name, "column": "x"} for name in bad]} if bad else gate.failures_by_day(view, rows)

    monkeypatch.setattr("detektor_pipelines.engine.online.failures_by_day", failing)
    publication = publish_online(log, VIEW)
    idle, busy = read(log, "idle", "busy")
    assert idle is not None
    assert busy is not None
    assert (publication.withheld, idle.as_of, idle.snapshot, idle.status) == (1, at(DAYS[9]), None, "OUTSIDE_MAX_AGE")
    assert (busy.status, busy.valid_through) == ("PRESENT", NOW)


@pytest.mark.slow
@hypothesis_settings(max_examples=examples(6), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hours=st.lists(st.tuples(st.integers(0, 12 * 24 - 1), st.sampled_from("pq")), min_size=1, max_size=8),
    chosen=st.sets(st.sampled_from(DAYS), min_size=1),
)
def test_whatever_days_are_published_a_value_is_that_of_all_days(log: Settings, hours: list[tuple[int, str]], chosen: set[date]) -> None:
    clear(log)
    with connect(log) as connection, online.redis_client(log) as client:
        connection.execute(f'DROP TABLE IF EXISTS feast."{row_table(VIEW)}" CASCADE')
        client.flushdb()
    instants = [at(FIRST) + hour * HOUR + 1 for hour, _ in hours]
    projects = [project for _, project in hours]
    review = {"operation": "review"}
    events = [Event(str(n), when, when, where, values=review) for n, (when, where) in enumerate(zip(instants, projects, strict=True))]
    insert(log, events)
    materialize(log, VIEW, sorted(chosen))

    publish_online(log, VIEW)

    every = compute_days(VIEW, event_table(VIEW, events), DAYS, cutoff=None).to_pylist()
    last = at(max(chosen) + timedelta(days=1))
    for project, row in zip("pq", read(log, "p", "q"), strict=True):
        reaching = [when for when, where in zip(instants, projects, strict=True) if where == project and last - REACH < when <= last]
        assert row is not None or not reaching
        if row is not None:
            known = [each for each in every if each["agent_id"] == row.agent_id and to_us(each["event_timestamp"]) <= row.as_of]
            expected = {each.name: known[-1][each.name] for each in VIEW.features}
            assert row.values == {name: to_us(value) if isinstance(value, datetime) else value for name, value in expected.items()}
            assert row.as_of in {last, NOW}
            assert row.valid_through == last
