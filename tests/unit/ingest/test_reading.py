"""Reading in a process of its own says what reading here says, and its end before all was read is an error."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detektor_pipelines import clock
from detektor_pipelines.errors import UserError
from detektor_pipelines.ingest import reading
from detektor_pipelines.ingest.readers.interface import ReadContext, context_of
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.ingest.reading import Apart, Ended, Found, Here, Records, begin
from detektor_pipelines.language.records import AgentEvent
from tests.support.examples import examples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from detektor_pipelines.ingest.reading import Message

NAMES = AgentNames.load()
EVENT = AgentEvent("e1", "code-reviewer", "critic", "review", 1, "here", measures={"issues_found": 2}, attributes={"deep": [{"a": None}]})

texts = st.text(max_size=8)
own_records = st.fixed_dictionaries(
    {"agent": st.sampled_from(["reviewer", "dev", ""]), "operation": st.sampled_from(["review", "implement", "juggle"])},
    optional={
        "occurred_at": st.sampled_from(["2026-03-01T10:00:00Z", "2026-03-02T10:00:00.5Z", "2999-01-01T00:00:00Z"]),
        "event_id": st.sampled_from(["a", "b", "\ud800"]) | texts,
        "issues_found": st.integers(-1, 2**70),
        "attributes": st.dictionaries(
            texts, st.none() | st.booleans() | st.floats(allow_nan=False) | st.lists(texts, max_size=2), max_size=2
        ),
    },
)
answers = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["assistant", "user", "progress", "hologram", "summary"]),
        "sessionId": st.sampled_from(["s1", "s2"]),
        "timestamp": st.sampled_from(["2026-03-01T10:00:00.000Z", "2026-03-01T10:00:01.000Z", "yesterday"]),
        "message": st.fixed_dictionaries(
            {
                "id": st.sampled_from(["msg_1", "msg_2", "0"]),
                "model": st.just("m"),
                "usage": st.fixed_dictionaries({"input_tokens": st.integers(-1, 9), "output_tokens": st.integers(0, 9)}),
                "content": st.lists(
                    st.sampled_from(
                        [
                            {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "git push && pytest"}},
                            {
                                "type": "tool_use",
                                "id": "toolu_2",
                                "name": "Task",
                                "input": {"subagent_type": "dev", "prompt": "Review it."},
                            },
                            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "main -> main", "is_error": False},
                            {"type": "tool_result", "tool_use_id": "toolu_2", "content": "done", "is_error": True},
                        ]
                    ),
                    max_size=3,
                ),
            }
        ),
    }
)


def as_line(record: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(record)
    except TypeError:  # half a surrogate pair, a number beyond 64 bits
        return str(record).encode("utf-8", "surrogatepass")


lines = st.lists(
    st.builds(as_line, own_records | answers) | st.binary(max_size=6).filter(lambda line: b"\n" not in line), min_size=1, max_size=12
)


def said(messages: Iterator[Message]) -> tuple[list[Any], list[Any], list[Message]]:
    """All events and rejections with their reader, and the other messages: how records are cut into messages does not matter."""
    events, rejections, others = [], [], []
    for message in messages:
        if isinstance(message, Records):
            events += [(message.reader, event) for event in message.events]
            rejections += [(message.reader, rejection) for rejection in message.rejections]
        else:
            others.append(message)
    return events, rejections, others


@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(files=st.lists(lines, min_size=1, max_size=3))
def test_a_process_of_its_own_says_the_same(tmp_path_factory: pytest.TempPathFactory, files: list[list[bytes]]) -> None:
    directory = tmp_path_factory.mktemp("logs")
    for number, content in enumerate(files):
        (directory / f"{number}.jsonl").write_bytes(b"\n".join([b'{"agent":"dev","operation":"review"}', *content]))
    context = context_of([directory], None, NAMES)
    read: list[int] = []
    with Apart(Here([directory], context)) as apart:
        found = said(apart.messages(read.append))
    here: list[int] = []
    assert found == said(Here([directory], context).messages(here.append))
    assert sum(read) == sum(here)


class Made:
    """A reading that says what a test wants; the last may be something to do."""

    def __init__(self, *what: Message | Callable[[], object]) -> None:
        self.started = time.perf_counter()
        self._what = what

    def messages(self, on_bytes: Callable[[int], None]) -> Iterator[Message]:
        for each in self._what:
            if isinstance(each, Found | Records | Ended):
                on_bytes(1)
                yield each
            else:
                each()


def fails() -> None:
    message = "a fault of ours"
    raise KeyError(message)


def refuses() -> None:
    raise UserError("No.", where="here", fix="Ask again.")


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "signal 9"),
        (lambda: os._exit(3), "exit code 3"),
    ],
)
def test_a_killed_process_is_an_error_after_what_it_sent(ends: Callable[[], object], told: str) -> None:
    with Apart(Made(Records("jsonl", [EVENT]), ends)) as apart:
        messages = apart.messages(lambda _: None)
        assert next(messages) == Records("jsonl", [EVENT])
        with pytest.raises(UserError, match=told):
            next(messages)


def test_what_goes_wrong_there_is_raised_here() -> None:
    with Apart(Made(refuses)) as apart, pytest.raises(UserError) as refused:
        list(apart.messages(lambda _: None))
    assert (refused.value.what, refused.value.where, refused.value.fix) == ("No.", "here", "Ask again.")
    with Apart(Made(fails)) as apart, pytest.raises(RuntimeError, match="a fault of ours"):
        list(apart.messages(lambda _: None))


def test_leaving_early_ends_the_process() -> None:
    with Apart(Made(lambda: time.sleep(60))) as apart:
        pass
    with pytest.raises(ChildProcessError):
        os.waitpid(apart._child, os.WNOHANG)


def test_the_other_process_does_not_go_by_a_clock_that_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stood = clock.stand(tmp_path, 1_700_000_000_000_000)
    monkeypatch.setenv(clock.VARIABLE, stood)

    def tell() -> None:
        raise UserError(os.environ.get(clock.VARIABLE, "the machine's"))

    with Apart(Made(tell), tmp_path) as apart, pytest.raises(UserError, match="the machine's"):
        list(apart.messages(lambda _: None))
    assert clock.kept(tmp_path) == os.environ[clock.VARIABLE] == stood


def test_one_processor_reads_in_one_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(reading, "_processors", lambda: 1)
    with begin([tmp_path], ReadContext(), tmp_path) as chosen:
        assert isinstance(chosen, Here)
