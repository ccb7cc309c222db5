"""Each check beside the gate on real PostgreSQL: what passes it, and the very rows it names when it fails."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from support.log_rows import insert, partition_log
from support.oracle import Event
from support.rule_log import days_of, run
from support.rule_views import happened, view_of

from detektor_pipelines.clock import to_us
from detektor_pipelines.errors import UserError
from detektor_pipelines.language import count, days, event, last, mean
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.quality.examination import examine
from detektor_pipelines.quality.freshness import log_freshness, views_freshness
from detektor_pipelines.quality.versions import views_versions
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.offline.rows import row_table

if TYPE_CHECKING:
    from detektor_pipelines.language import FeatureView
    from detektor_pipelines.quality.findings import Finding
    from detektor_pipelines.settings import Settings

VIEW = view_of(number=(count(), days(1)), average=(mean(event.issues_found), days(1)), latest=(last(event.issues_found), days(1)))
ALL = [
    "data_is_fresh",
    "rows_are_of_this_version",
    "volume_is_usual",
    "nulls_are_usual",
    "values_have_not_drifted",
    "rows_are_unique",
    "values_are_in_bounds",
    "rows_did_not_shrink",
]
DAY = "2026-03-05"
EVENTS = [
    happened("2026-03-05 09:00", event_id="1", project="p", issues_found=1),
    happened("2026-03-05 12:00", event_id="2", issues_found=2),
]


@pytest.fixture
def log(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings of an empty log; the clock stands at 2026-06-01."""
    monkeypatch.setenv("DETEKTOR_NOW", "2026-06-01T00:00:00Z")
    partition_log(database)
    return database


def judged(settings: Settings, view: FeatureView = VIEW, first: str = DAY, last: str | None = None) -> dict[str, Finding]:
    """What was found, by check; of the freshness only where it is asked: the days of most tests are months ago."""
    found = {finding.check: finding for finding in examine(settings, view, days_of(first, last or first))}
    assert list(found) == ALL
    assert found[ALL[0]] == views_freshness(settings, [view])[view.name]
    assert found[ALL[1]] == views_versions(settings, [view])[view.name]
    return {name: finding for name, finding in found.items() if name != ALL[0]}


def by_hand(settings: Settings, statement: str, view: FeatureView = VIEW) -> None:
    with connect(settings) as connection:
        connection.execute(statement.format(table=f'feast."{row_table(view)}"'))


def only(findings: dict[str, Finding], failing: str) -> Finding:
    assert {name for name, finding in findings.items() if not finding.passed} == {failing}
    return findings[failing]


def test_what_the_engine_published_passes_all_checks(log: Settings) -> None:
    insert(log, EVENTS)
    run(log, VIEW, "2026-03-04", "2026-03-07")
    insert(log, [happened("2026-03-05 10:00", event_id="late", known="2026-03-06 10:00", issues_found=5)])
    run(log, VIEW, "2026-03-04", "2026-03-07")
    findings = judged(log, first="2026-03-04", last="2026-03-07")
    assert [finding.summary for finding in findings.values() if not finding.passed] == []
    assert findings["rows_did_not_shrink"].figures == {"rows": 8, "rows_recorded": 8}


def test_a_view_of_which_nothing_is_published_is_not_judged(log: Settings) -> None:
    insert(log, EVENTS)
    run(log, view_of(name="other_features", number=(count(), days(1))), DAY)
    assert all(finding.passed for finding in judged(log).values())


def test_a_version_written_twice_is_named(log: Settings) -> None:
    insert(log, EVENTS)
    run(log, VIEW, DAY)
    by_hand(log, "ALTER TABLE {table} DROP CONSTRAINT " + f'"{row_table(VIEW)}_pkey"')
    by_hand(log, "INSERT INTO {table} SELECT * FROM {table} WHERE agent_id = 'code-reviewer@p' AND event_timestamp = '2026-03-05 09:00Z'")
    finding = only(judged(log), "rows_are_unique")
    assert [(case["agent_id"], case["event_timestamp"], case["what"]) for case in finding.cases] == [
        ("code-reviewer@p", "2026-03-05 09:00:00", "the same version twice")
    ]
    assert finding.severity == "error"


