"""Rule 20: a label's features are read one microsecond before it was decided; nothing of the decision is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.engine_cases import event_table
from support.log_rows import insert
from support.rule_views import AGENT, happened, view_of

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.engine.as_of import values_at
from detektor_pipelines.language import count, days, event, rate
from detektor_pipelines.training.sets import training_set

if TYPE_CHECKING:
    from support.oracle import Event

    from detektor_pipelines.settings import Settings

VIEW = view_of(number=(count(), days(1)), rejected=(rate(event.verdict == "rejected"), days(1)))
DECIDED = "2026-03-05 10:00"
EARLIER = happened("2026-03-05 09:59:59.999999", event_id="earlier", verdict="approved")
OUTCOME = happened(DECIDED, event_id="outcome", verdict="rejected")


def read_for_the_label(*events: Event) -> tuple[int | float | None, ...]:
    return values_at(VIEW, event_table(VIEW, list(events)), parse_instant(DECIDED) - 1)[AGENT]


def test_20_what_happens_with_the_decision_is_not_in_its_features() -> None:
    assert read_for_the_label(EARLIER, OUTCOME) == (1, 0.0)


def test_20_the_microsecond_before_the_decision_is() -> None:
    assert read_for_the_label(EARLIER) == (1, 0.0)
    assert values_at(VIEW, event_table(VIEW, [EARLIER, OUTCOME]), parse_instant(DECIDED))[AGENT] == (2, 0.5)


def test_20_a_training_set_holds_neither_the_decisions_own_task_nor_what_ends_with_the_decision(log: Settings) -> None:
    rounds = [
        happened("2026-03-05 08:00", event_id="other", verdict="approved", task_id="t1", duration_ms=0),
        happened("2026-03-05 09:00", event_id="first round", verdict="rejected", task_id="t2", duration_ms=0),
        happened("2026-03-05 10:00", event_id="with the decision", verdict="approved", task_id="t3", duration_ms=0),
        happened("2026-03-05 11:00", event_id="second round", verdict="approved", task_id="t2", duration_ms=3_600_000),
    ]
    insert(log, rounds)
    made = training_set(log, agent=AGENT, label="rejected", features=["code_review_features:recent_reviews_count"])
    first, second, _ = made.table.to_pylist()
    assert (first["label"], first["recent_reviews_count"]) == (True, 1)
    assert (second["decided_at"].isoformat(), second["recent_reviews_count"]) == ("2026-03-05T10:00:00+00:00", 1)
