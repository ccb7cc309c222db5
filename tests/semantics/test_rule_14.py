"""Rule 14: a row is the value at event_timestamp as known at created_at: as served then, and a second one where more is known now.

A read takes the former, or as known now the latter, and neither depends on how often somebody published.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from support.engine_cases import crafted
from support.log_rows import clear, insert
from support.rule_log import published, run, stored
from support.rule_views import happened, read, rows_of, view_of

from detektor_pipelines.clock import from_us, parse_instant
from detektor_pipelines.engine.explain import read_row
from detektor_pipelines.ingest.live.writer import LiveWriter
from detektor_pipelines.language import count, days, event, last, rate, total
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.stores.connections import connect_arrow
from detektor_pipelines.stores.offline.rows import row_table

if TYPE_CHECKING:
    import pytest
    from support.oracle import Event

    from detektor_pipelines.settings import Settings

VIEW = view_of(n_1d=(count(), days(1)), n_7d=(count(), days(7)))
LATE = happened("2026-03-05 10:00", event_id="late", known="2026-03-06 09:30")
ON_TIME = [happened(at, event_id=at) for at in ("2026-03-05 12:00", "2026-03-06 08:40", "2026-03-06 10:00")]
"""Three others, so that there are rows between the late event and its being known."""


def versions(events: list[Event], at: str, agent_id: str = "code-reviewer") -> list[tuple[str, int, int]]:
    """(created_at, 1-day count, 7-day count) of the rows of an instant."""
    return [(row["known"], row["n_1d"], row["n_7d"]) for row in rows_of(VIEW, events) if (row["agent_id"], row["at"]) == (agent_id, at)]


def test_14_example_rows_before_it_became_known_have_two_versions() -> None:
    events = [LATE, *ON_TIME]

    assert versions(events, "03-05 10:00") == [("03-05 10:00", 0, 0), ("03-06 09:30", 1, 1)]
    assert versions(events, "03-05 12:00") == [("03-05 12:00", 1, 1), ("03-06 09:30", 2, 2)]
    assert versions(events, "03-06 09:00") == [("03-06 09:00", 2, 2), ("03-06 09:30", 3, 3)]


def test_14_example_the_row_at_which_it_is_known_has_one_version() -> None:
    """The week has it, from the day it has just left."""
    assert versions([LATE, *ON_TIME], "03-06 10:00") == [("03-06 10:00", 3, 4)]


def test_14_a_read_takes_the_row_as_served_or_as_known_now() -> None:
    rows = rows_of(VIEW, [LATE, *ON_TIME])

    assert read(rows, "03-05 12:00", "n_1d", as_served=True) == 1
    assert read(rows, "03-05 12:00", "n_1d") == 2


def test_14_example_what_is_learnt_between_two_rows_is_seen_from_the_next_one_on() -> None:
    """Two late events of one hour: exactly as what happens between two rows, what is learnt between them waits for the next."""
    first = happened("2026-03-05 09:40", event_id="1", known="2026-03-05 10:20")
    second = happened("2026-03-05 09:50", event_id="2", known="2026-03-05 12:00")
    rows = rows_of(VIEW, [happened("2026-03-05 09:30", event_id="0"), first, second])

    assert [read(rows, at, "n_1d", as_served=True) for at in ("03-05 10:30", "03-05 11:00", "03-05 11:59", "03-05 12:00")] == [1, 2, 2, 3]
    assert read(rows, "03-05 10:30", "n_1d") == 3


def test_14_a_read_is_the_same_however_often_somebody_published(log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each publication has what the log knew by then; what a moment knew is what the rows say, not who published when."""
    hashes = set()
    for publications in (
        ["2026-03-05 12:30"],
        ["2026-03-05 10:25", "2026-03-05 12:30"],
        ["2026-03-05 10:25", "2026-03-05 11:00", "2026-03-05 12:30"],
    ):
        events = [
            happened("2026-03-05 09:30", event_id="0"),
            happened("2026-03-05 09:40", event_id="1", known="2026-03-05 10:20"),
            happened("2026-03-05 09:50", event_id="2", known="2026-03-05 12:00"),
        ]
        clear(log, *([f"feast.{row_table(VIEW)}"] if hashes else []))
        for at in publications:
            insert(log, [each for each in events if each.known_at <= parse_instant(at)])
            events = [each for each in events if each.known_at > parse_instant(at)]
            monkeypatch.setenv("DETEKTOR_NOW", f"{at}:00Z")
            run(log, VIEW, "2026-03-05")
        rows = stored(log, VIEW)

        assert [served_at(log, at) for at in ("10:00", "10:30", "11:00", "12:29")] == [1, 1, 2, 3]
        assert [read(rows, f"03-05 {at}", "n_1d") for at in ("10:00", "10:30", "11:00", "12:29")] == [3, 3, 3, 3]
        hashes.add(published(log, VIEW)["2026-03-05"].hash)
    assert len(hashes) == 1


