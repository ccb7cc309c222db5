"""Rule 16: partition D owns the instants in (D 00:00, D+1 00:00], reads the events that reach them, and no row is after the cut-off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.log_rows import insert
from support.rule_log import run, stored
from support.rule_views import happened, instants_of, rows_of, view_of

from detektor_pipelines.clock import from_us, parse_instant
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import reach_back
from detektor_pipelines.language import calendar, count, days, event, last
from detektor_pipelines.language.windows import DAY, HOUR
from detektor_pipelines.stores.connections import connect, connect_arrow
from detektor_pipelines.stores.raw_log.reader import read_events

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

VIEW = view_of(n_1d=(count(), days(1)), n_7d=(count(), days(7)), latest=(last(event.issues_found), days(7)))


def test_16_midnight_belongs_to_the_day_that_ends(log: Settings) -> None:
    insert(log, [happened("2026-03-05 00:00", event_id="at midnight"), happened("2026-03-05 00:00:00.000001", event_id="after it")])

    assert [day.rows for day in run(log, VIEW, "2026-03-03", "2026-03-05").days] == [0, 1, 2]
    assert instants_of(stored(log, VIEW)) == ["03-05 00:00", "03-05 01:00", "03-06 00:00"]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_16_postgres_says_of_an_instant_what_python_says(log: Settings, zone: str) -> None:
    """Whatever zone the session stands in."""
    instants = [parse_instant(day) + off for day in ("2024-03-01", "2026-03-05", "2026-10-25 01:00") for off in (-1, 0, 1, HOUR, DAY - 1)]
    statement = f"""
        SELECT {calendar.owner_sql("at")}, {calendar.owner_number_sql("us")}, {calendar.number_sql(calendar.owner_sql("at"))},
               {calendar.start_sql(calendar.owner_sql("at"))}, {calendar.end_sql(calendar.owner_sql("at"))}
        FROM unnest(%s::timestamptz[], %s::bigint[]) AS instant (at, us)
    """
    with connect(log) as connection:
        connection.execute("SELECT set_config('timezone', %s, true)", (zone,))
        said = connection.execute(statement, ([from_us(each) for each in instants], instants)).fetchall()

    owners = [calendar.owner(each) for each in instants]
    numbers = map(calendar.number, owners)
    assert said == [(day, number, number, calendar.start(day), calendar.end(day)) for day, number in zip(owners, numbers, strict=True)]


@pytest.mark.parametrize(
    ("occurred", "leaves"),
    [
        ("2026-03-05 00:00:00.000001", "03-12 01:00"),
        ("2026-03-05 00:30", "03-12 01:00"),
        ("2026-03-05 23:59", "03-13 00:00"),
        ("2026-03-06 00:00", "03-13 00:00"),
    ],
)
def test_16_a_day_alone_has_what_leaves_its_longest_window(log: Settings, occurred: str, leaves: str) -> None:
    insert(log, [happened(occurred, issues_found=3)])
    run(log, VIEW, "2026-03-12")

    assert [(row["at"], row["n_7d"], row["latest"]) for row in stored(log, VIEW)] == [(leaves, 0, None)]


def test_16_a_day_alone_has_what_is_still_in_its_windows(log: Settings) -> None:
    insert(log, [happened("2026-03-05 00:00:00.000001", event_id="old", issues_found=3), happened("2026-03-11 23:30", event_id="new")])
    run(log, VIEW, "2026-03-12")

    assert [(row["at"], row["n_1d"], row["n_7d"], row["latest"]) for row in stored(log, VIEW)] == [
        ("03-12 01:00", 1, 1, None),
        ("03-13 00:00", 0, 1, None),
    ]


def test_16_a_run_reads_from_the_longest_window_and_its_hop_before_up_to_its_end(log: Settings) -> None:
    assert reach_back(plan(VIEW)) == 7 * DAY + HOUR
    assert reach_back(plan(view_of(number=(count(), days(30))))) == 31 * DAY
    start, end = parse_instant("2026-03-04 23:00"), parse_instant("2026-03-13")
    at = ("2026-03-04 23:00", "2026-03-04 23:00:00.000001", "2026-03-13 00:00", "2026-03-13 00:00:00.000001")
    insert(log, [happened(each, event_id=each) for each in at])
    with connect_arrow(log) as connection:
        read = read_events(connection, VIEW.agent, plan(VIEW).columns, start, end)["event_id"].to_pylist()

    assert sorted(read) == list(at[1:3])


def test_16_no_row_is_after_the_cut_off() -> None:
    events = [happened("2026-03-05 10:20"), happened("2026-03-05 11:20", event_id="f")]

    assert instants_of(rows_of(VIEW, events, cutoff="2026-03-05 12:00")) == ["03-05 11:00", "03-05 12:00"]
    assert instants_of(rows_of(VIEW, events, cutoff="2026-03-05 11:59:59.999999")) == ["03-05 11:00"]


def test_16_the_cut_off_of_a_run_is_the_platforms_clock(log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(log, [happened("2026-03-05 10:20"), happened("2026-03-05 11:20", event_id="f")])
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-05T11:30:00Z")
    run(log, VIEW, "2026-03-05")
    assert instants_of(stored(log, VIEW)) == ["03-05 11:00"]
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-06T00:00:00Z")
    run(log, VIEW, "2026-03-05")
    assert instants_of(stored(log, VIEW)) == ["03-05 11:00", "03-05 12:00"]
