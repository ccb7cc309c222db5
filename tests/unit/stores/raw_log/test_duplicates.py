from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from detektor_pipelines.stores.raw_log.duplicates import judge, moves
from detektor_pipelines.stores.raw_log.table import BODY

STORED: dict[str, Any] = dict.fromkeys(BODY) | {
    "agent_type": "code-reviewer",
    "raw_name": "reviewer",
    "operation": "review",
    "occurred_at": 1,
    "derived": False,
    "simulated": False,
    "reader_revision": 1,
    "issues_found": 3,
    "attributes": '{"a":1}',
}


def judged(**changes: Any) -> str:
    return judge(STORED, STORED | changes).judgement


def test_each_relation_has_its_judgement() -> None:
    assert judged() == "same"
    assert judged(reader_revision=2) == "same"
    assert judged(issues_found=4) == "conflict"
    assert judged(issues_minor=1) == "longer"
    assert judged(issues_found=None) == "shorter"
    assert judged(issues_found=None, issues_minor=1) == "conflict"
    assert judged(attributes='{"a":1,"b":2}') == "longer"
    assert judged(attributes='{"a":2}') == "shorter"
    assert judged(attributes=None) == "shorter"
    assert judged(operation="deploy") == "conflict"
    assert judged(occurred_at=2) == "conflict"
    assert judged(agent_type="unmapped", issues_found=4) == "reread"
    assert judged(project="shop") == "reread"
    assert judged(reader_revision=2, issues_found=4) == "reread"


def test_a_conflict_says_where_it_lies() -> None:
    reason = judge(STORED, STORED | {"issues_found": 4, "raw_name": "x" * 50}).reason
    assert (
        reason == f"duplicate event_id with another body: issues_found 3 is stored, 4 here, raw_name reviewer is stored, {'x' * 40}… here"
    )
    both = judge(STORED, STORED | {"issues_found": None, "issues_minor": 1}).reason
    assert both.endswith("each says what the other does not (issues_found, issues_minor)")


def test_an_answer_read_while_it_streamed_is_replaced_by_the_finished_one() -> None:
    early = STORED | {"operation": "chat", "issues_found": None, "output_tokens": 4}
    finished = early | {"occurred_at": 9, "output_tokens": 250, "model": "m"}
    assert judge(early, finished).judgement == "longer"
    assert judge(finished, early).judgement == "shorter"
    assert judge(early, finished | {"output_tokens": 3}).judgement == "conflict"
    assert judge(early, finished | {"occurred_at": 1}).judgement == "conflict"
    assert judge(early | {"model": "n"}, finished).judgement == "conflict"


def test_a_call_read_before_it_ended_is_replaced_by_the_ended_one() -> None:
    begun = STORED | {"operation": "tool_call", "issues_found": None, "attributes": '{"status":"open"}'}
    ended = begun | {"occurred_at": 9, "outcome": "success", "attributes": None}
    assert judge(begun, ended).judgement == "longer"
    assert judge(ended, begun).judgement == "shorter"
    assert judge(begun | {"outcome": "success"}, ended).judgement == "conflict"


values = st.fixed_dictionaries({name: st.sampled_from([None, 1, 2]) for name in ("issues_found", "issues_minor", "duration_ms")})


@given(values, values)
def test_of_two_records_the_longer_one_counts_whichever_came_first(first: dict[str, Any], second: dict[str, Any]) -> None:
    forth, back = judge(STORED | first, STORED | second).judgement, judge(STORED | second, STORED | first).judgement
    assert (forth, back) in {("same", "same"), ("longer", "shorter"), ("shorter", "longer"), ("conflict", "conflict")}


def test_an_event_moves_when_its_key_or_instant_changes() -> None:
    assert not moves(STORED, STORED | {"issues_found": 4})
    assert all(moves(STORED, STORED | change) for change in ({"agent_type": "unmapped"}, {"project": "x"}, {"occurred_at": 2}))
