"""What the tests of session readers share: reading records as lines, and events by their ids."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from detektor_pipelines.ingest.checks import problem
from detektor_pipelines.ingest.readers.formats import detect, format_named
from detektor_pipelines.ingest.readers.interface import ReadContext
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.language.records import AgentEvent, Rejection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from detektor_pipelines.ingest.files import Journal, LogFiles

    Events = dict[str, AgentEvent]


class ReadRecords(Protocol):
    def __call__(self, *records: Mapping[str, Any], project: str | None = None) -> tuple[Events, list[Rejection]]: ...


@pytest.fixture
def read_records() -> ReadRecords:
    """Read records as the lines of one file by the reader that recognises the first: events by id, rejections."""
    from importlib import import_module

    def read(*records: Mapping[str, Any], project: str | None = None) -> tuple[Events, list[Rejection]]:
        module = import_module(format_named(detect(records[0])).module)
        lines = [(number, json.dumps(record).encode()) for number, record in enumerate(records, 1)]
        found = list(module.read(lines, source="here", context=ReadContext(project=project, names=AgentNames.load())))
        events = [each for each in found if isinstance(each, AgentEvent)]
        assert all(problem(event) is None for event in events)
        by_id = {event.event_id: event for event in events}
        assert len(by_id) == len(events)
        return by_id, [each for each in found if isinstance(each, Rejection)]

    return read


@pytest.fixture
def read_found() -> Callable[[LogFiles, Journal], Events]:
    """Read what `find_logs` found, as the run does."""
    from detektor_pipelines.ingest.dispatch import Reading

    def read(found: LogFiles, journal: Journal) -> Events:
        records = Reading(found, journal, ReadContext(names=AgentNames.load())).records()
        return {event.event_id: event for event in records if isinstance(event, AgentEvent)}

    return read
