"""The same records give the same events, in whatever order files and lines come, once or several times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detektor_pipelines.ingest.readers import transcripts
from detektor_pipelines.ingest.readers.interface import ReadContext, SourceFile
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.ingest.readers.statistics import ReadStats

if TYPE_CHECKING:
    from collections.abc import Callable


def session(shapes: Any) -> Any:
    made = shapes.Transcript()
    made.call(1, "toolu_1", "Bash", command="git push")
    made.result(2, "toolu_1", details={"stdout": "a -> b", "stderr": "", "interrupted": False})
    made.subagent(3, "toolu_t", "reviewer")
    made.progress(4, "toolu_t", "assistant", shapes.answer("msg_i", shapes.tool_use("toolu_i", "Read"), stop="tool_use"))
    made.progress(5, "toolu_t", "user", {"role": "user", "content": [shapes.tool_result("toolu_i")]})
    made.finished(9, "toolu_t", "**Verdict: APPROVE**", totalToolUseCount=1)
    made.answer(10, "msg_1", shapes.text("a"), output=1)
    made.answer(11, "msg_1", shapes.text("b"), output=9)
    made.call(12, "toolu_open", "Read")
    return made


def events(files: Any) -> list[Any]:
    sources = [SourceFile(None, "one", 0, lambda lines=lines: iter(enumerate(lines, 1))) for lines in files]
    return list(transcripts.read_many(sources, ReadContext(names=AgentNames.load())))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_lines_may_come_twice_and_in_any_order_of_calls_before_results(shapes: Any, data: st.DataObject) -> None:
    import orjson

    lines = [orjson.dumps(record) for record in session(shapes).records]
    expected = events([lines])
    doubled = lines + data.draw(st.lists(st.sampled_from(lines), max_size=12))
    assert events([doubled]) == expected
    mixed = data.draw(st.permutations(range(len(lines))))
    calls_first = sorted(mixed, key=lambda index: b'"tool_result"' in lines[index])
    assert events([[lines[index] for index in calls_first]]) == expected


def test_files_may_come_in_any_order_and_events_are_sorted(shapes: Any, read: Callable[..., Any]) -> None:
    first, second = session(shapes), shapes.Transcript(session="9" * 8, prefix="z")
    second.call(2, "toolu_z", "Read")
    forward = read({"a.jsonl": first, "b/c.jsonl": second}).events
    backward = read({"b/c.jsonl": second, "a.jsonl": first}).events
    assert forward == backward
    assert forward == sorted(forward, key=lambda event: (event.occurred_at, event.event_id))


def test_one_file_read_by_itself_gives_what_it_gives_among_others(shapes: Any, read: Callable[..., Any]) -> None:
    import orjson

    made = session(shapes)
    lines = [orjson.dumps(record) for record in made.records]
    alone = list(
        transcripts.read(enumerate(lines, 1), source="session.jsonl", context=ReadContext(names=AgentNames.load()), stats=ReadStats())
    )
    assert alone == read(made).events


def test_directories_that_stand_apart_are_read_apart(shapes: Any, read: Callable[..., Any]) -> None:
    made = {f"{name}/s.jsonl": session(shapes) for name in ("a", "b")}
    assert len(read(made).events) == 2 * len(read({"c/s.jsonl": session(shapes)}).events)
    nested = {"a/s.jsonl": session(shapes), "a/raw/s.jsonl": session(shapes)}
    assert len(read(nested).events) == len(read({"d/s.jsonl": session(shapes)}).events)
