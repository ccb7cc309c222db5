"""Rule 4: an event keeps its raw name and its reader's revision; `reingest` appends a higher revision, and values use the highest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.log_rows import insert, partition_log
from support.rule_log import run, stale, stored
from support.rule_views import happened, view_of

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.language import count, days, event, total
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.raw_log.bulk import EventWriter, append

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

AT = parse_instant("2026-03-05 10:00")
READ = AgentEvent("e", "code-reviewer", "Mr Reviewer", "review", AT, "a.jsonl", project="shop", known_at=AT, measures={"issues_found": 3})
BETTER = replace(READ, reader_revision=2, measures={"issues_found": 5})
VIEW = view_of(number=(count(), days(1)), issues=(total(event.issues_found), days(1)))


def reingest(settings: Settings, *events: AgentEvent) -> None:
    with EventWriter(settings, reingest=True) as writer:
        writer.write(list(events))


def newest(settings: Settings) -> dict[tuple[str, str], Any]:
    """(number, issues) of the newest version of each row."""
    return {(row["agent_id"], row["at"]): (row["number"], row["issues"]) for row in stored(settings, VIEW)}


@pytest.fixture
def read_once(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-06-01T00:00:00Z")
    append(database, [READ])
    run(database, VIEW, "2026-03-05")
    assert newest(database)["code-reviewer@shop", "03-05 10:00"] == (1, 3)
    return database


def test_04_the_name_in_the_log_and_the_readers_revision_are_kept(read_once: Settings) -> None:
    reingest(read_once, BETTER)
    with connect(read_once) as connection:
        rows = connection.execute(
            "SELECT event_id, revision, raw_name, reader_revision FROM ml_learning.agent_events ORDER BY revision"
        ).fetchall()

    assert rows == [("e", 1, "Mr Reviewer", 1), ("e", 2, "Mr Reviewer", 2)]


def test_04_values_use_the_highest_revision(read_once: Settings) -> None:
    reingest(read_once, BETTER)
    assert stale(read_once, VIEW) == ["2026-03-05"]
    run(read_once, VIEW, "2026-03-05")

    assert newest(read_once)["code-reviewer@shop", "03-05 10:00"] == (1, 5)
    assert newest(read_once)["code-reviewer", "03-05 10:00"] == (1, 5)


def test_04_a_better_mapping_moves_history_to_the_right_project(read_once: Settings) -> None:
    reingest(read_once, replace(READ, reader_revision=2, project="bank"))
    run(read_once, VIEW, "2026-03-05")

    assert newest(read_once)["code-reviewer@shop", "03-05 10:00"] == (0, 0)  # the row stays and says so
    assert newest(read_once)["code-reviewer@bank", "03-05 10:00"] == (1, 3)
    assert newest(read_once)["code-reviewer", "03-05 10:00"] == (1, 3)


def test_04_a_better_mapping_moves_history_to_the_right_agent(read_once: Settings) -> None:
    reingest(read_once, replace(READ, reader_revision=2, agent_type="debugger"))
    assert stale(read_once, VIEW) == ["2026-03-05"]
    run(read_once, VIEW, "2026-03-05")

    assert newest(read_once)["code-reviewer", "03-05 10:00"] == (0, 0)


def test_04_reading_again_without_reingest_changes_nothing(read_once: Settings) -> None:
    assert append(read_once, [BETTER]).reread == 1
    run(read_once, VIEW, "2026-03-05")

    assert newest(read_once)["code-reviewer", "03-05 10:00"] == (1, 3)


def test_04_a_retracted_event_counts_no_more(database: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A retraction is a revision like any other; without one above it the event counts nowhere, its rows stay."""
    monkeypatch.setenv("DETEKTOR_NOW", "2026-06-01T00:00:00Z")
    partition_log(database)
    insert(database, [happened("2026-03-05 10:00", event_id="kept"), happened("2026-03-05 10:00", event_id="gone", live=False)])
    run(database, VIEW, "2026-03-05")

    assert newest(database)["code-reviewer", "03-05 10:00"] == (1, 0)
