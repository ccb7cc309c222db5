from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from detektor_pipelines.clock import now_us, to_text, to_us
from detektor_pipelines.errors import UserError
from detektor_pipelines.ingest.live import held
from detektor_pipelines.ingest.live.writer import LiveWriter
from detektor_pipelines.language.records import AgentEvent, Rejection
from detektor_pipelines.stores.raw_log.bulk import append
from detektor_pipelines.stores.raw_log.duplicates import LIVE_REVISION
from detektor_pipelines.stores.raw_log.live import LiveLog, body_hash, row_of
from detektor_pipelines.stores.raw_log.state import event_counts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings

HOUR = 3_600_000_000
DAY = 24 * HOUR


def review(event_id: str, **changed: Any) -> AgentEvent:
    given: dict[str, Any] = {"measures": {"issues_found": 3, "duration_ms": 900}, "categories": {"verdict": "approved"}, "project": "shop"}
    at = changed.pop("occurred_at", None) or now_us() - 60_000_000
    return AgentEvent(event_id, "code-reviewer", "reviewer", "review", at, "test", **(given | changed))


def rows(settings: Settings, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(settings.postgres_dsn, options="-c timezone=UTC") as connection:
        return connection.execute(statement).fetchall()


def stored(settings: Settings) -> list[tuple[Any, ...]]:
    return rows(settings, "SELECT event_id, revision, issues_found, verdict FROM ml_learning.agent_events ORDER BY event_id, revision")


def rejected(settings: Settings) -> list[tuple[Any, ...]]:
    return rows(settings, "SELECT event_id, reason FROM ml_learning.rejected_events ORDER BY event_id, reason")


@pytest.fixture
def writer(database: Settings) -> Iterator[LiveWriter]:
    with LiveWriter(database) as opened:
        yield opened


def statuses(writer: LiveWriter, *records: AgentEvent | Rejection) -> list[str]:
    return [outcome.status for outcome in writer.write(records)]


def test_an_event_is_stored_whole(database: Settings, writer: LiveWriter) -> None:
    at = now_us() - 5 * DAY
    event = review("a", occurred_at=at, attributes={"nested": {"list": [1, "é"]}}, session_id="s", task_id="t")
    assert statuses(writer, event) == ["accepted"]
    (row,) = rows(
        database,
        "SELECT agent_type, raw_name, project, session_id, task_id, operation, occurred_at, duration_ms, attributes, simulated, retracted,"
        " known_at = ingested_at, reader_revision FROM ml_learning.agent_events",
    )
    assert to_us(row[6]) == at
    said = ("code-reviewer", "reviewer", "shop", "s", "t", "review", 900, {"nested": {"list": [1, "é"]}}, False, False, True, 1)
    assert row[:6] + row[7:] == said


def test_what_bulk_stored_is_known_live_and_the_other_way_round(database: Settings, writer: LiveWriter) -> None:
    first, second = review("a"), review("b")
    append(database, [replace(first, known_at=first.occurred_at)])
    assert statuses(writer, first, second) == ["known", "accepted"]
    counts = append(database, [first, second])
    assert (counts.added, counts.known) == (0, 2)


def test_live_events_are_known_from_when_they_are_stored(database: Settings, writer: LiveWriter) -> None:
    before = now_us()
    writer.write([review("a", known_at=now_us() - 3 * DAY, occurred_at=now_us() - 3 * DAY)])
    ((known_at,),) = rows(database, "SELECT known_at FROM ml_learning.agent_events")
    assert before <= to_us(known_at) <= now_us()


def test_a_conflict_is_kept_and_the_first_stays(database: Settings, writer: LiveWriter) -> None:
    event = review("a")
    outcomes = writer.write([event, replace(event, measures={"issues_found": 4, "duration_ms": 900}), event])
    assert [outcome.status for outcome in outcomes] == ["accepted", "rejected", "known"]
    assert "issues_found 3 is stored, 4 here" in outcomes[1].reason
    assert stored(database) == [("a", 1, 3, "approved")]
    assert [event_id for event_id, _ in rejected(database)] == ["a"]


def test_a_record_that_says_more_becomes_the_newest_revision(database: Settings, writer: LiveWriter) -> None:
    event = review("a")
    assert statuses(writer, replace(event, categories={}), event) == ["accepted", "known"]
    assert stored(database) == [("a", 1, 3, None), ("a", 2, 3, "approved")]
    assert statuses(writer, event) == ["known"]


def test_what_is_heard_again_contradicts_nothing_and_the_log_says_more(database: Settings, writer: LiveWriter) -> None:
    heard = review("a", reader_revision=LIVE_REVISION)
    assert statuses(writer, heard, replace(heard, occurred_at=heard.occurred_at + 1, measures={})) == ["accepted", "known"]
    counts = append(database, [replace(heard, occurred_at=heard.occurred_at - 7, reader_revision=1)])
    assert (counts.reread, counts.conflicts) == (1, 0)
    read = review("b")
    append(database, [read])
    assert statuses(writer, replace(read, reader_revision=LIVE_REVISION, occurred_at=read.occurred_at + 5)) == ["known"]
    assert rejected(database) == []


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (review("a", measures={"issues_found": -1}), "issues_found is below its minimum 0"),
        (review("a", measures={"tests_passed": 1}), "review has no tests_passed"),
        (review("a", occurred_at=now_us() + 8 * DAY), "occurred_at is in the future"),
        (review("a", categories={"verdict": "perhaps"}), "verdict is not one of approved, rejected"),
    ],
)
def test_bad_events_are_kept_with_their_reason(database: Settings, writer: LiveWriter, event: AgentEvent, reason: str) -> None:
    assert statuses(writer, event, review("good")) == ["rejected", "accepted"]
    assert rejected(database) == [("a", reason)]


