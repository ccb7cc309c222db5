"""Every committed event is read once, whatever its writers do."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

import pytest
from support.log_rows import insert, partition_log
from support.oracle import Event

from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.raw_log.tail import LogTail, Snapshot, current_snapshot, events_between, places_of

if TYPE_CHECKING:
    import psycopg

    from detektor_pipelines.settings import Settings

WRITERS, EVENTS = 8, 60
START = 20_000 * 86_400_000_000


class TailByHighestXid(LogTail):
    """The mistake: forgets who was still writing, as a cursor `id > last` does."""

    def poll(self, connection: psycopg.Connection):
        poll = super().poll(connection)
        newest = max((row[0] for row in poll.rows), default=self.snapshot.next - 1)
        self.snapshot = Snapshot(newest + 1)
        return poll


def write(settings: Settings, writer: int, stop_at: int) -> None:
    """Commit events one by one, some transactions held open while the others go on, some rolled back."""
    chance = random.Random(writer)
    with connect(settings) as connection:
        for number in range(stop_at):
            connection.execute(
                "INSERT INTO ml_learning.agent_events (event_id, revision, agent_type, raw_name, operation, occurred_at, known_at,"
                " ingested_at, derived, simulated, retracted, source, reader_revision)"
                " VALUES (%s, 1, 'code-reviewer', 'x', 'review', now(), now(), now(), false, false, false, 'test', 1)",
                (f"{writer}-{number}",),
            )
            time.sleep(chance.choice((0, 0, 0.001, 0.02)))
            if chance.random() < 0.1:
                connection.rollback()
            else:
                connection.commit()


def read_beside_writers(settings: Settings, tail_class: type[LogTail], limit: int) -> tuple[list[str], set[str]]:
    partition_log(settings)
    with connect(settings) as connection:
        connection.autocommit = True
        tail = tail_class((), current_snapshot(connection), limit)
        threads = [threading.Thread(target=write, args=(settings, number, EVENTS)) for number in range(WRITERS)]
        for thread in threads:
            thread.start()
        found: list[str] = []
        while any(thread.is_alive() for thread in threads):
            found += [row[3] for row in tail.poll(connection).rows]
        behind = True
        while behind:
            poll = tail.poll(connection)
            behind = poll.behind
            found += [row[3] for row in poll.rows]
        written = {event_id for (event_id,) in connection.execute("SELECT event_id FROM ml_learning.agent_events")}
    return found, written


@pytest.mark.parametrize("limit", [3, 2_000])
def test_nothing_is_lost_or_read_twice_beside_eight_writers(database: Settings, limit: int) -> None:
    found, written = read_beside_writers(database, LogTail, limit)
    assert sorted(found) == sorted(written)
    assert len(written) > WRITERS * EVENTS / 2


def test_a_cursor_that_forgets_who_is_still_writing_loses_events(database: Settings) -> None:
    found, written = read_beside_writers(database, TailByHighestXid, 2_000)
    assert set(found) < written


def test_a_transaction_that_commits_late_is_read_when_it_commits(database: Settings) -> None:
    partition_log(database)
    with connect(database) as reader, connect(database) as slow:
        reader.autocommit = True
        tail = LogTail((), current_snapshot(reader))
        slow.execute("SELECT pg_current_xact_id()")
        insert(database, [Event("quick", START, START)])
        assert [row[3] for row in tail.poll(reader).rows] == ["quick"]
        assert tail.poll(reader).rows == []
        slow.execute(
            "INSERT INTO ml_learning.agent_events (event_id, revision, agent_type, raw_name, operation, occurred_at, known_at, ingested_at,"
            " derived, simulated, retracted, source, reader_revision)"
            " SELECT 'slow', revision, agent_type, raw_name, operation, occurred_at, known_at, ingested_at, derived, simulated, retracted,"
            " source, reader_revision FROM ml_learning.agent_events"
        )
        assert tail.poll(reader).rows == []
        slow.commit()
        assert [row[3] for row in tail.poll(reader).rows] == ["slow"]
        assert tail.poll(reader).rows == []


def test_a_burst_is_taken_in_parts_and_each_part_has_a_snapshot_of_its_own(database: Settings) -> None:
    partition_log(database)
    with connect(database) as connection:
        connection.autocommit = True
        tail = LogTail(("issues_found",), current_snapshot(connection), limit=2)
        insert(database, [Event("a", START, START, values={"issues_found": 3}), Event("b", START, START)])
        insert(database, [Event(name, START, START) for name in "cde"])
        insert(database, [Event("f", START, START)])
        seen: list[str] = []
        while True:
            poll = tail.poll(connection)
            seen += [row[3] for row in poll.rows]
            visible = connection.execute(
                "SELECT event_id FROM ml_learning.agent_events WHERE pg_visible_in_snapshot(xid, %s::text::pg_snapshot)",
                (str(poll.snapshot),),
            ).fetchall()
            assert {event_id for (event_id,) in visible} == set(seen)
            if not poll.behind:
                break
        assert sorted(seen) == list("abcdef")


def test_the_events_of_a_span_are_those_of_the_snapshot(database: Settings) -> None:
    partition_log(database)
    insert(database, [Event("a", START + 1, START, "p"), Event("b", START, START), Event("c", START + 2, START, live=False)])
    with connect(database) as connection:
        connection.autocommit = True
        before = current_snapshot(connection)
        insert(database, [Event("d", START + 1, START)])
        read = [
            events_between(connection, "code-reviewer", ("operation",), (START, START + 2), when)
            for when in (before, current_snapshot(connection))
        ]
        assert [sorted(row[1] for row in rows) for rows in read] == [["a"], ["a", "d"]]
        assert read[0] == [("p", "a", START + 1, "review")]
        assert places_of(connection, ["a", "x"]) == [("code-reviewer", "p", START + 1)]


def test_a_revision_counts_from_the_snapshot_on_that_holds_it(database: Settings) -> None:
    partition_log(database)
    insert(database, [Event("a", START, START, "p")])
    with connect(database) as connection:
        connection.autocommit = True
        snapshots = [current_snapshot(connection)]
        for revision, project, retracted in ((2, "p", True), (3, "q", False)):
            connection.execute(
                "INSERT INTO ml_learning.agent_events (event_id, revision, agent_type, raw_name, project, operation, occurred_at, known_at,"
                " ingested_at, derived, simulated, retracted, source, reader_revision) SELECT event_id, %s, agent_type, raw_name, %s,"
                " operation, occurred_at, known_at, ingested_at, derived, simulated, %s, source, 1 FROM ml_learning.agent_events"
                " WHERE revision = 1",
                (revision, project, retracted),
            )
            snapshots.append(current_snapshot(connection))
        span = (START - 1, None)
        assert [events_between(connection, "code-reviewer", (), span, each) for each in snapshots] == [
            [("p", "a", START)],
            [],
            [("q", "a", START)],
        ]
        assert sorted(places_of(connection, ["a"])) == [("code-reviewer", "p", START), ("code-reviewer", "q", START)]


def test_a_snapshot_is_read_and_written_as_postgresql_does() -> None:
    for text in ("10:10:", "10:14:10,12"):
        assert str(Snapshot.parse(text)) == text
    assert str(Snapshot.parse("10:20:10,12,17").cut(13)) == "10:14:10,12"
    assert str(Snapshot.parse("10:20:15").cut(13)) == "14:14:"
