"""In bulk or live: the same records leave the same log, and the same is said of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.examples import examples

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.language.records import AgentEvent, Rejection
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.raw_log.bulk import EventWriter, IngestCounts, append
from detektor_pipelines.stores.raw_log.duplicates import LIVE_REVISION
from detektor_pipelines.stores.raw_log.live import LiveLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.settings import Settings

MARCH = parse_instant("2026-03-05T10:00:00Z")
HOUR = 3_600_000_000
Batch = tuple[list[AgentEvent], list[Rejection]]

REVIEW = AgentEvent(
    "r",
    "code-reviewer",
    "reviewer",
    "review",
    MARCH,
    "test",
    project="cli",
    known_at=MARCH,
    measures={"issues_found": 3, "duration_ms": 60_000},
    categories={"verdict": "rejected"},
    attributes={"evidence": "REQUEST CHANGES", "é": [1, {"z": None, "a": 2}]},
)
CHAT = replace(REVIEW, operation="chat", measures={"output_tokens": 4}, categories={"model": "m"})
BODIES = [
    REVIEW,
    replace(REVIEW, categories={}, attributes={"evidence": "REQ"}),  # cut short
    replace(REVIEW, measures={"duration_ms": 60_000}, categories={"verdict": "rejected", "outcome": "success"}),
    replace(REVIEW, measures={"issues_found": 4, "duration_ms": 60_000}),  # contradicts
    replace(REVIEW, project="other"),
    replace(REVIEW, agent_type="unmapped", occurred_at=MARCH + 40 * 24 * HOUR),
    CHAT,
    replace(CHAT, occurred_at=MARCH + HOUR, measures={"output_tokens": 250}),  # the same answer, finished
]
records = st.builds(
    lambda name, body, reader, live: replace(body, event_id=name, reader_revision=reader, known_at=None if live else body.known_at),
    st.sampled_from("abc"),
    st.sampled_from(BODIES),
    st.sampled_from([LIVE_REVISION, 1, 1, 2]),
    st.booleans(),
)
rejections = st.builds(Rejection, st.sampled_from("pq"), st.none() | st.integers(1, 2), st.sampled_from(["torn", "cut \x00 \udc80"]))
batches = st.lists(st.tuples(st.lists(records, max_size=7), st.lists(rejections, max_size=3)), max_size=5)


def said_by_bulk(settings: Settings, given_batches: Sequence[Batch], clock: pytest.MonkeyPatch) -> Counter[str]:
    total = IngestCounts()
    with EventWriter(settings) as writer:
        for number, (events, torn) in enumerate(given_batches):
            set_clock(clock, number)
            total += writer.write(events, torn)
    said = {name: getattr(total, name) for name in ("added", "known", "also_seen", "reread", "conflicts")}
    return Counter({name: number for name, number in said.items() if number} | {"rejections": total.rejected})


def said_live(settings: Settings, given_batches: Sequence[Batch], clock: pytest.MonkeyPatch) -> Counter[str]:
    names = {None: "added", "same": "known", "reread": "reread", "conflict": "conflicts"}
    statuses = {"added": "accepted", "known": "known", "also_seen": "known", "reread": "reread", "conflicts": "rejected"}
    said: Counter[str] = Counter()
    kept = 0
    with psycopg.connect(settings.postgres_dsn, autocommit=True, options="-c timezone=UTC") as connection:
        log = LiveLog(connection)
        for number, (events, torn) in enumerate(given_batches):
            set_clock(clock, number)
            kept += log.keep(torn)
            outcomes = log.append(events)
            assert [each.event_id for each in outcomes] == [each.event_id for each in events]
            for outcome in outcomes:
                name = names.get(outcome.judgement, "also_seen")
                assert outcome.status == statuses[name]
                assert bool(outcome.reason) == (name in {"reread", "conflicts"})
                said[name] += 1
    conflicts = "SELECT count(*) FROM ml_learning.rejected_events WHERE event_id IS NOT NULL"
    return said + Counter(rejections=kept + table(settings, conflicts)[0][0])


def set_clock(clock: pytest.MonkeyPatch, batch: int) -> None:
    clock.setenv("DETEKTOR_NOW", f"2026-06-01T{batch:02}:00:00Z")


def table(settings: Settings, statement: str) -> list[tuple[Any, ...]]:
    with connect(settings) as connection:
        return connection.execute(statement).fetchall()


def everything(settings: Settings) -> dict[str, list[tuple[Any, ...]]]:
    """Return all that is stored, but for numbers that the server gives, and leave nothing of it."""
    found = {
        "events": table(settings, "SELECT to_jsonb(e) - 'xid' FROM ml_learning.agent_events e ORDER BY event_id, revision"),
        "identities": table(settings, "SELECT * FROM ml_learning.event_ids ORDER BY event_id"),
        "rejections": table(settings, "SELECT to_jsonb(r) - 'id' FROM ml_learning.rejected_events r ORDER BY fingerprint"),
        "origin": table(settings, "SELECT simulated, mixed FROM ml_learning.log_origin"),
    }
    with connect(settings) as connection:
        names = ", ".join(f"ml_learning.{name}" for name in ("agent_events", "event_ids", "rejected_events", "log_origin"))
        connection.execute(f"TRUNCATE {names}")
    return found


@hypothesis_settings(max_examples=examples(8), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_batches=batches)
def test_both_transports_leave_one_log_and_say_the_same(
    module_database: Settings, monkeypatch: pytest.MonkeyPatch, given_batches: list[Batch]
) -> None:
    in_bulk = said_by_bulk(module_database, given_batches, monkeypatch)
    stored_in_bulk = everything(module_database)
    live = said_live(module_database, given_batches, monkeypatch)

    assert everything(module_database) == stored_in_bulk
    assert +live == +in_bulk


def test_what_is_read_differently_is_said_live_and_changes_nothing(database: Settings) -> None:
    append(database, [replace(REVIEW, project="old")])
    with psycopg.connect(database.postgres_dsn, autocommit=True) as connection:
        (outcome,) = LiveLog(connection).append([REVIEW])

    assert (outcome.status, outcome.judgement) == ("reread", "reread")
    assert outcome.reason == "stored before and read differently now (project): `detektor reingest` writes it"
    assert table(database, "SELECT project, revision FROM ml_learning.agent_events") == [("old", 1)]


@pytest.mark.parametrize("live", [True, False], ids=["live", "in bulk"])
def test_what_is_heard_of_a_stored_event_adds_nothing(database: Settings, *, live: bool) -> None:
    """Neither what it has beyond it, nor what it says otherwise; of an event that nobody knows it is the first word."""
    append(database, [replace(REVIEW, event_id="stored", categories={})])
    heard = [
        replace(REVIEW, event_id="stored", reader_revision=LIVE_REVISION),
        replace(REVIEW, event_id="stored", reader_revision=LIVE_REVISION, measures={"issues_found": 9}, project="elsewhere"),
        replace(REVIEW, event_id="new", reader_revision=LIVE_REVISION),
        replace(REVIEW, event_id="new", reader_revision=LIVE_REVISION, occurred_at=MARCH + 1),
    ]
    if live:
        with psycopg.connect(database.postgres_dsn, autocommit=True) as connection:
            assert [each.judgement for each in LiveLog(connection).append(heard)] == ["heard", "heard", None, "heard"]
    else:
        assert append(database, heard) == IngestCounts(added=1, also_seen=3)

    stored = "SELECT event_id, revision, issues_found, verdict, project FROM ml_learning.agent_events ORDER BY 1"
    assert table(database, stored) == [("new", 1, 3, "rejected", "cli"), ("stored", 1, 3, None, "cli")]
    assert table(database, "SELECT count(*) FROM ml_learning.rejected_events") == [(0,)]
