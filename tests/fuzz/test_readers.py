"""Every log reader on bent records: it ends, it raises nothing but what a person can read, and each line is told somewhere."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.mangled import lines_of, not_for_ever, written
from support.valid_records import LINES

from detektor_pipelines.ingest import run
from detektor_pipelines.ingest.readers.formats import format_named
from detektor_pipelines.ingest.readers.interface import ReadContext
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.ingest.readers.statistics import ReadStats
from detektor_pipelines.settings import Settings
from detektor_pipelines.stores.raw_log.bulk import IngestCounts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from detektor_pipelines.language.records import AgentEvent, Rejection
    from detektor_pipelines.stores.raw_log.writer import Chunk

NAMES = AgentNames.load()
A_LINE_THAT_IS_KEPT = b'{"agent":"main","operation":"chat","occurred_at":"2026-03-05T10:00:00Z","event_id":"last"}'


class Kept:
    """Takes the place of the raw log, so that a reading needs no database."""

    events: list[AgentEvent]
    rejections: list[Rejection]

    def __init__(self, *_: Any, **__: Any) -> None:
        type(self).events, type(self).rejections = [], []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Keep what was written."""

    def write_chunks(self, chunks: Sequence[Chunk], rejections: Sequence[Rejection]) -> IngestCounts:
        events = [line.event for chunk in chunks for line in chunk.lines]
        self.events.extend(events)
        self.rejections.extend(rejections)
        return IngestCounts(added=len(events), rejected=len(rejections))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "EventWriter", Kept)
        yield tmp_path_factory.mktemp("logs")


@pytest.mark.parametrize("name", LINES)
@settings(max_examples=examples(12), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_a_bent_log_is_read_to_its_end(name: str, data: st.DataObject, place: Path) -> None:
    lines = data.draw(lines_of(LINES[name]))
    file = place / "log.jsonl"
    file.write_bytes(b"\n".join([written(LINES[name][0]), *lines, A_LINE_THAT_IS_KEPT]) + b"\n")
    with not_for_ever():
        report = run.ingest(Settings(home=place), [file])
    assert [event.event_id for event in Kept.events if event.event_id == "last"] == ["last"]
    assert report.counts.added == len(Kept.events) == sum(report.events.values())
    assert sum(report.rejected.values()) == len(Kept.rejections)
    assert orjson.dumps(report.as_kept([file]))


@pytest.mark.parametrize("name", LINES)
@settings(max_examples=examples(12), suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_a_line_is_an_event_a_rejection_or_counted(name: str, data: st.DataObject) -> None:
    reader = import_module(format_named(name).module)
    for line in data.draw(lines_of(LINES[name])):
        if not line.replace(b"\x00", b"").strip() or b"\n" in line:
            continue
        stats = ReadStats()
        with not_for_ever():
            found = list(reader.read([(1, line.strip())], source="here", context=ReadContext(names=NAMES), stats=stats))
        told = bool(found) or stats.lines or stats.records or stats.strange.total() or stats.elsewhere
        assert told, line[:300]
