from __future__ import annotations

from itertools import combinations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from detektor_pipelines.stores.raw_log.duplicates import judge, moves, settle
from detektor_pipelines.stores.raw_log.table import BODY

NOTED = ("revision", "ingested_at")

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
    assert judged(attributes='{"a":2}') == "longer"
    assert judged(attributes='{"a":0}') == "shorter"
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
    unmarked = begun | {"attributes": None}
    assert (judge(unmarked, ended).judgement, judge(ended, unmarked).judgement) == ("longer", "shorter")
    assert judge(unmarked | {"outcome": "success"}, ended).judgement == "conflict"


def test_a_copy_in_another_session_is_the_same_event_and_the_first_session_by_name_has_it() -> None:
    original = STORED | {"session_id": "s1", "project": "shop", "task_id": "t"}
    copy = original | {"session_id": "s2", "project": "shop-fork"}
    assert judge(original, copy).judgement == "same"
    assert settled(copy, original)["session_id"] == settled(original, copy)["session_id"] == "s1"
    assert settled(copy, original)["project"] == settled(original, copy)["project"] == "shop"
    assert judge(original, copy | {"issues_found": 4}).judgement == "conflict"
    assert judge(original, copy | {"agent_type": "unmapped"}).judgement == "reread"


def test_of_copies_the_fuller_contents_count_in_the_first_session() -> None:
    cut = STORED | {"session_id": "s1", "issues_found": None}
    whole = STORED | {"session_id": "s2"}
    for first, second in ((cut, whole), (whole, cut)):
        assert {name: settled(first, second)[name] for name in ("session_id", "issues_found")} == {"session_id": "s1", "issues_found": 3}


def test_a_copy_with_later_instants_is_the_same_event() -> None:
    original, resumed = STORED | {"session_id": "s2"}, STORED | {"session_id": "s1", "occurred_at": 60}
    for found in (settled(original, resumed), settled(resumed, original)):
        assert {**found, "revision": 1, "ingested_at": 7} == {**original, "revision": 1, "ingested_at": 7}


def test_what_was_under_way_gives_way_whatever_else_differs() -> None:
    stages = [
        STORED | {"attributes": attributes, "occurred_at": number, "agent_type": "unmapped" if number < 2 else "code-reviewer"}
        for number, attributes in enumerate(['{"status":"open"}', '{"status":"launched"}', '{"status":"told"}', '{"status":"completed"}'])
    ]
    for earlier, later in combinations(stages, 2):
        assert (judge(earlier, later).judgement, judge(later, earlier).judgement) == ("longer", "shorter")


def test_a_run_whose_end_is_told_of_again_ends_when_it_was_told_last() -> None:
    first = STORED | {"attributes": '{"duration_from":"own_records"}', "duration_ms": 9}
    again = first | {"occurred_at": 50, "duration_ms": 4, "issues_found": 0, "verdict": "approved"}
    assert (judge(first, again).judgement, judge(again, first).judgement) == ("longer", "shorter")
    assert judge(first, again | {"occurred_at": 1}).judgement == "conflict"
    assert judge(first, again | {"attributes": '{"duration_from":"result"}'}).judgement == "conflict"


def settled(stored: dict[str, Any], incoming: dict[str, Any]) -> dict[str, Any]:
    """The row that counts after both."""
    kept = {"event_id": "e", "revision": 1, "ingested_at": 7, "known_at": 7, "source": "f", "retracted": False}
    found = settle({"e": kept | stored}, [kept | incoming])
    assert not found.conflicts
    return {name: value for name, value in (found.revised or [kept | stored])[-1].items() if name not in kept or name in NOTED}


values = st.fixed_dictionaries({name: st.sampled_from([None, 1, 2]) for name in ("issues_found", "issues_minor", "duration_ms")})


@given(values, values)
def test_of_two_records_the_longer_one_counts_whichever_came_first(first: dict[str, Any], second: dict[str, Any]) -> None:
    forth, back = judge(STORED | first, STORED | second).judgement, judge(STORED | second, STORED | first).judgement
    assert (forth, back) in {("same", "same"), ("longer", "shorter"), ("shorter", "longer"), ("conflict", "conflict")}


def test_an_event_moves_when_its_key_or_instant_changes() -> None:
    assert not moves(STORED, STORED | {"issues_found": 4})
    assert all(moves(STORED, STORED | change) for change in ({"agent_type": "unmapped"}, {"project": "x"}, {"occurred_at": 2}))