def test_a_rejection_is_kept_once(database: Settings, writer: LiveWriter) -> None:
    torn = Rejection("spool", None, "torn", 'NUL \x00 and half a pair \ud800 {"')
    assert statuses(writer, torn) == statuses(writer, torn) == ["rejected"]
    assert rejected(database) == [(None, "torn")]


def test_an_event_that_is_taken_back_counts_no_more_and_stays_in_the_log(database: Settings, writer: LiveWriter) -> None:
    writer.write([review("a"), review("b")])
    assert writer.retract(["a", "never"]) == 1
    assert writer.retract(["a"]) == 0
    counting = "SELECT event_id FROM ml_learning.agent_events JOIN ml_learning.event_ids USING (event_id, revision) WHERE NOT retracted"
    assert rows(database, counting) == [("b",)]
    assert sum(each.events for each in event_counts(database)) == 1
    assert stored(database) == [("a", 1, 3, "approved"), ("a", 2, 3, "approved"), ("b", 1, 3, "approved")]
    assert statuses(writer, review("a", occurred_at=now_us() - 120_000_000)) == ["rejected"], "it is not a new event"


def test_simulated_events_do_not_join_real_ones(database: Settings, writer: LiveWriter) -> None:
    assert statuses(writer, review("a"), review("b", simulated=True)) == ["accepted", "rejected"]
    assert rejected(database) == [("b", "the raw log holds real events and this one is simulated")]
    with LiveWriter(database, mix=True) as mixing:
        assert statuses(mixing, review("b", simulated=True)) == ["accepted"]
    assert statuses(writer, review("c", simulated=True), review("d")) == ["accepted", "accepted"]


def test_months_appear_as_they_are_needed(database: Settings, writer: LiveWriter) -> None:
    at = [now_us() - months * 31 * DAY for months in range(8)]
    assert set(statuses(writer, *(review(f"e{instant}", occurred_at=instant) for instant in at))) == {"accepted"}
    assert len(rows(database, "SELECT 1 FROM pg_inherits WHERE inhparent = 'ml_learning.agent_events'::regclass")) >= 7


