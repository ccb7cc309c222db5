"""The histories' own idea of what is right, on examples of the rules that are worked out by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.rule_views import view_of
from torture.ledger import Ledger, NoSuchMomentError
from torture.truth import Record, changes, instants, leave, values

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.language import count, days, distinct, event, feature, hours, last, quantile, rate, std

if TYPE_CHECKING:
    from torture.truth import Value

VIEW = view_of(n_6h=(count(), hours(6)), n_7d=(count(), days(7)))
KEY = "code-reviewer"


def at(text: str) -> int:
    return parse_instant(f"2026-03-{text}")


def record(ts: str, *, known: str | None = None, event_id: str = "e", revision: int = 1, retracted: bool = False, **said: Any) -> Record:
    return Record(event_id, revision, at(ts), at(known or ts), said.pop("project", None), retracted, said)


def numbers(records: list[Record], t: str, known: str | None = None) -> tuple[Value, ...]:
    return tuple(values(VIEW, records, KEY, at(t), None if known is None else at(known)).values())


@pytest.mark.parametrize(
    ("window", "leaves"),
    [(6, "05T16:05"), (24, "06T11:00"), (12 * 24, "18T00:00")],
)
def test_an_event_leaves_at_the_next_hop_and_a_window_later(window: int, leaves: str) -> None:
    assert leave(at("05T10:00:00.000001"), window * 3_600_000_000) == at(leaves)


def test_a_read_knows_what_was_known() -> None:
    late = [record("05T10:00", known="06T09:30")]

    assert numbers(late, "05T12:00", "05T12:00") == (0, 0)
    assert numbers(late, "05T12:00") == (1, 1)
    assert numbers(late, "06T10:00", "06T10:00") == (0, 1)


def test_a_revision_counts_from_when_it_is_known() -> None:
    view = view_of(failed=(rate(event.outcome == "failure"), days(1)))
    both = [record("05T10:00"), record("05T10:00", revision=2, known="05T12:00", outcome="failure")]

    assert [values(view, both, KEY, at(t), at(t))["failed"] for t in ("05T11:00", "05T12:00")] == [None, 1.0]
    assert values(view, both, KEY, at("05T11:00"))["failed"] == 1.0


def test_what_is_retracted_counts_no_more() -> None:
    both = [record("05T10:00"), record("05T10:00", revision=2, known="05T12:00", retracted=True)]

    assert numbers(both, "05T11:00", "05T11:00") == (1, 1)
    assert numbers(both, "05T11:00") == (0, 0)


def test_an_event_counts_in_its_project_and_for_its_agent() -> None:
    some = [record("05T10:00", project="shop")]

    assert [values(VIEW, some, key, at("05T11:00"))["n_6h"] for key in (KEY, f"{KEY}@shop", f"{KEY}@site")] == [1, 1, 0]


def test_aggregations() -> None:
    view = view_of(
        std=(std(event.duration_ms), days(1)),
        tasks=(distinct(event.task_id), days(1)),
        last=(last(event.issues_found), days(1)),
        high=(quantile(event.issues_found, "0.5", edges=(2, 5)), days(1)),
        top=(quantile(event.issues_found, "1", edges=(2, 5)), days(1)),
        half=feature("tasks") / feature("last"),
    )
    some = [
        record("05T10:00", event_id="a", duration_ms=1, task_id="t", issues_found=3),
        record("05T11:00", event_id="b", duration_ms=3, task_id="t", issues_found=9),
        record("05T12:00", event_id="c", issues_found=4),
        record("05T13:00", event_id="d"),
    ]

    assert values(view, some, KEY, at("05T14:00")) == {"std": 2**0.5, "tasks": 1, "last": 4, "high": 5, "top": 9, "half": 0.25}
    assert set(values(view, [], KEY, at("05T14:00")).values()) == {None, 0}


def test_rows_stand_where_something_enters_leaves_or_becomes_known() -> None:
    late = [record("05T10:10", known="05T12:30")]

    assert instants(VIEW, late, KEY, at("05"), at("31")) == [at(t) for t in ("05T11:00", "05T13:00", "05T17:00", "12T11:00")]
    assert changes(VIEW, late, KEY, at("05"), at("31")) == [at(t) for t in ("05T10:10", "05T16:10", "12T11:00")]


def test_a_snapshot_is_a_moment_of_the_log() -> None:
    ledger = Ledger()
    for number in (1, 2, 3):
        ledger.commit([record("05T10:00", event_id=str(number))])
    ledger.numbered(1, {("1", 1): 10, ("2", 1): 30, ("3", 1): 20})

    assert [ledger.moment_of(1, text) for text in ("10:10:", "11:11:", "20:31:20", "31:31:")] == [0, 1, 2, 3]
    with pytest.raises(NoSuchMomentError):
        ledger.moment_of(1, "30:31:30")