def served_at(settings: Settings, at: str) -> int | None:
    """The 1-day count that a point-in-time read of March 5 gets."""
    with connect_arrow(settings) as connection:
        row = read_row(connection, VIEW, VIEW.agent, from_us(parse_instant(f"2026-03-05 {at}")))
    return None if row is None else row.values["n_1d"]


def test_14_history_read_from_files_is_visible_at_its_own_time() -> None:
    rows = rows_of(VIEW, ON_TIME)

    assert {row["at"] == row["known"] for row in rows} == {True}
    assert read(rows, "03-05 12:00", "n_1d", as_served=True) == 1


def test_14_created_at_is_the_greatest_knowledge_of_those_that_make_the_difference() -> None:
    other = happened("2026-03-05 11:00", event_id="other", known="2026-03-07 20:00")
    events = [LATE, other, *ON_TIME]

    assert versions(events, "03-05 10:00")[-1] == ("03-06 09:30", 1, 1)  # the other had not happened
    assert versions(events, "03-05 12:00")[-1] == ("03-07 20:00", 3, 3)
    assert versions(events, "03-06 10:00") == [("03-06 10:00", 3, 4), ("03-07 20:00", 4, 5)]


def test_14_an_event_that_no_feature_lets_through_makes_no_difference() -> None:
    view = view_of(
        rejected=(count(), days(1), event.verdict == "rejected"), latest=(last(event.issues_found), days(1), event.issues_found > 5)
    )
    counted = happened("2026-03-05 10:00", event_id="counted", known="2026-03-05 15:30", verdict="rejected")
    other = happened("2026-03-05 10:00", event_id="other", known="2026-03-20 10:00", verdict="approved")
    second = happened("2026-03-05 10:00", event_id="second", known="2026-03-05 18:00", issues_found=6)

    assert [row["known"] for row in rows_of(view, [counted, other]) if row["at"] == "03-05 10:00"] == ["03-05 10:00", "03-05 15:30"]
    assert [row["known"] for row in rows_of(view, [counted, other, second]) if row["at"] == "03-05 10:00"] == ["03-05 10:00", "03-05 18:00"]


OUTCOMES = view_of(failures=(count(), days(1), event.outcome == "failure"), n_1d=(count(), days(1)), latest=(last(event.attempt), days(1)))
KNOWN_AT_ONCE = happened("2026-03-05 10:00", until="2026-03-05 12:20", outcome=None, attempt=1)
LEARNT_AT_NOON = happened("2026-03-05 10:00", known="2026-03-05 12:20", outcome="failure", attempt=2)


