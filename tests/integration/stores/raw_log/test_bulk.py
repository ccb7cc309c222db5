from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.examples import examples

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.records import AgentEvent, Rejection
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.raw_log import state as log_state
from detektor_pipelines.stores.raw_log.bulk import EventWriter, IngestCounts, append, append_table
from detektor_pipelines.stores.raw_log.table import table_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.settings import Settings

DAY_US = 86_400_000_000
MARCH = parse_instant("2026-03-05T10:00:00Z")


def review(event_id: str = "r1", **changes: Any) -> AgentEvent:
    event = AgentEvent(
        event_id=event_id,
        agent_type="code-reviewer",
        raw_name="reviewer",
        operation="review",
        occurred_at=MARCH,
        known_at=MARCH,
        source="test",
        project="cli",
        session_id="s1",
        task_id="t1",
        measures={"issues_found": 3, "duration_ms": 60_000},
        categories={"verdict": "rejected"},
        attributes={"evidence": "REQUEST CHANGES"},
    )
    return replace(event, **changes)


def rows(settings: Settings, columns: str = "*", where: str = "true") -> list[tuple[Any, ...]]:
    with connect(settings) as connection:
        return connection.execute(f"SELECT {columns} FROM ml_learning.agent_events WHERE {where} ORDER BY event_id, revision").fetchall()


def count(settings: Settings, table: str) -> int:
    with connect(settings) as connection:
        row = connection.execute(f"SELECT count(*) FROM ml_learning.{table}").fetchone()
    assert row is not None
    return int(row[0])


def test_an_event_comes_back_as_it_was_given(database: Settings) -> None:
    assert append(database, [review()]) == IngestCounts(added=1)
    columns = (
        "agent_type, raw_name, project, task_id, operation, issues_found, issues_minor, verdict, outcome, attributes, revision, retracted"
    )
    assert rows(database, columns) == [
        ("code-reviewer", "reviewer", "cli", "t1", "review", 3, None, "rejected", None, {"evidence": "REQUEST CHANGES"}, 1, False)
    ]
    assert rows(database, "occurred_at = known_at, ingested_at > known_at, xid IS NOT NULL") == [(True, True, True)]


def test_signs_that_mean_something_to_copy_come_back_as_they_were(database: Settings) -> None:
    odd = "a\\b\tc\nd\re \\N \\."
    append(database, [review(odd, raw_name=odd, source=odd, session_id="\\N", attributes={"evidence": odd})])
    assert rows(database, "event_id, raw_name, source, session_id, attributes") == [(odd, odd, odd, "\\N", {"evidence": odd})]
    assert append(database, [review(odd, raw_name=odd, source=odd, session_id="\\N", attributes={"evidence": odd})]).known == 1


