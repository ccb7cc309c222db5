"""`detektor features` and `detektor status` over real servers, as a person calls them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from typer.testing import CliRunner

from detektor_pipelines.catalog import view_named
from detektor_pipelines.cli import build_app
from detektor_pipelines.clock import to_us
from detektor_pipelines.engine.backfill import backfill
from detektor_pipelines.engine.explain import read_row
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.stores.connections import connect, connect_arrow
from detektor_pipelines.stores.offline.staleness import stale_days
from detektor_pipelines.stores.raw_log.bulk import EventWriter, append

VIEW = view_named("code_review_features")
DAY = date(2026, 3, 5)


def review(number: int, at: datetime, **fields: object) -> AgentEvent:
    instant = to_us(at)
    measures = {name: value for name, value in fields.items() if isinstance(value, int)}
    categories = {name: value for name, value in fields.items() if isinstance(value, str)}
    return AgentEvent(
        f"e{number}",
        "code-reviewer",
        "reviewer",
        "review",
        instant,
        "test",
        project="shop",
        known_at=instant,
        measures=measures,
        categories=categories,
    )


@pytest.fixture
def history(servers, monkeypatch):
    """Two reviews of March 5, published from March 5 to 7; the clock stands at noon of March 7."""
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T12:00:00Z")
    reviews = [
        review(1, datetime(2026, 3, 5, 10, tzinfo=UTC), verdict="rejected", issues_found=3, issues_critical=1),
        review(2, datetime(2026, 3, 5, 10, 20, tzinfo=UTC), verdict="approved", issues_found=0, issues_critical=0),
    ]
    append(servers, reviews)
    list(backfill(servers, [VIEW], [date(2026, 3, day) for day in (5, 6, 7)]))
    return servers


def call(*words: str):
    return CliRunner().invoke(build_app(), [*words])


def test_get_serves_what_the_offline_row_says(history):
    online = json.loads(call("features", "get", "code-reviewer", "--json").stdout)
    values = {each["name"]: each for each in online["values"]}
    assert values["weekly_reviews_count"]["value"] == 2
    assert values["recent_reviews_count"] == {"name": "recent_reviews_count", "value": 0, "status": "PRESENT", "unit": "reviews"}
    assert values["max_review_round"]["status"] == "NULL_VALUE"
    assert online["age_seconds"] == 0


def test_get_at_computes_the_value_of_the_very_moment_from_the_log(history):
    """The rows have the full hours: at 10:10 the offline row is the one of 10:00, with one review, and at 10:20 still."""
    counts = []
    for at in ("2026-03-05T09:59:59.999999", "2026-03-05T10:00", "2026-03-05T10:19:59", "2026-03-05T10:20", "2026-03-06T10:00"):
        found = json.loads(call("features", "get", "code-reviewer", "--at", at, "--json").stdout)
        counts.append({each["name"]: each["value"] for each in found["values"]}["recent_reviews_count"])
        assert found["source"] == "log"
    assert counts == [None, 1, 1, 2, 1]
    assert "Computed from the raw log: exactly at 2026-03-05 10:20:00.000000 UTC" in call(
        "features", "get", "code-reviewer", "--at", "2026-03-05T10:20"
    ).stdout.replace("\n", " ")


def test_what_was_learnt_late_counts_in_the_value_of_a_moment_only_where_it_is_asked_for(history):
    late = review(3, datetime(2026, 3, 5, 10, 5, tzinfo=UTC), verdict="rejected")
    append(history, [replace(late, known_at=to_us(datetime(2026, 3, 6, 9, tzinfo=UTC)))])

    def count(*more: str) -> int:
        found = json.loads(call("features", "get", "code-reviewer", "--at", "2026-03-05T10:30", *more, "--json").stdout)
        return {each["name"]: each["value"] for each in found["values"]}["recent_reviews_count"]

    assert [count(), count("--known", "2026-03-06T08:59"), count("--known", "2026-03-06T09:00"), count("--known", "2026-03-05T10:10")] == [
        2,
        2,
        3,
        1,
    ]


def test_values_too_old_say_so(history, monkeypatch):
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-09T12:00:00Z")
    found = json.loads(call("features", "get", "code-reviewer", "--json").stdout)
    assert {each["status"] for each in found["values"]} == {"OUTSIDE_MAX_AGE"}


def test_unpublished_agent_is_not_found(history):
    result = call("features", "get", "code-reviewer", "--agent-id", "code-reviewer@nowhere")
    assert result.exit_code == 0
    assert "NOT_FOUND" in result.stdout
    assert "Nothing was published" in result.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("get", "nope"), "there is no feature view 'nope'"),
        (("get", "code-reviewer", "--agent-id", "debugger"), "not of debugger"),
        (("get", "code-reviewer", "--at", "yesterday"), "is not a timestamp"),
        (("get", "code-reviewer", "--at", "2026-03-05", "--url", "http://a"), "A feature server knows only the present"),
        (("get", "code-reviewer", "--known", "2026-03-05"), "The value served now was computed already"),
        (("get", "code-reviewer", "--at", "2026-03-05", "--known", "today"), "is not a timestamp"),
        (("explain", "code_review_features:rejection_rate", "--known", "2026-03-05"), "The value served now was computed already"),
        (("get", "code-reviewer", "--url", "http://127.0.0.1:99999"), "not the address of a feature server"),
        (("get", "code-reviewer", "--at", "0001-01-01T00:00:00+14:00"), "is before 1970"),
        (("get", "code-reviewer", "--at", "9999-12-31T23:59:59-14:00"), "is after the year 9999"),
        (("get", "code-reviewer", "--at", "2126-03-05"), "is still to come"),
        (("explain", "code_review_features:rejection_rate", "--at", "2126-03-05"), "is still to come"),
        (("sql", "code_review_features:rejection_rate", "--at", "0001-01-01"), "is before 1970"),
        (("explain", "code_review_features"), "names no feature"),
        (("explain", "code_review_features:nope"), "has no feature"),
        (("sql", "code_review_features:rejection_rate", "--dialect", "oracle"), "no dialect oracle"),
        (("test", "nowhere.yaml"), "no cases"),
    ],
)
def test_mistakes_are_named(words, message):
    error = call("features", *words).exception
    assert isinstance(error, UserError)
    assert message in str(error)


def test_explain_lists_the_very_events(history):
    found = json.loads(call("features", "explain", "code_review_features:rejection_rate", "--json").stdout)
    assert found["value"] == 0.5
    assert not found["stale"]
    assert [event["event_id"] for event in found["parts"][0]["events"]] == ["e2", "e1"]
    derived = json.loads(call("features", "explain", "code_review_features:review_load_trend", "--at", "2026-03-05T11:00", "--json").stdout)
    assert [part["feature"] for part in derived["parts"]] == ["recent_reviews_count", "weekly_reviews_count"]


def test_explain_shows_the_live_value_and_its_events_not_the_last_hours(history, monkeypatch):
    """A worker serves a review of the last minutes; no row of the offline store has it yet."""
    from detektor_pipelines.stream.worker import Worker

    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T12:10:00Z")
    append(history, [review(3, datetime(2026, 3, 7, 12, 9, 30, tzinfo=UTC), verdict="rejected", issues_found=1, issues_critical=0)])
    worker = Worker(history, (VIEW,))
    try:
        for _ in range(3):
            worker.tick()
    finally:
        worker.close()
    served = {each["name"]: each["value"] for each in json.loads(call("features", "get", "code-reviewer", "--json").stdout)["values"]}
    for name in ("weekly_reviews_count", "rejection_rate"):
        found = json.loads(call("features", "explain", f"code_review_features:{name}", "--json").stdout)
        assert found["source"] == "online"
        assert found["value"] == found["recomputed"] == served[name]
        assert [event["event_id"] for event in found["parts"][0]["events"]] == ["e3", "e2", "e1"]
    assert served["weekly_reviews_count"] == 3


@pytest.mark.parametrize("at", ["2026-03-05T10:20:00.000001", pytest.param("2026-03-07T11:59:59", marks=pytest.mark.long)])
def test_get_and_explain_say_the_same_of_a_moment(history, at):
    late = review(3, datetime(2026, 3, 5, 10, 5, tzinfo=UTC), verdict="rejected", issues_found=1)
    append(history, [replace(late, known_at=to_us(datetime(2026, 3, 6, 9, tzinfo=UTC)))])
    for known in ((), ("--known", "2026-03-05T10:30"), ("--known", "2026-03-06T09:00")):
        got = json.loads(call("features", "get", "code-reviewer", "--at", at, *known, "--json").stdout)
        for value in got["values"][:: 4 if known else 1]:
            words = ("features", "explain", f"code_review_features:{value['name']}", "--at", at, *known, "--json")
            explained = json.loads(call(*words).stdout)
            assert (explained["value"], explained["source"]) == (value["value"], "log"), value["name"]
        weekly = json.loads(call("features", "explain", "code_review_features:weekly_reviews_count", "--at", at, *known, "--json").stdout)
        assert len(weekly["parts"][0]["events"]) == weekly["value"]


def test_an_agent_of_which_nothing_is_online_is_explained_from_the_log(history):
    append(history, [replace(review(9, datetime(2026, 3, 7, 11, tzinfo=UTC), verdict="approved"), project="new")])
    words = ("features", "explain", "code_review_features:weekly_reviews_count", "--agent-id", "code-reviewer@new", "--json")
    found = json.loads(call(*words).stdout)
    assert (found["source"], found["value"]) == ("log", 1)
    error = call("features", "explain", "code_review_features:rejection_rate", "--agent-id", "code-reviewer@nowhere").exception
    assert "The raw log holds nothing about code-reviewer@nowhere" in str(error)


def test_what_was_taken_back_later_was_served_until_then(history):
    late = review(3, datetime(2026, 3, 5, 11, tzinfo=UTC), verdict="rejected")
    append(history, [replace(late, known_at=to_us(datetime(2026, 3, 7, 9, 20, tzinfo=UTC)))])
    days = [date(2026, 3, day) for day in (5, 6, 7)]
    list(backfill(history, [VIEW], days))
    with EventWriter(history, reingest=True) as writer:
        writer.write([replace(late, agent_type="debugger", known_at=None, reader_revision=2)])
    list(backfill(history, [VIEW], days))
    words = ("features", "explain", "code_review_features:weekly_reviews_count", "--at", "2026-03-07T09:40", "--json")
    found = json.loads(call(*words).stdout)
    assert (found["value"], found["recomputed"], found["stale"]) == (3, 2, False)
    assert "As known now it is 2" in call(*words[:-1]).stdout


def test_a_moment_of_which_the_log_knows_nothing_is_not_found(servers):
    result = call("features", "get", "debugger", "--at", "2026-03-05")
    assert result.exit_code == 0
    assert "NOT_FOUND" in result.stdout
    assert "The log knew nothing of this agent" in result.stdout


def test_rows_of_a_view_never_materialized_name_the_command(servers):
    with pytest.raises(UserError, match=r"never materialized(.|\n)*detektor status"), connect_arrow(servers) as connection:
        read_row(connection, view_named("debugger"), "debugger", datetime(2026, 3, 5, tzinfo=UTC))


def test_printed_sql_gives_the_value_in_postgres(history):
    words = ("features", "sql", "code_review_features:rejection_rate", "--dialect", "postgres", "--at", "2026-03-05T12:00")
    with connect(history) as connection:
        rows = connection.execute(call(*words).stdout).fetchall()
    assert [row[2:4] for row in rows if row[0] == "code-reviewer"] == [(1, 1), (1, 2)]


def test_status_names_what_late_events_made_stale(history):
    assert "stale" in call("status").stdout
    append(history, [review(3, datetime(2026, 3, 6, 9, tzinfo=UTC), verdict="approved")])
    with connect(history) as connection:
        assert stale_days(connection, VIEW) == [date(2026, 3, 6), date(2026, 3, 7)]
    status = json.loads(call("status", "--json").stdout)
    reviews = next(each for each in status["views"] if each["view"] == VIEW.name)
    assert reviews["stale"] == ["2026-03-06", "2026-03-07"]
    assert reviews["fix"].startswith("detektor backfill --view code_review_features --from ")
    assert status["rejected"] == []
    stale = json.loads(call("features", "explain", "code_review_features:weekly_reviews_count", "--json").stdout)
    assert (stale["value"], stale["recomputed"], stale["stale"]) == (2, 3, True)