def test_14_example_a_revision_of_a_live_event_counts_from_when_it_was_learnt_and_the_one_before_until_then() -> None:
    rows = rows_of(OUTCOMES, [KNOWN_AT_ONCE, LEARNT_AT_NOON])
    served = [tuple(row[name] for name in ("at", "failures", "n_1d", "latest")) for row in rows if row["at"] == row["known"]]

    assert served[:2] == [("03-05 10:00", 0, 1, 1), ("03-05 13:00", 1, 1, 2)]
    assert [tuple(row.values())[1:] for row in rows if row["at"] != row["known"]] == [("03-05 10:00", "03-05 12:20", 1, 1, 2)]
    assert [read(rows, at, "failures", as_served=True) for at in ("03-05 11:30", "03-05 12:59", "03-05 13:00")] == [0, 0, 1]


def test_14_a_retraction_takes_a_live_event_back_from_when_it_was_learnt() -> None:
    tombstone = happened("2026-03-05 10:00", known="2026-03-05 12:20", live=False)
    rows = rows_of(OUTCOMES, [KNOWN_AT_ONCE, tombstone])

    assert [read(rows, at, "n_1d", as_served=True) for at in ("03-05 10:00", "03-05 12:59", "03-05 13:00")] == [1, 1, 0]
    assert read(rows, "03-05 10:00", "n_1d") == 0


def test_14_of_history_that_is_read_again_the_better_reading_counts_from_when_it_happened() -> None:
    superseded = happened("2026-03-05 10:00", until="2026-03-05 10:00", outcome=None)
    better = happened("2026-03-05 10:00", outcome="failure")
    rows = rows_of(OUTCOMES, [superseded, better])

    assert {row["at"] == row["known"] for row in rows} == {True}
    assert read(rows, "03-05 10:00", "failures", as_served=True) == 1


