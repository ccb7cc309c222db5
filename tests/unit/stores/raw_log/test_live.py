from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from detektor_pipelines.language.events import OPERATIONS
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.stores.raw_log.live import body_hash, row_of
from detektor_pipelines.stores.raw_log.table import body_hashes, table_of

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=8)


@st.composite
def events(draw: st.DrawFn) -> AgentEvent:
    operation = draw(st.sampled_from(list(OPERATIONS.values())))
    return AgentEvent(
        event_id=draw(TEXT),
        agent_type="code-reviewer",
        raw_name=draw(TEXT),
        operation=operation.name,
        occurred_at=draw(st.integers(0, 4_000_000_000_000_000)),
        source="test",
        project=draw(st.none() | TEXT),
        task_id=draw(st.none() | TEXT),
        measures=draw(st.dictionaries(st.sampled_from(operation.measures), st.integers(-(2**40), 2**40))),
        categories=draw(st.dictionaries(st.sampled_from(operation.categories or ("outcome",)), TEXT)),
        attributes=draw(st.dictionaries(TEXT, st.integers(-(2**50), 2**50) | TEXT, max_size=3)),
        derived=draw(st.booleans()),
        simulated=draw(st.booleans()),
    )


@settings(deadline=None)  # the first example imports pyarrow
@given(st.lists(events(), min_size=1, max_size=4))
def test_a_live_event_has_the_hash_that_bulk_gives_it(given_events: list[AgentEvent]) -> None:
    bulk = [each.as_py() for each in body_hashes(table_of(given_events))]
    assert [body_hash(row_of(event, 0)).bytes for event in given_events] == bulk
