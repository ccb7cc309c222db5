from __future__ import annotations

import re
import tomllib
from pathlib import Path

from detektor_pipelines.ingest import packed
from detektor_pipelines.ingest.files import SUFFIXES
from detektor_pipelines.ingest.readers.formats import FORMATS
from detektor_pipelines.ingest.readers.interface import ReadContext
from detektor_pipelines.ingest.readers.jsonl import OPTIONAL, REQUIRED, read
from detektor_pipelines.language.events import AGENT_TYPES
from detektor_pipelines.language.records import AgentEvent

PAGE = (Path(__file__).parents[3] / "docs" / "agent-logs.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    (text,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(text)


def test_the_example_can_be_read() -> None:
    lines = list(enumerate(block("jsonl").encode().splitlines(), 1))
    events = list(read(lines, source="docs", context=ReadContext()))
    assert [event.operation for event in events if isinstance(event, AgentEvent)] == ["review", "implement", "feedback"]


def test_the_example_of_names_maps_to_agents() -> None:
    assert set(tomllib.loads(block("toml"))["agents"].values()) <= set(AGENT_TYPES)


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
