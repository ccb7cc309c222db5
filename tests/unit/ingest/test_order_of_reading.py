"""Sessions that are forked while calls are open, files that grow: read in any parts and order, the log ends as if all were read at once.

The oracle knows what was written, not how it is read: it shares no code with reader or store.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.ingest.readers import transcripts
from detektor_pipelines.ingest.readers.interface import ReadContext, SourceFile
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.stores.raw_log.duplicates import settle
from detektor_pipelines.stores.raw_log.live import row_of

if TYPE_CHECKING:
    from collections.abc import Sequence

CONTEXT = ReadContext(names=AgentNames.load())
START = parse_instant("2026-04-01T08:00:00Z")
COMPARED = ("operation", "agent_type", "project", "session_id", "occurred_at", "outcome", "output_tokens", "review_round", "attributes")


@dataclass(frozen=True)
class Step:
    """A call and its result, in the words of the oracle."""

    number: int
    kind: str
    failed: bool
    tokens: tuple[int, int]
    place: int | None
    """Of a provider that counts anew in each session: which step of its session it was."""

    @property
    def name(self) -> str:
        """The call's id."""
        return f"toolu_{self.number}" if self.place is None else f"functions.{self.kind}:{self.place}"

    @property
    def answer(self) -> str:
        """The answer's id."""
        return f"msg_{self.number}" if self.place is None else f"chatcmpl-{self.place}"


@dataclass(frozen=True)
class Moment:
    """One line of a file: a look at a step's answer, its call, or its result."""

    at: int
    what: str
    step: Step


@dataclass
class File:
    """One session's file, in the order in which it was written."""

    session: str
    moments: list[Moment] = field(default_factory=list)

    def lines(self, length: int) -> list[bytes]:
        return [orjson.dumps(record(moment, self.session)) for moment in self.moments[:length]]


def record(moment: Moment, session: str) -> dict[str, Any]:
    step, at = moment.step, moment.at
    common = {
        "sessionId": session,
        "uuid": f"{moment.what}{step.number}",
        "cwd": "/home/ada/lander",
        "isSidechain": False,
        "timestamp": f"2026-04-01T08:{at // 60:02d}:{at % 60:02d}.000Z",
    }
    if moment.what == "result":
        text = "ok all good" if not step.failed else "Exit code 1"
        details: dict[str, Any] = {"stdout": text, "stderr": "", "interrupted": False}
        if step.kind == "Agent":
            text = "**Verdict: APPROVE**"
            details = {"status": "completed", "agentId": f"a{step.number}", "prompt": "look", "content": [{"type": "text", "text": text}]}
        block = {"type": "tool_result", "tool_use_id": step.name, "content": text, "is_error": step.failed and step.kind != "Agent"}
        return {"type": "user", "message": {"role": "user", "content": [block]}, "toolUseResult": details, **common}
    whole = moment.what == "call"
    arguments = {"Bash": {"command": "pytest -q"}, "Agent": {"subagent_type": "reviewer", "description": "Look at it", "prompt": "look"}}
    block = {"type": "tool_use", "id": step.name, "name": step.kind, "input": arguments[step.kind]}
    usage = {"input_tokens": 3, "output_tokens": step.tokens[whole], "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    message = {
        "id": step.answer,
        "role": "assistant",
        "model": "m-1",
        "stop_reason": "tool_use" if whole else None,
        "content": [block] if whole else [{"type": "text", "text": "I look"}],
        "usage": usage,
    }
    return {"type": "assistant", "message": message, **common}


@st.composite
def written(draw: st.DrawFn) -> list[File]:
    """One session and up to two forks of it or of each other; results may come after a fork was taken, in either file or in both."""
    names = draw(st.permutations(["s1", "s2", "s3"]))
    files = [File(names[0])]
    clock, number, open_steps = 0, 0, {names[0]: []}
    counts_anew = draw(st.booleans())
    for _ in range(draw(st.integers(2, 12))):
        clock += draw(st.integers(1, 20))
        file = draw(st.sampled_from(files))
        action = draw(st.sampled_from(["step", "step", "result", "result", "fork"]))
        if action == "step":
            number += 1
            few = draw(st.integers(1, 5))
            step = Step(number, draw(st.sampled_from(["Bash", "Agent"])), draw(st.booleans()), (few, few + draw(st.integers(0, 9))), None)
            if counts_anew:
                step = replace(step, place=sum(moment.what == "look" for moment in file.moments))
            file.moments += [Moment(clock, "look", step), Moment(clock + 1, "call", step)]
            clock += 1
            open_steps[file.session].append(step)
        elif action == "result" and open_steps[file.session]:
            step = open_steps[file.session].pop(draw(st.integers(0, len(open_steps[file.session]) - 1)))
            # A call has one result, though two files may hold it: whoever writes it later copies it.
            known = next((moment for each in files for moment in each.moments if (moment.what, moment.step) == ("result", step)), None)
            file.moments.append(known or Moment(clock, "result", step))
        elif action == "fork" and len(files) < len(names):
            cut = draw(st.integers(0, len(file.moments)))
            fork = File(names[len(files)], file.moments[:cut])
            ended = {moment.step for moment in fork.moments if moment.what == "result"}
            called = [moment.step for moment in fork.moments if moment.what == "call"]
            open_steps[fork.session] = [step for step in called if step not in ended]
            files.append(fork)
    return files