def test_14_what_a_later_record_knew_is_in_no_read_of_the_time_before(log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool call comes at ten without its outcome, the whole record two hours later."""
    view = view_of(failures=(count(), days(1), event.outcome == "failure"), n_1d=(count(), days(1)))
    started = AgentEvent("x", VIEW.agent, VIEW.agent, "review", parse_instant("2026-03-05 10:00"), "hook", project="p")
    whole = replace(started, categories={"outcome": "failure"})
    for at, record in (("2026-03-05T10:00:00Z", started), ("2026-03-05T12:20:00Z", whole)):
        monkeypatch.setenv("DETEKTOR_NOW", at)
        with LiveWriter(log) as writer:
            assert [each.status for each in writer.write([record])] == ["accepted" if record is started else "known"]
        monkeypatch.setenv("DETEKTOR_NOW", at.replace("T10:00", "T11:05").replace("T12:20", "T13:05"))
        run(log, view, "2026-03-05")
    with connect_arrow(log) as connection:
        found = [
            read_row(connection, view, VIEW.agent, from_us(parse_instant(f"2026-03-05 {at}")))
            for at in ("10:00", "11:30", "12:59", "13:00")
        ]

    assert [each and (each.values["failures"], each.values["n_1d"]) for each in found] == [(0, 1), (0, 1), (0, 1), (1, 1)]
    assert read(stored(log, view), "03-05 11:30", "failures") == 1  # as known now


def test_14_a_superseded_event_makes_no_difference() -> None:
    superseded = happened("2026-03-05 10:00", event_id="superseded", known="2026-03-20 10:00", live=False)

    assert versions([LATE, superseded, *ON_TIME], "03-05 10:00") == [("03-05 10:00", 0, 0), ("03-06 09:30", 1, 1)]


def test_14_what_was_known_by_then_makes_no_difference_any_more() -> None:
    """Of two late events, the row after the first became known waits for the second alone."""
    soon = happened("2026-03-05 10:00", event_id="soon", known="2026-03-05 11:30")

    assert versions([soon, LATE, *ON_TIME], "03-05 12:00") == [("03-05 12:00", 2, 2), ("03-06 09:30", 3, 3)]


def test_14_a_late_event_that_changes_no_value_makes_no_second_version() -> None:
    view = view_of(rejected=(count(), days(1), event.verdict == "rejected"))
    approved = happened("2026-03-05 10:00", known="2026-03-06 09:30", verdict="approved")
    superseded = happened("2026-03-05 10:00", event_id="s", known="2026-03-06 09:30", verdict="rejected", live=False)

    assert {row["at"] == row["known"] for row in rows_of(view, [approved, superseded])} == {True}


def test_14_from_null_to_0_is_a_difference_and_so_is_the_way_back() -> None:
    """Nothing was known of any verdict, then one approval; a report of 0 issues, then it is taken back."""
    view = view_of(
        share=(rate(event.verdict == "rejected"), days(1)), latest=(last(event.issues_found), days(1)), sum=(total(event.attempt), days(1))
    )
    silent = happened("2026-03-05 10:00", event_id="silent")
    approved = happened("2026-03-05 10:00", event_id="approved", known="2026-03-06 09:30", verdict="approved")
    found_nothing = happened("2026-03-05 10:00", event_id="0", known="2026-03-05 12:30", issues_found=0)
    taken_back = happened("2026-03-05 10:00", event_id="back", until="2026-03-05 12:30", issues_found=0)

    def at_ten(*events: Event) -> list[tuple[str, float | None, int | None]]:
        return [(row["known"], row["share"], row["latest"]) for row in rows_of(view, [silent, *events]) if row["at"] == "03-05 10:00"]

    assert at_ten(approved) == [("03-05 10:00", None, None), ("03-06 09:30", 0.0, None)]
    assert at_ten(found_nothing) == [("03-05 10:00", None, None), ("03-05 12:30", None, 0)]
    assert at_ten(taken_back) == [("03-05 10:00", None, 0), ("03-05 12:30", None, None)]


def test_14_late_within_its_own_hour_is_not_late() -> None:
    assert versions([happened("2026-03-05 10:10", known="2026-03-05 10:50")], "03-05 11:00") == [("03-05 11:00", 1, 1)]


def test_14_a_late_event_leaves_other_projects_alone() -> None:
    late = happened("2026-03-05 10:00", event_id="late", known="2026-03-06 09:30", project="p")
    other = happened("2026-03-05 12:00", event_id="other", project="q")
    rows = rows_of(VIEW, [late, other])

    assert {row["at"] == row["known"] for row in rows if row["agent_id"] == "code-reviewer@q"} == {True}
    assert read(rows, "03-05 12:00", "n_1d", as_served=True) == 1  # the roll-up as it was served is not hidden
    assert read(rows, "03-05 12:00", "n_1d") == 2


def test_14_every_value_of_a_second_version_is_as_known_now() -> None:
    view = view_of(
        latest=(last(event.issues_found), days(1)),
        share=(rate(event.verdict == "rejected"), days(1)),
        sum=(total(event.issues_found), days(1)),
    )
    events = [
        happened("2026-03-05 09:00", event_id="1", issues_found=1, verdict="approved"),
        happened("2026-03-05 10:00", event_id="2", known="2026-03-05 15:00", issues_found=5, verdict="rejected"),
        happened("2026-03-05 11:00", event_id="3", issues_found=None, verdict="approved"),
    ]
    rows = [row for row in rows_of(view, events) if row["at"] == "03-05 11:00"]

    assert [(row["known"], row["latest"], row["share"], row["sum"]) for row in rows] == [
        ("03-05 11:00", 1, 0.0, 1),
        ("03-05 15:00", 5, 1 / 3, 6),
    ]


@settings(max_examples=3, deadline=None)
@given(st.permutations(crafted()))
def test_14_the_same_data_give_the_same_rows(events: list[Event]) -> None:
    view = view_of(number=(count(), days(1)), latest=(last(event.issues_found), days(7)))
    window = {"start": "2024-09-01", "end": "2025-03-01"}

    assert rows_of(view, events, **window) == rows_of(view, crafted(), **window)
