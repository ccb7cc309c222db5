"""The figures counted by hand over real transcripts come out of the events again; skipped where the transcripts are not.

`DETEKTOR_SHARED_DATA` names their directory (default: `../shared/data` beside the repository). Nothing of their content is kept here.
"""

from __future__ import annotations

import gzip
import os
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from detektor_pipelines.ingest.readers import transcripts
from detektor_pipelines.ingest.readers.claude_code.emit import ATTRIBUTES
from detektor_pipelines.ingest.readers.interface import ReadContext, SourceFile
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.ingest.readers.statistics import ReadStats
from detektor_pipelines.language.events import CATEGORIES, MEASURES, OPERATIONS
from detektor_pipelines.language.records import AgentEvent, Rejection

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = Path(os.environ.get("DETEKTOR_SHARED_DATA") or Path(__file__).parents[3].parent / "shared" / "data")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no real transcripts in {DATA}; DETEKTOR_SHARED_DATA names their directory"),
]


class Figures(NamedTuple):
    records: int
    sessions: int
    tool_calls: int
    errors: int
    messages: int
    output_tokens: int
    subagent_calls: int
    completed: int
    in_background: int


EXPECTED = {
    "entireio-cli": Figures(103_227, 274, 23_214, 1_046, 21_020, 1_878_772, 224, 185, 21),
    "cipher-box": Figures(17_822, 33, 3_965, 143, 2_928, 234_797, 50, 41, 3),
    "context-evaluator": Figures(13_427, 98, 3_493, 239, 3_020, 213_554, 18, 17, 0),
    "oh-my-posh-sample": Figures(1_517, 3, 377, 7, 370, 284_052, 33, 1, 32),
}
PROJECTS = {
    "entireio-cli": "cli",
    "cipher-box": "cipher-box",
    "context-evaluator": "agents-md-evaluator",
    "oh-my-posh-sample": "oh-my-posh",
}


class Reading(NamedTuple):
    events: list[AgentEvent]
    rejections: list[Rejection]
    stats: ReadStats

    def of(self, operation: str) -> list[AgentEvent]:
        return [event for event in self.events if event.operation == operation]


@lru_cache(maxsize=8)
def reading(name: str, *, with_whole_texts: bool = False) -> Reading:
    paths = [DATA / name / "events.slim.jsonl.gz", *(sorted((DATA / name / "raw").glob("*.jsonl")) if with_whole_texts else [])]
    stats = ReadStats()
    files = [SourceFile(path, path.name, path.stat().st_size, lambda path=path: lines_of(path)) for path in paths]
    out = list(transcripts.read_many(files, ReadContext(names=AgentNames.load()), stats))
    return Reading([item for item in out if isinstance(item, AgentEvent)], [item for item in out if isinstance(item, Rejection)], stats)


def lines_of(path: Path) -> Iterator[tuple[int, bytes]]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, line


def figures(read: Reading) -> Figures:
    tools, chats, subagents = read.of("tool_call"), read.of("chat"), read.of("invoke_agent")
    return Figures(
        records=read.stats.records,
        sessions=len(read.stats.sessions),
        tool_calls=len(tools),
        errors=sum(event.categories.get("outcome") == "failure" for event in tools),
        messages=len(chats),
        output_tokens=sum(event.measures["output_tokens"] for event in chats),
        subagent_calls=len(subagents),
        completed=sum(event.attributes["status"] == "completed" and not event.attributes["background"] for event in subagents),
        in_background=sum(event.attributes["background"] is True for event in subagents),
    )


@pytest.mark.parametrize("name", EXPECTED)
def test_the_figures_come_out_of_the_events(name: str) -> None:
    read = reading(name)
    assert figures(read) == EXPECTED[name]
    assert read.rejections == []
    assert read.stats.strange == {}


def test_whole_texts_of_some_records_change_no_figure_and_no_event_but_what_they_tell() -> None:
    cut, whole = reading("entireio-cli"), reading("entireio-cli", with_whole_texts=True)
    assert whole.stats.lines > cut.stats.lines
    assert figures(whole) == figures(cut) == EXPECTED["entireio-cli"]
    assert [event.event_id for event in whole.events] == [event.event_id for event in cut.events]
    for more, less in zip(whole.events, cut.events, strict=True):
        assert less.measures.items() <= more.measures.items()
        assert less.categories.items() <= more.categories.items()
        assert (less.occurred_at, less.agent_type, less.project) == (more.occurred_at, more.agent_type, more.project)


@pytest.mark.parametrize("name", EXPECTED)
def test_each_set_is_one_project(name: str) -> None:
    assert Counter(event.project for event in reading(name).events).keys() == {PROJECTS[name]}


@pytest.mark.parametrize("name", EXPECTED)
def test_every_event_is_as_its_operation_declares_it(name: str) -> None:
    read = reading(name)
    assert len({event.event_id for event in read.events}) == len(read.events)
    for event in read.events:
        operation = OPERATIONS[event.operation]
        assert set(event.measures) <= set(operation.measures)
        assert set(event.categories) <= set(operation.categories)
        assert set(event.attributes) <= ATTRIBUTES
        assert all(MEASURES[measure].minimum <= value <= MEASURES[measure].maximum for measure, value in event.measures.items())
        assert all(not CATEGORIES[category].values or value in CATEGORIES[category].values for category, value in event.categories.items())
        assert event.known_at == event.occurred_at
        assert len(str(event.attributes.get("evidence", ""))) <= 200


def test_verdicts_of_the_foreground_reviews_are_those_read_by_hand() -> None:
    """50 reviews in the foreground hold a text (15 in the background hold none); each of their verdicts was compared with the text.

    Two of them are known for reviews by what a `general-purpose` agent was called for.
    """
    reviews = reading("entireio-cli").of("review")
    assert Counter(event.derived for event in reviews) == {False: 63, True: 2}
    assert Counter(event.categories.get("verdict") for event in reviews) == {"approved": 24, "rejected": 10, None: 31}
    (security,) = reading("cipher-box").of("review")
    assert security.categories["verdict"] == "rejected"
    assert {name: security.measures[name] for name in ("issues_critical", "issues_major", "issues_minor", "issues_found")} == {
        "issues_critical": 1,
        "issues_major": 2,
        "issues_minor": 7,
        "issues_found": 10,
    }


def test_the_agents_nobody_was_seen_to_be_stay_empty() -> None:
    agents = Counter(event.agent_type for name in EXPECTED for event in reading(name).events)
    assert {"pipeline-debugger", "pisarz"}.isdisjoint(agents)
    derived = Counter(event.agent_type for name in EXPECTED for event in reading(name).events if event.derived)
    assert set(derived) == {"code-reviewer", "debugger", "deployment-specialist", "detektor-coder", "documentation-keeper"}
    only_derived = {"debugger", "deployment-specialist", "documentation-keeper"}
    assert all(event.derived for name in EXPECTED for event in reading(name).events if event.agent_type in only_derived)


def test_what_general_purpose_and_explore_were_called_for() -> None:
    works = Counter(
        event.operation for name in EXPECTED for event in reading(name).events if event.event_id.startswith("work:") and event.derived
    )
    assert works == {"review": 10, "implement": 11, "diagnose": 4, "document": 1}