def test_eight_writers_store_each_event_once(database: Settings) -> None:
    """Each brings all events, in an order of its own, every tenth with another measure: one of them wins, the others are kept."""
    ids = [f"e{number:03}" for number in range(120)]
    at = now_us() - 40 * DAY
    together = threading.Barrier(8)

    def bring(worker: int) -> list[tuple[str | None, str]]:
        order = sorted(ids, key=lambda event_id: hash((event_id, worker)))
        found = []
        with LiveWriter(database) as live:
            together.wait()
            for start in range(0, len(order), 10):
                batch = [
                    review(each, occurred_at=at, measures={"issues_found": worker if each.endswith("0") else 3})
                    for each in order[start : start + 10]
                ]
                found += [(outcome.event_id, outcome.status) for outcome in live.write(batch)]
        return found

    with ThreadPoolExecutor(8) as pool:
        outcomes = [each for found in pool.map(bring, range(8)) for each in found]
    accepted = sorted(event_id for event_id, status in outcomes if status == "accepted")
    assert accepted == ids
    assert [row[0] for row in stored(database)] == ids
    assert sum(status == "rejected" for _, status in outcomes) == 12 * 7 == len(rejected(database))


def test_another_writers_event_of_this_moment_is_compared_too(database: Settings) -> None:
    """In an empty log neither may see the other's event at first; whoever comes second must not call a contradiction known."""
    first, second = (review("e", measures={"issues_found": number}) for number in (1, 2))
    with psycopg.connect(database.postgres_dsn, autocommit=True) as connection:
        log = LiveLog(connection)
        log.append([first])
        late = row_of(second, now_us())
        found = log._of_other_origin([late], {"e": body_hash(late)})
    assert found["e"].status == "rejected"
    assert len(rejected(database)) == 1


def test_threads_may_share_a_writer(database: Settings, writer: LiveWriter) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda number: statuses(writer, review(f"e{number}"))[0], range(64))) == {"accepted"}
    assert len(stored(database)) == 64


def test_a_lost_connection_is_opened_again(database: Settings, writer: LiveWriter) -> None:
    writer.write([review("a")])
    rows(database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'detektor live'")
    assert statuses(writer, review("a2"), review("b")) == ["accepted", "accepted"]


def test_what_only_postgres_refuses_does_not_hold_up_the_others(database: Settings, writer: LiveWriter) -> None:
    with psycopg.connect(database.postgres_dsn) as connection:
        connection.execute("ALTER TABLE ml_learning.agent_events ADD CHECK (project <> 'poison')")
    assert statuses(writer, review("a"), review("b", project="poison"), review("c")) == ["accepted", "rejected", "accepted"]
    assert [row[0] for row in stored(database)] == ["a", "c"]
    assert rejected(database) == [("b", "PostgreSQL refuses it (23514)")]


def test_a_server_that_is_away_is_said(settings: Settings) -> None:
    away = settings.model_copy(update={"postgres_port": 1})  # at the usual one a stack may run
    with LiveWriter(away) as live, pytest.raises(UserError, match="PostgreSQL does not answer"):
        live.write([review("a")])


def test_what_lies_ahead_of_the_clock_is_held_until_its_instant(
    database: Settings, writer: LiveWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by another process, once, and whatever ends one between storing and forgetting."""
    early, later = review("a", occurred_at=now_us() + HOUR), review("b", occurred_at=now_us() + 2 * HOUR)
    assert statuses(writer, early, later, review("now")) == ["held", "held", "accepted"]
    assert statuses(writer, early) == ["held"]
    assert [row[0] for row in stored(database)] == ["now"]
    with LiveWriter(database) as other:
        monkeypatch.setenv("DETEKTOR_NOW", to_text(early.occurred_at + 2_000_000))
        assert other.release() == 2
        assert statuses(writer) == []
        monkeypatch.setattr(held, "done", lambda _: None)
        monkeypatch.setenv("DETEKTOR_NOW", to_text(later.occurred_at + 2_000_000))
        assert (other.release(), other.release()) == (1, 1)
    assert [row[0] for row in stored(database)] == ["a", "b", "now"]
    assert rejected(database) == []
    ((at,),) = rows(database, "SELECT occurred_at FROM ml_learning.agent_events WHERE event_id = 'a'")
    assert to_us(at) == early.occurred_at


def test_what_cannot_be_held_stays_with_its_sender(database: Settings, writer: LiveWriter) -> None:
    database.home.mkdir(parents=True, exist_ok=True)
    (database.home / held.DIRECTORY).write_text("a file where the directory should be")
    with pytest.raises(UserError, match="cannot be kept"):
        writer.write([review("a", occurred_at=now_us() + HOUR)])
