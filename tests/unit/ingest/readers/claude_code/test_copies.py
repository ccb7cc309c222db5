"""Copies of one record that differ: which of them counts, whichever is read first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.clock import parse_instant

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.parametrize("backward", [False, True], ids=["as written", "the other way round"])
OTHER = "99999999-2222-4333-8444-555555555555"


def in_order(transcript: Any, *, backward: bool) -> Any:
    """Turn a transcript's records round."""
    if backward:
        transcript.records.reverse()
    return transcript


def test_of_two_lines_of_one_instant_the_one_with_more_tokens_counts(
    transcript: Any, shapes: Any, read: Callable[..., Any], *, backward: bool
) -> None:
    transcript.answer(3, "msg_1", shapes.text("a"), output=4)
    transcript.answer(3, "msg_1", shapes.text("ab"), output=77, stop="end_turn")
    (chat,) = read(in_order(transcript, backward=backward)).of("chat")
    assert (chat.measures["output_tokens"], chat.categories["outcome"]) == (77, "success")


def test_the_later_line_counts_though_it_has_fewer_tokens(
    transcript: Any, shapes: Any, read: Callable[..., Any], *, backward: bool
) -> None:
    transcript.answer(3, "msg_1", shapes.text("a"), output=77)
    transcript.answer(4, "msg_1", shapes.text("b"), output=5, stop="end_turn")
    (chat,) = read(in_order(transcript, backward=backward)).of("chat")
    assert (chat.measures["output_tokens"], chat.occurred_at) == (5, parse_instant(shapes.at(4)))


def test_a_call_began_when_and_where_its_earliest_copy_says(shapes: Any, read: Callable[..., Any], *, backward: bool) -> None:
    """A session that is resumed writes what came before once more, under its own id and with later instants."""
    first, resumed = shapes.Transcript(), shapes.Transcript(session=OTHER, cwd="/home/ada/code/other", prefix="v")
    for made, later in ((first, 0), (resumed, 5)):
        made.call(2 + later, "toolu_1", "Read")
        made.result(9 + later, "toolu_1")
    names = ("a/2.jsonl", "a/1.jsonl") if backward else ("a/1.jsonl", "a/2.jsonl")
    (call,) = read(dict(zip(names, (first, resumed), strict=True))).of("tool_call")
    assert (call.session_id, call.project, call.source) == (first.session, "rover", names[0])
    assert call.occurred_at == parse_instant(shapes.at(9))


def test_a_call_that_was_heard_of_in_both_ways_is_its_runs(
    transcript: Any, shapes: Any, read: Callable[..., Any], *, backward: bool
) -> None:
    """The main file knows by which call a subagent was started, the subagent's own file does not, and wrote it earlier."""
    transcript.subagent(1, "toolu_t", "reviewer")
    inner = shapes.answer("msg_i", shapes.tool_use("toolu_i", "Read"), stop="tool_use")
    transcript.progress(4, "toolu_t", "assistant", inner, agent_id=None)
    own = shapes.Transcript(agent_id="a1b2c3d", prefix="w")
    own.call(3, "toolu_i", "Read", "msg_i")
    main = "a/z.jsonl" if backward else "a/0.jsonl"
    found = read({main: transcript, "a/agent-a1b2c3d.jsonl": own})
    (call,) = [each for each in found.of("tool_call") if each.event_id.endswith("toolu_i")]
    assert (call.agent_type, call.raw_name) == ("code-reviewer", "reviewer")


def test_a_session_worked_first_where_its_earliest_record_says_and_of_one_instant_in_the_first_by_name(
    shapes: Any, read: Callable[..., Any], *, backward: bool
) -> None:
    made = shapes.Transcript(cwd="/home/ada/code/late")
    made.call(3, "toolu_1", "Read")
    for cwd in ("/home/ada/code/zebra", "/home/ada/code/aster"):
        made.cwd = cwd
        made.call(2, f"toolu_{cwd[-5:]}", "Read")
    assert {event.project for event in read(in_order(made, backward=backward)).events} == {"aster"}
