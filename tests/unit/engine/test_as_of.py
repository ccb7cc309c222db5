"""Values at an exact instant against the naive oracle, to the bit."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.engine_cases import HISTORY, ORIGIN, WINDOWS, crafted, event_table, everything, histories, instants_strategy, revised_histories
from support.examples import examples
from support.oracle import Event, resolved, values

from detektor_pipelines.engine.as_of import values_at
from detektor_pipelines.language import FeatureView, days
from detektor_pipelines.language.windows import DAY, HOUR

few = settings(max_examples=examples(6), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def assert_same(
    view: FeatureView, events: list[Event], instant: int, *, table: list[Event] | None = None, known: int | None = None
) -> None:
    """Hold the values against the oracle's of `events`; where the engine gets another table to choose from, its choice is held too."""
    keys = {view.agent, *(f"{view.agent}@{event.project}" for event in table or events if event.project is not None)}
    found = values_at(view, event_table(view, events if table is None else table), instant, known=known)
    names = [each.name for each in view.features]
    empty = values(view, [], instant, as_served=False)
    for key in keys:
        own = [event for event in events if key in {view.agent, f"{view.agent}@{event.project}"}]
        expected = values(view, own, instant, as_served=False)
        assert dict(zip(names, found.get(key, empty), strict=True)) == dict(zip(names, expected, strict=True)), (key, instant)
    assert set(found) <= keys


@few
@given(histories(), st.sampled_from(WINDOWS), st.integers(ORIGIN, ORIGIN + (HISTORY + 31) * DAY))
def test_any_instant_equals_oracle(events: list[Event], window, instant: int) -> None:
    assert_same(everything((window,)), events, instant)


def known_at(history: list[Event], known: int) -> list[Event]:
    """What somebody could know of a history, one event at a time: its highest revision by then, unless that is a retraction."""
    by_id = {event.event_id: [each for each in history if each.event_id == event.event_id and each.known_at <= known] for event in history}
    newest = [max(revisions, key=lambda each: each.revision) for revisions in by_id.values() if revisions]
    return [each for each in newest if each.live]


@few
@given(
    revised_histories(size=25),
    st.sampled_from(WINDOWS),
    st.integers(ORIGIN, ORIGIN + (HISTORY + 31) * DAY),
    st.one_of(instants_strategy(), st.none()),
)
def test_any_knowledge_equals_oracle(history: list[Event], window, instant: int, known: int | None) -> None:
    known = instant if known is None else known
    assert_same(everything((window,)), known_at(history, known), instant, table=resolved(history), known=known)


@few
@given(revised_histories(size=25), st.sampled_from(WINDOWS), st.integers(0, HISTORY * 24))
def test_with_its_own_knowledge_it_is_what_was_served(history: list[Event], window, hour: int) -> None:
    """The two ways to say it: the form of the rows, and the choice of what was known."""
    view, instant, events = everything((window,)), ORIGIN + hour * HOUR, resolved(history)
    found = values_at(view, event_table(view, events), instant, known=instant)
    expected = values(view, events, instant, as_served=True)
    if view.agent in found:
        assert found[view.agent] == expected
    else:
        assert expected == values(view, [], instant, as_served=True)


@pytest.mark.parametrize(
    "instant",
    [ORIGIN, ORIGIN + 12 * HOUR, ORIGIN + 12 * HOUR + 1, ORIGIN + DAY + 12 * HOUR, ORIGIN + DAY + 12 * HOUR - 1, ORIGIN + 31 * DAY],
)
def test_boundaries_of_the_crafted_history_equal_oracle(instant: int) -> None:
    assert_same(everything((days(1), days(30))), crafted(), instant)


def test_what_has_not_happened_yet_is_not_in_it() -> None:
    view = everything((days(1),))
    events = [Event("a", ORIGIN + 5, ORIGIN + 5, "p"), Event("b", ORIGIN + 6, ORIGIN + 6, "p")]
    count = [each.name for each in view.features].index("count_1d")
    assert values_at(view, event_table(view, events), ORIGIN + 5)[f"{view.agent}@p"][count] == 1
    assert f"{view.agent}@p" not in values_at(view, event_table(view, events), ORIGIN + 4)
