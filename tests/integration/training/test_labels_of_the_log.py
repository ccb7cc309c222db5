"""Labels that definitions read from the log, against one that goes through the events one at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.log_rows import clear, insert
from support.oracle import Event

from detektor_pipelines.catalog import LABELS
from detektor_pipelines.clock import parse_instant
from detektor_pipelines.language import Label, days, event
from detektor_pipelines.language.expressions import INSTANT_MAXIMUM, Predicate
from detektor_pipelines.language.windows import HOUR, MINUTE
from detektor_pipelines.stores.connections import connect_arrow
from detektor_pipelines.training.labels import NO_VALUE, NOT_YET, Rows, read_labels

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

AGENT = "code-reviewer"
REVIEW = event.operation == "review"
ORIGIN = parse_instant("2026-03-05T10:00:00Z")

AT_ONCE = Label("rejected", event.verdict == "rejected", AGENT, REVIEW, "x", null_means="x")
NUMBER = replace(AT_ONCE, value=event.issues_found)
AGAIN = replace(AT_ONCE, where=REVIEW & (event.verdict == "rejected"), later=REVIEW, within_next=days(1), otherwise=False)
JUDGED = replace(AT_ONCE, value=event.score_milli > 0, later=event.operation == "feedback", within_next=days(1))
SCORED = replace(JUDGED, value=event.score_milli)
AT_THE_END = replace(AT_ONCE, decided_at=event.occurred_at)
EVERY_SORT = (AT_ONCE, NUMBER, AGAIN, JUDGED, SCORED, AT_THE_END)


@dataclass(frozen=True)
class Found:
    agent_id: str
    decided_at: int
    label_known_at: int
    task_id: str | None
    label: bool | float | None


def expected(label: Label, history: list[Event]) -> list[Found]:
    """What the definition says, in the words of the rules and with no cleverness."""
    alive = [each for each in history if each.live and not any(_supersedes(other, each) for other in history)]
    alive.sort(key=lambda each: (each.occurred_at, each.event_id.encode()))
    decisions = [each for each in alive if label.where.evaluate(each.row()) is True]
    found = []
    for each in decisions:
        same = [other for other in alive if _same_task(each, other)]
        earlier = [other for other in decisions if _same_task(each, other) and _before(other, each)]
        value, known = _value(label, each, same)
        found.append(
            Found(
                AGENT if each.project is None else f"{AGENT}@{each.project}",
                _decided(label, each, same, earlier[-1].occurred_at if earlier else None),
                known,
                _task(each),
                value,
            )
        )
    return found


def _decided(label: Label, decision: Event, same: list[Event], previous: int | None) -> int:
    said = label.decided_at.evaluate(decision.row())
    if said is not None:
        return int(said)
    own = [
        each.occurred_at for each in same if each.occurred_at <= decision.occurred_at and (previous is None or each.occurred_at > previous)
    ]
    return min(own, default=decision.occurred_at)


def _value(label: Label, decision: Event, same: list[Event]) -> tuple[bool | float | None, int]:
    if label.within_next is None or label.later is None:
        value = label.value.evaluate(decision.row())
        return (value if isinstance(label.value, Predicate) or value is None else float(value)), decision.known_at
    over = decision.occurred_at + label.within_next.size
    if _task(decision) is None:
        return None, max(over, decision.known_at)
    later = [each for each in same if decision.occurred_at < each.occurred_at <= over and label.later.evaluate(each.row()) is True]
    said = [(each, value) for each in later if (value := label.value.evaluate(each.row())) is not None]
    if not said:
        return label.otherwise, max(over, decision.known_at)
    if not isinstance(label.value, Predicate):
        return float(said[0][1]), max(over, decision.known_at, said[0][0].known_at)
    truths = [each for each, value in said if value is True]
    learnt = min(each.known_at for each in truths or [each for each, _ in said])
    return bool(truths), max(over, decision.known_at, learnt)


def _supersedes(other: Event, event: Event) -> bool:
    return other.event_id == event.event_id and other.revision > event.revision


def _same_task(one: Event, other: Event) -> bool:
    return _task(one) is not None and _task(one) == _task(other) and one.project == other.project


def _before(one: Event, other: Event) -> bool:
    return (one.occurred_at, one.event_id.encode()) < (other.occurred_at, other.event_id.encode())


def _task(event: Event) -> str | None:
    task = event.values.get("task_id")
    return None if task is None else str(task)


def read(log: Settings, label: Label, until: int = INSTANT_MAXIMUM) -> Rows:
    with connect_arrow(log) as connection:
        return read_labels(connection, label, until=until, snapshot=None)


def in_order(found: list[Found]) -> list[Found]:
    return sorted(found, key=lambda each: (each.decided_at, each.agent_id, each.task_id or "", each.label_known_at, str(each.label)))


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    events = []
    for number in range(draw(st.integers(0, 30))):
        occurred = ORIGIN + draw(st.integers(0, 200)) * 15 * MINUTE + draw(st.sampled_from((-1, 0, 0, 0, 1)))
        feedback = draw(st.integers(0, 3)) == 0
        values: dict[str, int | str | None] = {"operation": "feedback" if feedback else draw(st.sampled_from(("review", "review", "chat")))}
        values["task_id"] = draw(st.sampled_from(("a", "a", "b", None)))
        values["score_milli"] = draw(st.sampled_from((-5, 0, 7))) if feedback else None
        values["verdict"] = draw(st.sampled_from(("approved", "rejected", None)))
        values["issues_found"] = draw(st.sampled_from((None, 0, 3)))
        values["duration_ms"] = draw(st.sampled_from((None, 0, 60_000, 7_200_000)))
        known = occurred + draw(st.sampled_from((0, 0, HOUR, 40 * HOUR)))
        first = Event(
            f"{draw(st.sampled_from('zaB'))}{number}", occurred, known, draw(st.sampled_from(("p", "p", "q", None))), values=values
        )
        events.append(first)
        if draw(st.integers(0, 5)) == 0:
            again = {**values, "verdict": draw(st.sampled_from(("approved", "rejected", None)))}
            events.append(replace(first, revision=2, known_at=known + HOUR, values=again, live=draw(st.booleans())))
    return events


@pytest.mark.parametrize("label", EVERY_SORT, ids=("at once", "number", "again", "judged", "scored", "at the end"))
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=logs())
def test_every_sort_of_label_equals_the_plain_reading(log: Settings, label: Label, history: list[Event]) -> None:
    clear(log)
    insert(log, history)
    found = read(log, label)
    wanted = expected(label, history)
    rows = [Found(**row) for row in found.table.to_pylist()]
    assert in_order(rows) == in_order([each for each in wanted if each.label is not None])
    assert sum(found.dropped.values()) == sum(each.label is None for each in wanted)


def test_a_label_is_left_out_until_it_is_known_whether_true_or_not(log: Settings) -> None:
    sent_back = {"operation": "review", "task_id": "a", "verdict": "rejected", "duration_ms": 0}
    insert(
        log, [Event("first", ORIGIN, ORIGIN, "p", values=sent_back), Event("second", ORIGIN + HOUR, ORIGIN + HOUR, "p", values=sent_back)]
    )
    early = read(log, AGAIN, until=ORIGIN + 24 * HOUR - 1)
    assert early.table.num_rows == 0
    assert dict(early.dropped) == {f"{NOT_YET}: the log ends less than 1d later": 2}
    later = read(log, AGAIN, until=ORIGIN + 24 * HOUR)
    assert later.table["label"].to_pylist() == [True]


def test_what_is_left_out_says_why_in_the_labels_own_words(log: Settings) -> None:
    insert(log, [Event("e", ORIGIN, ORIGIN, "p", values={"operation": "review", "verdict": None})])
    assert dict(read(log, replace(AT_ONCE, null_means="Nobody could read it.")).dropped) == {f"{NO_VALUE}: Nobody could read it.": 1}


def test_the_work_of_a_decision_without_duration_began_with_its_tasks_first_event_after_the_decision_before(log: Settings) -> None:
    def at(number: int, operation: str, minutes: int) -> Event:
        instant = ORIGIN + minutes * MINUTE
        return Event(f"e{number}", instant, instant, "p", values={"operation": operation, "task_id": "a", "verdict": "approved"})

    insert(log, [at(0, "chat", 0), at(1, "review", 5), at(2, "chat", 60), at(3, "chat", 61), at(4, "review", 70)])
    assert read(log, AT_ONCE).table["decided_at"].to_pylist() == [ORIGIN, ORIGIN + 60 * MINUTE]


@pytest.mark.parametrize("label", LABELS, ids=lambda label: f"{label.agent} {label.name}")
def test_every_label_of_the_catalogue_runs(log: Settings, label: Label) -> None:
    assert read(log, label).table.num_rows == 0
