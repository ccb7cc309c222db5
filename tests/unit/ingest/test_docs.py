from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from detektor_pipelines.ingest import packed
from detektor_pipelines.ingest.files import SUFFIXES
from detektor_pipelines.ingest.readers.formats import FORMATS
from detektor_pipelines.ingest.readers.interface import ReadContext
from detektor_pipelines.ingest.readers.jsonl import OPTIONAL, REQUIRED, read
from detektor_pipelines.ingest.readers.names import agent_names
from detektor_pipelines.ingest.reports.outcome import with_stated_outcome
from detektor_pipelines.language.events import AGENT_TYPES
from detektor_pipelines.language.records import AgentEvent

PAGE = (Path(__file__).parents[3] / "docs" / "agent-logs.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return [str(text) for text in re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)]


def block(language: str) -> str:
    (text,) = blocks(language)
    return text


def test_the_example_can_be_read() -> None:
    lines = list(enumerate(block("jsonl").encode().splitlines(), 1))
    events = list(read(lines, source="docs", context=ReadContext()))
    assert [event.operation for event in events if isinstance(event, AgentEvent)] == ["review", "implement", "feedback"]


def test_the_example_of_names_maps_to_agents() -> None:
    assert set(tomllib.loads(blocks("toml")[0])["agents"].values()) <= set(AGENT_TYPES)


def test_the_example_of_purposes_can_be_used(tmp_path: Path) -> None:
    (tmp_path / "agents.toml").write_text(blocks("toml")[1])
    names = agent_names(tmp_path)
    assert names.agent_for("crew-7", "Sanity check of the export").agent_type == "code-reviewer"
    assert names.agent_for("general-purpose", "Ship the release").purpose == "release"
    assert names.agent_for("general-purpose", "Plan how we ship the release").agent_type == "unmapped"
    assert names.agent_for("Explore", "Code quality review").agent_type == "unmapped"


def test_the_example_of_a_stated_outcome_is_believed() -> None:
    (report,) = re.findall(r"^````markdown\n(.*?)^````", PAGE, re.DOTALL | re.MULTILINE)
    told = with_stated_outcome(report, "review", {"issues_found": 9}, {"verdict": "approved"})
    assert told.measures == {"issues_found": 3, "issues_critical": 1, "issues_minor": 2}
    assert (told.categories, told.attributes) == ({"verdict": "rejected"}, {"stated": True})


def test_the_figures_are_of_the_sets_that_are_there() -> None:
    labelled = Path(__file__).parents[2] / "labelled"
    calls = [json.loads(line) for line in (labelled / "calls.jsonl").read_text().splitlines()]
    second = sum(call["half"] == "second" for call in calls)
    real, reviews = (len(json.loads((labelled / name).read_text())) for name in ("shared_calls.json", "shared_reports.json"))
    page = " ".join(PAGE.split())
    assert f"{len(calls)} calls of our own wording, and {real} calls and {reviews} reviews of real transcripts" in page
    assert f'"second" are {second} calls' in page


def test_every_field_and_suffix_is_described() -> None:
    for name in (*REQUIRED, *OPTIONAL):
        assert f"`{name}`" in PAGE
    for suffix in SUFFIXES:
        assert f"{suffix.removesuffix('.gz')}`" in PAGE or suffix.endswith((".ndjson.gz", ".ndjson.xz", ".ndjson.bz2"))
    for each in FORMATS:
        for place in each.places:
            assert place.startswith("$") or place.split("/")[1] in PAGE
    for suffix in packed.SUFFIXES:
        assert f"`{suffix}`" in PAGE or suffix in {".txz", ".tbz2"}