def test_values_that_are_said_again_at_the_same_created_at_are_named_and_others_are_not(log: Settings) -> None:
    insert(log, EVENTS)
    run(log, VIEW, DAY)
    again = "INSERT INTO {table} SELECT agent_id, event_timestamp, created_at, written_at + interval '1 s',"
    again += " number{more}, average, latest FROM {table}"
    other, same = again.format(table="{table}", more=" + 1"), again.format(table="{table}", more="")
    by_hand(log, other + " WHERE event_timestamp = '2026-03-05 12:00Z'")
    assert judged(log)["rows_are_unique"].passed
    by_hand(log, same + " WHERE agent_id = 'code-reviewer' AND event_timestamp = '2026-03-05 09:00Z'")
    later = same.replace("created_at, written_at", "created_at + interval '1 h', written_at")
    by_hand(log, later + " WHERE agent_id = 'code-reviewer@p'")  # the same values, but known again
    finding = judged(log)["rows_are_unique"]
    assert [(case["agent_id"], case["event_timestamp"], case["what"]) for case in finding.cases] == [
        ("code-reviewer", "2026-03-05 09:00:00", "the same values again")
    ]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("number = -1", ("number", "-1", ">= 0")),
        ("number = 9", ("number", "9", "<= 5")),
        ("number = NULL", ("number", "null", "is never null")),
        ("average = 'NaN'", ("average", "NaN", "is finite")),
        ("average = 'Infinity'", ("average", "Infinity", "is finite")),
        ("agent_id = 'pisarz@p'", ("agent_id", "pisarz@p", "is code-reviewer or code-reviewer@<project>")),
        ("created_at = '2026-03-05 08:00Z'", ("created_at", "2026-03-05 08:00:00+00", "is not before event_timestamp")),
    ],
)
def test_a_value_that_a_hand_wrote_out_of_bounds_is_named(log: Settings, change: str, named: tuple[str, str, str]) -> None:
    view = bounded(VIEW, number=(0, 5))
    insert(log, EVENTS)
    run(log, view, DAY)
    assert judged(log, view)["values_are_in_bounds"].passed
    by_hand(log, "UPDATE {table} SET " + change + " WHERE agent_id = 'code-reviewer@p'", view)
    finding = judged(log, view)["values_are_in_bounds"]
    (case,) = finding.cases
    assert (case["day"], case["event_timestamp"]) == (DAY, "2026-03-05 09:00:00")
    assert (case["column"], case["value"], case["rule"]) == named
    assert (finding.passed, finding.severity, finding.figures["rows_out_of_bounds"]) == (False, "error", 1)


def test_rows_that_an_older_gate_let_through_are_named_and_an_older_version_of_a_row_is_not(log: Settings) -> None:
    insert(log, EVENTS)
    run(log, VIEW, DAY)
    insert(log, [happened("2026-03-05 10:00", event_id="late", known="2026-03-20 10:00", issues_found=5)])
    run(log, VIEW, DAY)  # the newest version at 12:00 counts 3, the one before it 2
    finding = judged(log, bounded(VIEW, number=(None, 2)))["values_are_in_bounds"]
    assert [(case["agent_id"], case["event_timestamp"], case["value"]) for case in finding.cases] == [
        ("code-reviewer", "2026-03-05 12:00:00", "3")
    ]
    finding = judged(log, bounded(VIEW, number=(3, None)))["values_are_in_bounds"]
    assert finding.figures["rows_out_of_bounds"] == len(finding.cases) == 3


def test_what_materializing_again_replaces_is_in_bounds_again(log: Settings) -> None:
    view = bounded(VIEW, number=(0, 5))
    insert(log, EVENTS)
    run(log, view, DAY)
    by_hand(log, "UPDATE {table} SET number = 9 WHERE agent_id = 'code-reviewer@p'", view)
    run(log, view, DAY)
    assert judged(log, view)["values_are_in_bounds"].passed


def test_rows_that_are_gone_from_the_table_are_named(log: Settings) -> None:
    insert(log, EVENTS)
    run(log, VIEW, DAY)
    by_hand(log, "DELETE FROM {table} WHERE agent_id = 'code-reviewer@p'")
    finding = only(judged(log), "rows_did_not_shrink")
    assert finding.cases == (
        {
            "day": DAY,
            "recorded": "3",
            "held": "2",
            "agent_id": "code-reviewer@p",
            "event_timestamp": "2026-03-05 09:00:00",
            "what": "computed, but gone from the table",
        },
    )
    assert "gone from the table on 2026-03-05" in finding.summary
    run(log, VIEW, DAY)
    assert judged(log)["rows_did_not_shrink"].passed


def test_a_day_computed_again_with_fewer_rows_is_named_with_those_that_it_lacks(log: Settings) -> None:
    insert(log, EVENTS)
    run(log, VIEW, DAY)
    with connect(log) as connection:
        connection.execute("DELETE FROM ml_learning.agent_events WHERE event_id = '1'")
    run(log, VIEW, DAY)
    finding = judged(log)["rows_did_not_shrink"]
    assert not finding.passed
    assert [(case["agent_id"], case["event_timestamp"], case["recorded"], case["held"], case["what"]) for case in finding.cases] == [
        ("code-reviewer", "2026-03-05 09:00:00", "1", "3", "in the table, but no longer computed"),
        ("code-reviewer@p", "2026-03-05 09:00:00", "1", "3", "in the table, but no longer computed"),
    ]
    assert "lacks rows that were published before on 2026-03-05" in finding.summary