def test_a_live_event_is_known_when_it_is_stored(database: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-05T10:00:09Z")
    append(database, [review(known_at=None)])
    assert rows(database, "extract(epoch FROM known_at - occurred_at)::int, known_at = ingested_at") == [(9, True)]


def test_the_same_data_again_add_nothing(database: Settings) -> None:
    events = [review(f"r{number}", occurred_at=MARCH + number * DAY_US) for number in range(90)]
    assert append(database, events).added == 90
    assert append(database, events) == IngestCounts(known=90)
    assert count(database, "agent_events") == count(database, "event_ids") == 90


def test_an_event_twice_in_one_chunk_is_stored_once(database: Settings) -> None:
    assert append(database, [review(), review("r2"), review(), review()]) == IngestCounts(added=2, known=2)


def test_a_writer_that_met_known_events_goes_on_with_new_ones(database: Settings) -> None:
    append(database, [review("r1")])
    with EventWriter(database) as writer:
        chunks = (["r0"], ["r2", "r1"], ["r3"], ["r4"], ["r4", "r5"])
        counts = [writer.write([review(name) for name in chunk]) for chunk in chunks]
    assert [(each.added, each.known) for each in counts] == [(1, 0), (1, 1), (1, 0), (1, 0), (1, 1)]
    assert count(database, "agent_events") == count(database, "event_ids") == 6


def test_known_at_source_and_reader_do_not_make_another_body(database: Settings) -> None:
    append(database, [review()])
    assert append(database, [review(known_at=None, source="elsewhere", reader_revision=1)]) == IngestCounts(known=1)


CUT = review(measures={"duration_ms": 60_000}, categories={}, attributes={"evidence": "REQ"})


@pytest.mark.parametrize("order", [(CUT, review()), (review(), CUT)], ids=["cut first", "whole first"])
@pytest.mark.parametrize("together", [True, False], ids=["one run", "two runs"])
def test_of_a_cut_record_and_a_whole_one_the_whole_one_counts(database: Settings, order: Sequence[AgentEvent], *, together: bool) -> None:
    runs = [order] if together else [[event] for event in order]
    counts = sum((append(database, run) for run in runs), IngestCounts())
    assert counts == IngestCounts(added=1, also_seen=1)
    newest = rows(database, "issues_found, verdict")[-1]
    assert newest == (3, "rejected")
    for event in order:  # and again: nothing moves any more
        assert append(database, [event]).added == 0
    assert rows(database, "issues_found, verdict")[-1] == newest
    assert len(rows(database)) <= 2


def test_two_values_of_one_measure_are_a_conflict_and_nothing_is_lost(database: Settings) -> None:
    append(database, [review()])
    other = review(measures={"issues_found": 4, "duration_ms": 60_000})
    assert append(database, [other]) == IngestCounts(conflicts=1, rejected=1)
    assert append(database, [other]) == IngestCounts(conflicts=1, rejected_known=1)
    assert rows(database, "issues_found") == [(3,)]
    with connect(database) as connection:
        kept = connection.execute("SELECT reason, event_id, excerpt::json ->> 'issues_found' FROM ml_learning.rejected_events").fetchall()
    assert kept == [("duplicate event_id with another body: issues_found 3 is stored, 4 here", "r1", "4")]


def test_records_of_which_each_says_more_are_a_conflict(database: Settings) -> None:
    append(database, [review(categories={})])
    counts = append(database, [review(measures={"duration_ms": 60_000})])
    assert counts == IngestCounts(conflicts=1, rejected=1)


def test_an_event_read_under_another_name_or_project_waits_for_reingest(database: Settings) -> None:
    append(database, [review(agent_type="unmapped", project=None)])
    assert append(database, [review()]) == IngestCounts(reread=1)
    assert rows(database, "agent_type") == [("unmapped",)]


def test_rejections_are_kept_once_however_often_they_are_read(database: Settings) -> None:
    torn = [Rejection("a.jsonl", line, "invalid JSON", '{"a":\x00\udc80') for line in range(1, 4)]
    assert append(database, [], torn) == IngestCounts(rejected=3)
    assert append(database, [review()], [*torn, Rejection("a.jsonl", None, "ends early")]) == IngestCounts(
        added=1, rejected=1, rejected_known=3
    )
    assert [(row.reason, row.rejections) for row in log_state.recent_rejections(database)] == [("invalid JSON", 3), ("ends early", 1)]


def test_simulated_beside_real_is_refused_unless_asked_for(database: Settings) -> None:
    append(database, [review()])
    simulated = review("sim", simulated=True)
    with pytest.raises(UserError, match="holds real events and these are simulated"):
        append(database, [simulated])
    assert len(rows(database)) == 1
    assert append(database, [simulated], mix=True) == IngestCounts(added=1)
    assert append(database, [review("r2")]) == IngestCounts(added=1)


def test_a_refused_first_chunk_leaves_no_claim(database: Settings) -> None:
    with pytest.raises(UserError):
        append(database, [review(), review("sim", simulated=True)])
    assert count(database, "log_origin") == 0
    assert append(database, [review("sim", simulated=True)]).added == 1


def test_each_month_gets_its_partition(database: Settings) -> None:
    edges = ["2025-12-31T23:59:59.999999Z", "2026-01-01T00:00:00Z", "2026-11-30T00:00:00Z", "2026-12-31T23:59:59Z"]
    append(database, [review(f"r{number}", occurred_at=parse_instant(text)) for number, text in enumerate(edges)])
    assert rows(database, "tableoid::regclass::text") == [
        ("ml_learning.agent_events_y2025m12",),
        ("ml_learning.agent_events_y2026m01",),
        ("ml_learning.agent_events_y2026m11",),
        ("ml_learning.agent_events_y2026m12",),
    ]


def test_four_writers_of_overlapping_events_store_each_once(database: Settings) -> None:
    events = [review(f"r{number}", occurred_at=MARCH + number * DAY_US) for number in range(300)]
    shares = [events[:200], events[100:], events[::-1], events[::2]]
    with ThreadPoolExecutor(4) as pool:
        counts = sum(pool.map(lambda share: append(database, share), shares), IngestCounts())
    assert counts == IngestCounts(added=300, known=850 - 300)
    assert count(database, "agent_events") == count(database, "event_ids") == 300


def test_four_writers_of_a_cut_and_a_whole_record_end_with_the_whole_one(database: Settings) -> None:
    wholes = [review(f"r{number}") for number in range(100)]
    cuts = [replace(CUT, event_id=event.event_id) for event in wholes]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda share: append(database, share), [cuts, wholes[::-1], cuts[::-1], wholes]))
    newest = "(event_id, revision) IN (SELECT event_id, revision FROM ml_learning.event_ids)"
    assert set(rows(database, "issues_found", newest)) == {(3,)}
    assert len(rows(database)) <= 200


identifiers = st.sampled_from(["a", "b", "c", "d"])
bodies = st.sampled_from([review(), CUT, review(project="other"), review(measures={"issues_found": 9})])
histories = st.lists(st.lists(st.builds(lambda name, body: replace(body, event_id=name), identifiers, bodies), max_size=6), max_size=4)


