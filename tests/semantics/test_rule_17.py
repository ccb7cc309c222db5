"""Rule 17: publishing is one transaction under a lock a view; it adds rows that differ and deletes none, and records its snapshot."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.log_rows import insert
from support.rule_log import days_of, published, run, stale, stored
from support.rule_views import happened, view_of

from detektor_pipelines.engine import materialize as engine
from detektor_pipelines.errors import UserError
from detektor_pipelines.language import count, data_hash, days, event, last
from detektor_pipelines.stores.connections import connect, connect_arrow
from detektor_pipelines.stores.offline import rows as offline

if TYPE_CHECKING:
    from datetime import datetime

    from detektor_pipelines.settings import Settings

VIEW = view_of(number=(count(), days(1)), latest=(last(event.issues_found), days(1)))
LATE = happened("2026-03-05 10:00", event_id="late", known="2026-03-05 15:30", project="p", issues_found=7)
EVENTS = [
    happened("2026-03-05 09:00", event_id="1", project="p", issues_found=1),
    happened("2026-03-05 12:00", event_id="2", project="p", issues_found=2),
    happened("2026-03-05 12:00", event_id="3", project="q", issues_found=3),
]


def test_17_rows_and_state_appear_together_or_not_at_all(log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(log, EVENTS)
    with monkeypatch.context() as patched:
        patched.setattr(offline, "_record", broken)
        with pytest.raises(RuntimeError, match="broken"):
            run(log, VIEW, "2026-03-05")

    assert stored(log, VIEW) == []
    assert published(log, VIEW) == {}


def broken(*_: object) -> None:
    message = "broken"
    raise RuntimeError(message)


def test_17_a_second_publication_waits_for_the_views_lock(log: Settings) -> None:
    insert(log, EVENTS)
    run(log, VIEW, "2026-03-01")  # so that the tables are there
    waiting = threading.Thread(target=run, args=(log, VIEW, "2026-03-05"))
    with connect(log) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(%s)", (offline.publication_lock(VIEW),))
        waiting.start()
        first = wait_for_a_waiting_lock(log)
        wait_for_a_waiting_lock(log, other_than=first)  # it gave up for a moment, in which it could have been cancelled
        assert stored(log, VIEW) == []
        holder.commit()
        waiting.join(60)

    assert len(stored(log, VIEW)) == 5
    assert offline.publication_lock(VIEW) != offline.publication_lock(replace(VIEW, name="other_features"))


WAITING = """
SELECT waitstart FROM pg_locks WHERE locktype = 'advisory' AND waitstart IS NOT NULL
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def wait_for_a_waiting_lock(settings: Settings, other_than: datetime | None = None) -> datetime:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with connect(settings) as connection:
            found = connection.execute(WAITING).fetchone()
        if found and found[0] != other_than:
            return found[0]
        time.sleep(0.02)
    pytest.fail("no publication waits")


def test_17_a_second_run_adds_nothing(log: Settings) -> None:
    insert(log, EVENTS)
    first = run(log, VIEW, "2026-03-05", "2026-03-06")
    rows = stored(log, VIEW)
    again = run(log, VIEW, "2026-03-05", "2026-03-06")

    assert sum(day.written for day in first.days) == len(rows)
    assert sum(day.written for day in again.days) == 0
    assert stored(log, VIEW) == rows


def test_17_only_rows_that_differ_are_added_and_none_is_deleted(log: Settings) -> None:
    insert(log, EVENTS)
    run(log, VIEW, "2026-03-05", "2026-03-06")
    before = stored(log, VIEW)
    insert(log, [LATE])
    run(log, VIEW, "2026-03-05", "2026-03-06")
    after = stored(log, VIEW)

    assert [row for row in after if row in before] == before
    added = [row for row in after if row not in before]
    assert [(row["agent_id"], row["at"], row["known"], row["number"], row["latest"]) for row in added] == [
        ("code-reviewer", "03-05 10:00", "03-05 10:00", 1, 1),  # a new instant: as served, without it
        ("code-reviewer", "03-05 10:00", "03-05 15:30", 2, 7),
        ("code-reviewer", "03-05 12:00", "03-05 15:30", 4, 3),
        ("code-reviewer", "03-05 16:00", "03-05 16:00", 4, 3),
        ("code-reviewer", "03-06 09:00", "03-06 09:00", 3, 3),  # written before without it: the later writing counts
        ("code-reviewer", "03-06 10:00", "03-06 10:00", 2, 3),
        ("code-reviewer@p", "03-05 10:00", "03-05 10:00", 1, 1),
        ("code-reviewer@p", "03-05 10:00", "03-05 15:30", 2, 7),
        ("code-reviewer@p", "03-05 12:00", "03-05 15:30", 3, 2),
        ("code-reviewer@p", "03-05 16:00", "03-05 16:00", 3, 2),
        ("code-reviewer@p", "03-06 09:00", "03-06 09:00", 2, 2),
        ("code-reviewer@p", "03-06 10:00", "03-06 10:00", 1, 2),
    ]