def anchor(step: Step, at: int) -> str:
    """What tells a counted id from the same one in another session: when its first record was written."""
    return "" if step.place is None else f"@{START + at * 1_000_000}"


def expected(files: Sequence[File]) -> dict[str, dict[str, Any]]:
    """Say what the log must hold once every line was read."""
    found: dict[str, dict[str, Any]] = {}
    for step in {moment.step: None for file in files for moment in file.moments}:
        of_step = [(moment, file) for file in files for moment in file.moments if moment.step == step]
        looks = [moment for moment, _ in of_step if moment.what != "result"]
        calls = [(moment, file) for moment, file in of_step if moment.what == "call"]
        ends = [moment.at for moment, _ in of_step if moment.what == "result"]
        last = max(looks, key=lambda moment: moment.at)
        seen = min(file.session for _, file in of_step)
        place = {"project": "lander"}
        first = min(looks, key=lambda moment: moment.at)
        found[f"msg:{step.answer}{anchor(step, first.at)}"] = {
            **place,
            "operation": "chat",
            "agent_type": "unmapped",
            "session_id": seen,
            "occurred_at": last.at,
            "outcome": "success",
            "output_tokens": step.tokens[last.what == "call"],
        }
        if not calls:
            continue
        called = calls[0][0]
        name = f"{step.name}{anchor(step, called.at)}"
        saw_it_end = [file for moment, file in of_step if moment.what == "result"]
        holder = min(saw_it_end or [file for _, file in calls], key=lambda file: file.session)
        place |= {"session_id": holder.session, "occurred_at": ends[0] if ends else called.at}
        is_open = {} if ends else {"attributes": b'{"status":"open"}'.decode()}
        failed = step.failed and step.kind == "Bash"
        outcome = {"outcome": "failure" if failed else "success"} if ends else {}
        found[f"tool:{name}"] = {**place, "operation": "tool_call", "agent_type": "unmapped", **outcome, **is_open}
        if step.kind == "Bash":
            found[f"test:{name}"] = {**place, "operation": "test_run", "agent_type": "detektor-coder", **outcome, **is_open}
            continue
        round_ = 1 + sum(moment.what == "call" and moment.step.kind == "Agent" and moment.at < called.at for moment in holder.moments)
        found[f"invoke:{name}"] = {**place, "operation": "invoke_agent", "agent_type": "code-reviewer", **outcome}
        if ends:
            review = {"operation": "review", "agent_type": "code-reviewer", "review_round": round_}
            found[f"work:{name}"] = {**place, **review, **outcome}
    for event in found.values():
        event["occurred_at"] = START + event["occurred_at"] * 1_000_000
    return found


class Log:
    """The store's rules over a dictionary."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.conflicts: list[str] = []
        self.clock = START + 10**12

    def ingest(self, given: dict[str, list[bytes]]) -> None:
        self.clock += 1
        sources = [SourceFile(None, name, 0, lambda lines=lines: iter(enumerate(lines, 1))) for name, lines in given.items()]
        for source in self._together(sources):
            for event in transcripts.read_many(source, CONTEXT):
                assert isinstance(event, AgentEvent), event
                self._store(row_of(event, self.clock))

    @staticmethod
    def _together(sources: list[SourceFile]) -> list[list[SourceFile]]:
        """Files of one directory are read together; those without a path would be read apart."""
        return [[replace(source, path=Path("/nowhere") / source.source) for source in sources]]

    def _store(self, row: dict[str, Any]) -> None:
        stored = self.rows.get(row["event_id"])
        if stored is None:
            self.rows[row["event_id"]] = row
            return
        found = settle({row["event_id"]: stored}, [row])
        self.conflicts += [each.reason for each in found.conflicts]
        if found.revised:
            self.rows[row["event_id"]] = found.revised[-1]

    def as_it_counts(self) -> dict[str, dict[str, Any]]:
        return {
            event_id: {
                name: row[name]
                for name in COMPARED
                if row[name] is not None and (name != "attributes" or row["operation"] in {"tool_call", "test_run"})
            }
            for event_id, row in self.rows.items()
        }


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_the_log_ends_as_if_everything_was_read_at_once(data: st.DataObject) -> None:
    files = [file for file in data.draw(written()) if file.moments]
    if not files:
        return
    log = Log()
    for _ in range(data.draw(st.integers(0, 4))):
        # Any files together, each as far as it is written: an older copy may come after a newer one.
        chosen = data.draw(st.lists(st.sampled_from(files), unique_by=lambda file: file.session, min_size=1))
        log.ingest({f"{file.session}.jsonl": file.lines(data.draw(st.integers(1, len(file.moments)))) for file in chosen})
    for part in data.draw(st.sampled_from([[files], [[file] for file in files], [[file] for file in reversed(files)]])):
        log.ingest({f"{file.session}.jsonl": file.lines(len(file.moments)) for file in part})
    assert log.conflicts == []
    counts, wanted = log.as_it_counts(), expected(files)
    assert {name: counts.get(name) for name in wanted} == wanted
    assert counts.keys() == wanted.keys()