@hypothesis_settings(max_examples=examples(10), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=histories)
def test_whatever_was_ingested_ingesting_it_again_changes_nothing(module_database: Settings, batches: list[list[AgentEvent]]) -> None:
    with connect(module_database) as connection:
        connection.execute("TRUNCATE ml_learning.agent_events, ml_learning.event_ids, ml_learning.rejected_events")
    with EventWriter(module_database) as writer:
        first = sum((writer.write(batch) for batch in batches), IngestCounts())
        before = rows(module_database), count(module_database, "rejected_events")
        again = sum((writer.write(batch) for batch in batches), IngestCounts())
    assert (rows(module_database), count(module_database, "rejected_events")) == before
    assert again.added == again.rejected == 0
    records = sum(map(len, batches))
    for counts in (first, again):
        assert counts.added + counts.known + counts.also_seen + counts.reread + counts.conflicts == records


def test_a_table_is_stored_as_events_are(database: Settings) -> None:
    events = [review(f"r{number}", occurred_at=MARCH + number * DAY_US) for number in range(10)]
    assert append_table(database, table_of(events)) == IngestCounts(added=10)
    assert append(database, events) == IngestCounts(known=10)


def test_a_table_may_leave_out_what_has_a_default(database: Settings) -> None:
    columns = {"event_id": ["x"], "agent_type": ["pisarz"], "raw_name": ["pisarz"], "operation": ["research"], "source": ["simulate"]}
    table = pa.table({**columns, "occurred_at": pa.array([MARCH], pa.timestamp("us", "UTC")), "simulated": [True], "sources_found": [7]})
    assert append_table(database, table) == IngestCounts(added=1)
    assert rows(database, "revision, derived, simulated, sources_found, attributes, known_at = ingested_at") == [
        (1, False, True, 7, None, True)
    ]
    with pytest.raises(ValueError, match=r"unknown columns \['colour'\], absent or null ones \['source'\]"):
        append_table(database, table.drop(["source"]).append_column("colour", pa.array(["red"])))


def test_reingest_replaces_what_is_read_differently_now(database: Settings) -> None:
    append(database, [review(), review("kept")])
    better = review(reader_revision=2, measures={"issues_found": 5, "duration_ms": 60_000})
    assert append(database, [better]) == IngestCounts(reread=1)
    with EventWriter(database, reingest=True) as writer:
        assert writer.write([better, replace(review("kept"), reader_revision=2)]) == IngestCounts(repaired=1, known=1)
        assert writer.write([better]) == IngestCounts(known=1)
    assert rows(database, "revision, issues_found, reader_revision", "event_id = 'r1'") == [(1, 3, 1), (2, 5, 2)]


def test_reingest_tells_the_old_key_when_an_event_leaves_it(database: Settings) -> None:
    append(database, [review(agent_type="unmapped", project="old")])
    moved = review(occurred_at=MARCH + 40 * DAY_US, known_at=MARCH + 40 * DAY_US, reader_revision=2)
    with EventWriter(database, reingest=True) as writer:
        assert writer.write([moved]) == IngestCounts(repaired=1)
    assert rows(database, "revision, retracted, agent_type, project, occurred_at = known_at, to_char(occurred_at, 'MM')") == [
        (1, False, "unmapped", "old", True, "03"),
        (2, True, "unmapped", "old", True, "03"),
        (3, False, "code-reviewer", "cli", True, "04"),
    ]
    counted = [(row.agent_type, row.events) for row in log_state.event_counts(database)]
    assert counted == [("code-reviewer", 1)]


def test_what_a_better_reader_says_of_a_live_event_is_known_from_then_on(database: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-05T12:00:00Z")
    append(database, [review(known_at=None, agent_type="unmapped")])
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-09T12:00:00Z")
    with EventWriter(database, reingest=True) as writer:
        writer.write([review()])
    assert rows(database, "to_char(known_at, 'DD HH24'), retracted") == [("05 12", False), ("09 12", True), ("09 12", False)]


def test_the_log_says_how_much_it_holds_and_from_when(database: Settings) -> None:
    assert (log_state.oldest_event_day(database), log_state.newest_event_us(database), log_state.event_counts(database)) == (None, None, [])
    append(database, [review(), review("r2", agent_type="unmapped", occurred_at=MARCH - DAY_US), review("r3", occurred_at=MARCH + 5)])
    assert str(log_state.oldest_event_day(database)) == "2026-03-05"  # an unmapped event is in no feature
    assert log_state.newest_event_us(database) == MARCH + 5
    assert [(row.agent_type, row.operation, row.events) for row in log_state.event_counts(database)] == [
        ("code-reviewer", "review", 2),
        ("unmapped", "review", 1),
    ]


def test_midnight_belongs_to_the_day_that_ends_there(database: Settings) -> None:
    append(database, [review(occurred_at=MARCH // DAY_US * DAY_US)])
    assert str(log_state.oldest_event_day(database)) == "2026-03-04"


def test_a_full_disk_is_named(database: Settings) -> None:
    with connect(database) as connection:
        connection.execute("""
            CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE disk_full; END $$;
            CREATE TRIGGER full_disk BEFORE INSERT ON ml_learning.event_ids FOR EACH ROW EXECUTE FUNCTION full_disk()
        """)
    with pytest.raises(UserError, match="disk of the PostgreSQL server is full"):
        append(database, [review()])
    assert rows(database) == []
