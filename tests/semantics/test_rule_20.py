"""Rule 20: a label's features are read one microsecond before it was decided; nothing of the decision is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.engine_cases import event_table
from support.rule_views import AGENT, happened, view_of

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.engine.as_of import values_at
from detektor_pipelines.language import count, days, event, rate

if TYPE_CHECKING:
    from support.oracle import Event

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
