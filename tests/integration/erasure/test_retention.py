"""What is old goes; what was computed of it stays as it was published, and nobody computes it again of what is left."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from detektor_pipelines.catalog import view_named
from detektor_pipelines.cli import build_app
from detektor_pipelines.clock import parse_instant
from detektor_pipelines.engine.as_of import read_values
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.erasure import retention
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.records import AgentEvent, Rejection
from detektor_pipelines.stores.connections import connect, connect_arrow
from detektor_pipelines.stores.offline.rows import published_days, row_table
from detektor_pipelines.stores.offline.staleness import days_to_materialize, stale_days, view_state
from detektor_pipelines.stores.offline.upkeep import unclosed_days
from detektor_pipelines.stores.raw_log.bulk import IngestCounts, append

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

VIEW = view_named("code_review_features")
MARCH = [date(2026, 3, day) for day in (5, 6, 7)]
MAY = [date(2026, 5, day) for day in (17, 18, 19)]


def review(event_id: str, at: str) -> AgentEvent:
    instant = parse_instant(at)
    measures = {"issues_found": 3}
    return AgentEvent(
        event_id,
        "code-reviewer",
        "reviewer",
        "review",
        instant,
        "test",
        "cli",
        known_at=instant,
        measures=measures,
        categories={"verdict": "approved"},
    )


@pytest.fixture
def may(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A log of two days in March and two in May, both published; the clock stands in May, and the log keeps forty days."""
    monkeypatch.setenv("DETEKTOR_NOW", "2026-05-20T12:00:00Z")
    rejections = [Rejection("x.jsonl", 1, "not JSON")]
    append(
        database,
        [review("m1", "2026-03-05T10:00:00Z"), review("m2", "2026-03-06T10:00:00Z"), review("n1", "2026-05-17T10:00:00Z")],
        rejections,
    )
    materialize(database, VIEW, MARCH)
    materialize(database, VIEW, MAY)
    retention.keep(database, [VIEW], {"agent_events": 40})
    return database


def state(settings: Settings) -> dict[date, tuple[int, str]]:
    with connect_arrow(settings) as connection:
        return {day.day: (day.rows, day.hash) for day in published_days(connection, VIEW)}


def one(settings: Settings, statement: str) -> Any:
    with connect(settings) as connection:
        row = connection.execute(statement).fetchone()
    assert row is not None
    return row[0]


def test_old_events_go_and_the_rows_that_were_computed_of_them_stay(may: Settings) -> None:
    before = state(may)
    looked = {each.name: each.rows for each in retention.apply(may, dry_run=True)}
    assert (looked["agent_events"], one(may, "SELECT count(*) FROM ml_learning.agent_events")) == (2, 3)

    done = {each.name: each.rows for each in retention.apply(may)}

    assert done == looked
    assert one(may, "SELECT array_agg(event_id) FROM ml_learning.agent_events") == ["n1"]
    assert one(may, "SELECT array_agg(event_id) FROM ml_learning.event_ids") == ["n1"]
    assert one(may, "SELECT count(*) FROM ml_learning.rejected_events") == 1
    assert state(may) == before
    assert {each.name: each.rows for each in retention.apply(may)}["agent_events"] == 0


def test_a_dry_run_sets_nothing_either(may: Settings) -> None:
    """The nightly job would remove by what was only to be looked at."""

    def asked(*words: str) -> dict[str, tuple[int | None, int]]:
        done = CliRunner().invoke(build_app(["erase"]), ["retention", *words, "--json"], catch_exceptions=False)
        return {each["name"]: (each["days"], each["rows"]) for each in json.loads(done.stdout)["tables"]}

    assert asked("--set", "agent_events=60", "--dry-run")["agent_events"] == (60, 2)
    assert asked("--set", "agent_events=forever", "--dry-run")["agent_events"] == (None, 0)
    assert asked()["agent_events"] == (40, 2)
    assert asked("--set", "agent_events=60")["agent_events"] == (60, 2)
    with pytest.raises(UserError, match="cannot keep 1 days"):
        asked("--set", "agent_events=1", "--dry-run")


@pytest.mark.parametrize("days", ["0", "-1", "²", "x", "", "99999999999999", "1.5"])
def test_what_is_no_number_of_days_is_said(days: str) -> None:
    with pytest.raises(UserError, match="sets no retention"):
        CliRunner().invoke(build_app(["erase"]), ["retention", "--set", f"agent_events={days}"], catch_exceptions=False)


def test_days_of_which_events_went_are_neither_stale_nor_missing_nor_computed_again(may: Settings) -> None:
    before = state(may)
    retention.apply(may)
    append(may, [review("late", "2026-03-05T12:00:00Z")])
    with connect(may) as connection:
        assert stale_days(connection, VIEW) == []
        assert days_to_materialize(connection, VIEW, MARCH) == []
        found = view_state(connection, VIEW, MARCH[0], MAY[-1])
        first = date(2026, 4, 10)  # 40 days back, where the log begins
        assert min(found.missing) > first
        assert min(unclosed_days(connection, VIEW, MARCH[0], MAY[-1])) == min(found.missing)
    made = materialize(may, VIEW, [*MARCH, *MAY])
    assert [day.status == "kept" for day in made.days] == [True] * 3 + [False] * 3
    assert [day.written for day in made.days] == [0] * 6
    assert state(may) == before
    with pytest.raises(UserError, match="no longer holds all events"):
        materialize(may, VIEW, [date(2026, 4, 20)])
    with connect_arrow(may) as connection:
        assert read_values(connection, VIEW, parse_instant("2026-05-18T00:00:00Z"))["code-reviewer"]
        with pytest.raises(UserError, match="before 2026-04-10T00:00:00Z went by retention"):
            read_values(connection, VIEW, parse_instant("2026-04-11T00:00:00Z"))


def test_of_old_rows_the_newest_of_each_agent_id_stays(may: Settings) -> None:
    retention.keep(may, [VIEW], {"agent_events": None, "features": 10})
    newest = f"SELECT array_agg(DISTINCT agent_id ORDER BY agent_id) FROM feast.\"{row_table(VIEW)}\" WHERE event_timestamp < '2026-05-10'"
    rows = one(may, f"SELECT count(*) FROM feast.\"{row_table(VIEW)}\" WHERE event_timestamp < '2026-05-10'")

    done = {each.name: each.rows for each in retention.apply(may)}

    assert 0 < done["features"] == rows - 2
    assert one(may, newest) == ["code-reviewer", "code-reviewer@cli"]
    assert sorted(state(may)) == MAY
    with connect(may) as connection:
        assert min(view_state(connection, VIEW, MARCH[0], MAY[-1]).missing) == date(2026, 5, 10)


def test_the_log_keeps_what_features_of_now_are_computed_of(may: Settings) -> None:
    fewest = retention.fewest_days([VIEW])["agent_events"]
    with pytest.raises(UserError, match=f"cannot keep {fewest - 1} days") as caught:
        retention.keep(may, [VIEW], {"agent_events": fewest - 1})
    assert caught.value.fix == f"Keep {fewest}."
    with pytest.raises(UserError, match="no retention of events"):
        retention.keep(may, [VIEW], {"events": 400})
    assert append(may, [review("new", "2026-05-20T10:00:00Z")]) == IngestCounts(added=1)