def test_a_retracted_event_takes_no_row_away(log: Settings) -> None:
    insert(log, EVENTS)
    run(log, VIEW, DAY)
    with connect(log) as connection:
        connection.execute(
            "INSERT INTO ml_learning.agent_events (event_id, revision, agent_type, raw_name, project, operation, occurred_at, known_at,"
            " ingested_at, derived, simulated, retracted, source, reader_revision) SELECT event_id, 2, agent_type, raw_name, project,"
            " operation, occurred_at, known_at, ingested_at, derived, simulated, true, source, 1 FROM ml_learning.agent_events"
            " WHERE event_id = '1'"
        )
    run(log, VIEW, DAY)
    assert judged(log)["rows_did_not_shrink"].passed


def test_a_feature_that_loses_its_measure_is_named_by_day(log: Settings) -> None:
    first = datetime(2026, 3, 2, tzinfo=UTC)
    filled = [hourly(first + timedelta(hours=hour), issues_found=hour % 5) for hour in range(12, 24 * 9, 1)]
    broken = [hourly(first + timedelta(days=9, hours=hour)) for hour in range(72)]
    insert(log, filled + broken)
    run(log, VIEW, "2026-03-02", "2026-03-10")
    findings = judged(log, first="2026-03-02", last="2026-03-10")
    assert findings["nulls_are_usual"].passed
    assert findings["nulls_are_usual"].figures["days_judged"] == 5
    run(log, VIEW, "2026-03-11", "2026-03-13")
    finding = judged(log, first="2026-03-13")["nulls_are_usual"]
    assert [tuple(case.values()) for case in finding.cases] == [
        ("2026-03-13", "average", "100%", "8%", "24"),
        ("2026-03-13", "latest", "100%", "8%", "24"),
    ]
    assert finding.severity == "warn"


def test_a_week_with_far_more_or_fewer_events_than_before_is_named(log: Settings) -> None:
    first = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
    weeks = [hourly(first + timedelta(weeks=week, minutes=10 * number + 1)) for week in range(4) for number in range(340 + week % 2)]
    many = [hourly(first + timedelta(weeks=4, minutes=number + 1)) for number in range(1_400)]
    insert(log, weeks + many)
    run(log, VIEW, "2026-04-05", "2026-04-05")
    finding = judged(log, first="2026-04-05")["volume_is_usual"]
    assert [tuple(case.values()) for case in finding.cases] == [("Sun 2026-04-05", "1,400", "34 … 1,362", "340, 341, 340, 341")]
    run(log, VIEW, "2026-04-12", "2026-04-12")
    finding = judged(log, first="2026-04-12")["volume_is_usual"]
    assert [tuple(case.values())[:3] for case in finding.cases][1:] == [("Sun 2026-04-12", "0", "34 … 1,364")]


def test_the_volume_of_old_days_is_no_news(log: Settings) -> None:
    first = datetime(2026, 3, 2, tzinfo=UTC)
    weeks = [hourly(first + timedelta(weeks=week, minutes=10 * number + 1)) for week in (0, 1, 2, 4) for number in range(400)]
    insert(log, weeks)
    run(log, VIEW, "2026-03-02", "2026-04-05")
    assert judged(log, first="2026-03-02", last="2026-04-05")["volume_is_usual"].passed
    run(log, VIEW, "2026-03-02", "2026-03-29")
    assert judged(log, first="2026-03-29")["volume_is_usual"].passed


def test_a_reread_event_counts_once(log: Settings) -> None:
    first = datetime(2026, 3, 2, tzinfo=UTC)
    insert(log, [hourly(first + timedelta(weeks=week, minutes=30 * number + 1)) for week in range(4) for number in range(20)])
    with connect(log) as connection:
        for revision in (2, 3, 4):
            connection.execute(
                "INSERT INTO ml_learning.agent_events (event_id, revision, agent_type, raw_name, operation, occurred_at, known_at,"
                " ingested_at, derived, simulated, source, reader_revision) SELECT event_id, %s, agent_type, raw_name, operation,"
                " occurred_at, known_at, ingested_at, derived, simulated, source, 2 FROM ml_learning.agent_events"
                " WHERE revision = 1 AND occurred_at > '2026-03-23Z'",
                (revision,),
            )
    run(log, VIEW, "2026-03-29")
    finding = judged(log, first="2026-03-29")["volume_is_usual"]
    assert (finding.passed, finding.figures["events_of_week"], finding.figures["days_judged"]) == (True, 20, 1)


def test_too_few_earlier_weeks_are_said_to_be_that(log: Settings) -> None:
    insert(log, EVENTS)
    run(log, VIEW, DAY)
    finding = judged(log)["volume_is_usual"]
    assert finding.passed
    assert finding.summary == "Not judged: at least 3 earlier weeks are needed, there are 0."


