from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from detektor_pipelines.language.events import CATEGORIES, MEASURES
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.stores.raw_log.table import COLUMNS, body_hashes, by_operation, complete, json_text, layout, table_of

EVENT = AgentEvent(
    "e1", "pisarz", "pisarz", "research", 1_772_704_800_000_000, "test", measures={"sources_found": 3}, categories={"topic": "x"}
)


def test_the_layout_holds_every_declared_measure_and_category() -> None:
    assert COLUMNS[-len(MEASURES) - len(CATEGORIES) :] == (*MEASURES, *CATEGORIES)
    assert table_of([EVENT]).schema == table_of([]).schema == layout()


def test_the_hash_sees_the_body_and_nothing_else() -> None:
    table = table_of([EVENT])
    same = [("event_id", "e2"), ("source", "elsewhere"), ("reader_revision", 2), ("revision", 3)]
    other = [("sources_found", 4), ("sources_cited", 3), ("topic", None), ("project", "p"), ("attributes", "{}"), ("simulated", True)]
    for name, value in (*same, *other):
        position = COLUMNS.index(name)
        changed = table.set_column(position, layout().field(name), pa.array([value], layout().field(name).type))
        assert (body_hashes(changed) == body_hashes(table)) is ((name, value) in same), name


def test_an_empty_row_among_full_ones_hashes_like_alone() -> None:
    """Whether a column is all null in its chunk must not matter: the same event comes in other company next time."""
    other = AgentEvent("e2", "debugger", "d", "diagnose", 1_772_704_800_000_001, "test", project="p", measures={"hypotheses": 1})
    together = body_hashes(table_of([EVENT, other])).to_pylist()
    assert together == [body_hashes(table_of([event]))[0].as_py() for event in (EVENT, other)]


def test_the_parts_by_operation_hold_every_event_once_with_the_hash_it_has_alone() -> None:
    events = [replace(EVENT, event_id=f"e{number % 7}", operation=("research", "chat", "tool_call")[number % 3]) for number in range(7)]
    parts = by_operation(table_of(events))
    assert [part["operation"].unique().to_pylist() for part in parts] == [["research"], ["chat"], ["tool_call"]]
    hashes = {}
    for part in parts:
        hashes |= zip(part["event_id"].to_pylist(), body_hashes(part).to_pylist(), strict=True)
    assert hashes == {event.event_id: body_hashes(table_of([event]))[0].as_py() for event in events}
    assert all(part["event_id"].to_pylist() == sorted(part["event_id"].to_pylist()) for part in parts)


def test_attributes_are_written_one_way() -> None:
    assert json_text({"b": 1, "a": "x\x00y"}) == '{"a":"x\ufffdy","b":1}'
    assert json_text({}) is None


def test_what_is_no_table_of_events_is_refused() -> None:
    with pytest.raises(ValueError, match=r"absent or null ones \['event_id', 'agent_type'"):
        complete(pa.table({"colour": ["red"]}))