def test_17_the_recorded_snapshot_is_the_one_that_was_read_under(log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event committed while a run computes is neither in its rows nor in its snapshot."""
    insert(log, EVENTS)
    calculate = engine.compute_days

    def meanwhile(*arguments: Any, **more: Any) -> Any:
        insert(log, [happened("2026-03-05 13:00", event_id="meanwhile", project="p")])
        return calculate(*arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(engine, "compute_days", meanwhile)
        done = run(log, VIEW, "2026-03-05")

    state = published(log, VIEW)["2026-03-05"]
    assert (state.snapshot, state.rows, state.hash) == (done.snapshot, done.days[0].rows, done.days[0].hash)
    assert "03-05 13:00" not in {row["at"] for row in stored(log, VIEW)}
    assert stale(log, VIEW) == ["2026-03-05"]


def test_17_the_run_reads_under_one_snapshot(log: Settings) -> None:
    """REPEATABLE READ: the snapshot that is recorded is the one of every statement that follows."""
    from detektor_pipelines.compile.plan import plan
    from detektor_pipelines.stores.raw_log.reader import begin_snapshot, read_events

    insert(log, EVENTS[:1])
    with connect_arrow(log) as connection:
        begin_snapshot(connection)
        insert(log, EVENTS[1:])
        read = read_events(connection, VIEW.agent, plan(VIEW).columns, 0, 2**52)
        connection.rollback()

    assert read["event_id"].to_pylist() == ["1"]


def test_17_state_is_kept_by_view_version_and_partition_with_its_snapshot(log: Settings) -> None:
    insert(log, EVENTS)
    done = run(log, VIEW, "2026-03-05", "2026-03-06")
    with connect(log) as connection:
        rows = connection.execute(
            "SELECT view, data_hash, partition, snapshot::text FROM ml_learning.partition_state ORDER BY partition"
        ).fetchall()

    assert rows == [(VIEW.name, data_hash(VIEW), day, done.snapshot) for day in days_of("2026-03-05", "2026-03-06")]


def test_17_older_knowledge_does_not_replace_newer(log: Settings) -> None:
    insert(log, EVENTS)
    done = run(log, VIEW, "2026-03-05", "2026-03-06")
    insert(log, [LATE])
    run(log, VIEW, "2026-03-06")
    before = stored(log, VIEW), published(log, VIEW)
    table = engine.compute_days(VIEW, _no_events(), days_of("2026-03-05", "2026-03-06"), cutoff=None)
    with (
        connect_arrow(log) as connection,
        pytest.raises(UserError, match="2026-03-06 was published from newer knowledge than this run has"),
    ):
        offline.publish(connection, VIEW, days_of("2026-03-05", "2026-03-06"), table, done.snapshot)

    assert (stored(log, VIEW), published(log, VIEW)) == before


def _no_events() -> Any:
    from detektor_pipelines.engine.compute import event_schema

    return event_schema(VIEW).empty_table()


@pytest.mark.parametrize(
    ("stored_one", "ours", "newer"),
    [
        ("10:10:", "10:10:", False),
        ("10:12:", "10:11:", True),
        ("10:11:", "10:12:", False),
        ("11:12:", "10:12:10", True),  # the transaction that we see under way has ended there
        ("10:12:10", "11:12:", False),
        ("10:12:10", "10:12:10,11", True),
        ("10:12:10,11", "10:12:10", False),
    ],
)
def test_17_of_two_snapshots_the_newer_sees_what_the_other_does_not(stored_one: str, ours: str, newer: bool) -> None:  # noqa: FBT001
    assert offline._is_newer(stored_one, ours) is newer


def test_17_the_hash_is_over_the_newest_versions_so_a_repair_hashes_as_a_rebuild(log: Settings) -> None:
    insert(log, EVENTS)
    first = run(log, VIEW, "2026-03-05", "2026-03-06")
    insert(log, [LATE])
    repaired = run(log, VIEW, "2026-03-05", "2026-03-06")
    with connect(log) as connection:
        connection.execute(f'TRUNCATE feast."{offline.row_table(VIEW)}", ml_learning.partition_state')
    rebuilt = run(log, VIEW, "2026-03-05", "2026-03-06")

    assert [day.hash for day in repaired.days] == [day.hash for day in rebuilt.days]
    assert [day.rows for day in repaired.days] == [day.rows for day in rebuilt.days]
    assert all(one.hash != other.hash for one, other in zip(first.days, repaired.days, strict=True))


def test_17_the_hash_is_no_function_of_the_clock(log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(log, [*EVENTS, LATE])
    hashes = set()
    for now in ("2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z"):
        monkeypatch.setenv("DETEKTOR_NOW", now)
        with connect(log) as connection:
            connection.execute("TRUNCATE ml_learning.partition_state")
        hashes.add(tuple(day.hash for day in run(log, VIEW, "2026-03-05", "2026-03-06").days))

    assert len(hashes) == 1


def test_17_point_in_time_reads_of_a_repair_give_what_was_served_then(log: Settings) -> None:
    insert(log, EVENTS)
    run(log, VIEW, "2026-03-05", "2026-03-06")
    served = {(row["agent_id"], row["at"]): row for row in stored(log, VIEW)}
    insert(log, [LATE])
    run(log, VIEW, "2026-03-05", "2026-03-06")
    for (agent_id, at), row in served.items():
        known = [each for each in stored(log, VIEW) if (each["agent_id"], each["at"]) == (agent_id, at) and each["known"] <= at]
        assert known[-1] == row or at >= "03-05 16:00"