def test_the_newest_days_are_judged_along_with_an_older_one(log: Settings) -> None:
    """The hourly run must not hide what the nightly one found."""
    insert(log, EVENTS)
    run(log, VIEW, "2026-03-01", "2026-03-06")
    by_hand(log, "DELETE FROM {table} WHERE agent_id = 'code-reviewer@p'")
    assert {case["day"] for case in judged(log, first="2026-03-01")["rows_did_not_shrink"].cases} == {"2026-03-05", "2026-03-06"}


def test_a_server_that_is_gone_is_told_as_that(log: Settings) -> None:
    gone = log.model_copy(update={"external_postgres_url": None, "postgres_port": 1})
    with pytest.raises(UserError, match="PostgreSQL does not answer"):
        examine(gone, VIEW, [date(2026, 3, 5)])


def test_an_open_day_is_as_fresh_as_its_last_whole_hour_and_a_closed_one_as_its_end(log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(log, EVENTS)
    for now, published, summary, severity in (
        ("2026-03-05T13:40:00Z", DAY, "Rows are true up to 2026-03-05 13:00 UTC.", None),
        ("2026-03-05T16:00:00Z", None, "Rows are true up to 2026-03-05 13:00 UTC.", None),
        ("2026-03-05T16:01:00Z", None, "Rows are only true up to 2026-03-05 13:00 UTC.", "warn"),
        ("2026-03-06T15:00:00Z", None, "Rows are only true up to 2026-03-05 13:00 UTC.", "warn"),
        ("2026-03-06T15:10:00Z", None, "Rows are only true up to 2026-03-05 13:00 UTC.", "error"),
        ("2026-03-06T15:20:00Z", DAY, "Rows are only true up to 2026-03-06 00:00 UTC.", "warn"),
    ):
        monkeypatch.setenv("DETEKTOR_NOW", now)
        if published:
            run(log, VIEW, published)
        finding = views_freshness(log, [VIEW])[VIEW.name]
        assert (finding.summary, None if finding.passed else finding.severity) == (summary, severity)


def test_an_agent_that_does_nothing_is_fresh_while_its_days_are_computed(log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(log, EVENTS)
    monkeypatch.setenv("DETEKTOR_NOW", "2026-05-20T10:30:00Z")
    run(log, VIEW, "2026-05-20")
    assert views_freshness(log, [VIEW])[VIEW.name].passed


def test_a_view_that_was_never_published_in_this_version_is_not_fresh(log: Settings) -> None:
    insert(log, EVENTS)
    run(log, VIEW, "2026-05-31")
    changed = replace(VIEW, grain=VIEW.grain // 2)
    found = views_freshness(log, [VIEW, replace(changed, name="other_features")])
    assert found[VIEW.name].passed
    assert (found["other_features"].passed, found["other_features"].severity) == (False, "error")
    assert not views_freshness(log, [changed])[VIEW.name].passed


def test_a_log_is_fresh_by_its_newest_arrival(log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert log_freshness(log).summary == "The log is empty."
    insert(log, [happened("2026-03-01 10:00", known="2026-05-29 00:00")])
    assert log_freshness(log).passed
    monkeypatch.setenv("DETEKTOR_NOW", "2026-06-01T00:01:00Z")
    finding = log_freshness(log)
    assert (finding.passed, finding.severity) == (False, "warn")
    assert finding.summary == "Nothing has arrived since 2026-05-29 00:00 UTC."


def test_days_that_only_rows_of_another_version_cover_are_named_until_they_are_computed(log: Settings) -> None:
    insert(log, EVENTS)
    run(log, VIEW, "2026-03-04", "2026-03-06")
    changed = replace(VIEW, grain=VIEW.grain // 2)
    run(log, changed, "2026-03-06")
    finding = only(judged(log, changed, "2026-03-06"), "rows_are_of_this_version")
    assert finding.severity == "warn"
    assert finding.fix == f"`detektor backfill --view {VIEW.name} --from 2026-03-04 --to 2026-03-05` computes them."
    assert finding.figures == {
        "data_hash": data_hash(changed),
        "old_data_hash": data_hash(VIEW),
        "days": 2,
        "first_day": "2026-03-04",
        "last_day": "2026-03-05",
    }
    run(log, changed, "2026-03-04", "2026-03-05")
    assert judged(log, changed, "2026-03-06")["rows_are_of_this_version"].passed


def bounded(view: FeatureView, **bounds: tuple[float | None, float | None]) -> FeatureView:
    """The view with bounds, which are not part of its data hash."""
    return replace(view, features=tuple(replace(each, within=bounds.get(each.name, each.within)) for each in view.features))


def hourly(at: datetime, **values: Any) -> Event:
    us = to_us(at)
    return Event(f"e{us}", us, us, None, live=True, values={"operation": "review", **values})
