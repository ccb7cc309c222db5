"""Reads our own log format: one JSON object a line, flat, with the names of `language.events`.

The format is described in `docs/agent-logs.md`; its JSON Schema is `docs/agent-events.schema.json`, made by `ingest.schema`.
"""

from __future__ import annotations

import hashlib
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import orjson

from detektor_pipelines.clock import is_week_date, now_us, parse_instant
from detektor_pipelines.ingest.checks import HELD_US, problem
from detektor_pipelines.ingest.masking import excerpt
from detektor_pipelines.ingest.readers.interface import SourceFile
from detektor_pipelines.ingest.readers.projects import project_name, project_of_remote
from detektor_pipelines.ingest.readers.records import NO_OBJECT, TORN, records_of
from detektor_pipelines.language.events import AGENT_TYPES, CATEGORIES, MEASURES, UNMAPPED
from detektor_pipelines.language.records import AgentEvent, Rejection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from detektor_pipelines.ingest.readers.interface import Line, ReadContext
    from detektor_pipelines.ingest.readers.shapes import Record
    from detektor_pipelines.ingest.readers.statistics import ReadStats

READER_REVISION: Final = 1

REQUIRED: Final = ("agent", "operation", "occurred_at")
OPTIONAL: Final = ("event_id", "project", "session_id", "task_id", "known_at", "derived", "simulated", "attributes", "extra")
FIELDS: Final = frozenset({*REQUIRED, *OPTIONAL, *MEASURES, *CATEGORIES})


class _BadRecordError(Exception):
    """Why a line is not an event; the text becomes the rejection's reason. `value` goes to its excerpt."""

    def __init__(self, reason: str, value: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.value = value


def read_many(files: Sequence[SourceFile], context: ReadContext, stats: ReadStats | None = None) -> Iterator[AgentEvent | Rejection]:
    """Read files one after another: no event stands in more than one line.

    Args:
        files: The files, in the order in which they are read.
        context: Project and agent names.
        stats: Counted into. Without it nobody else could read a record of another format, so that one is rejected as well.

    """
    for file in files:
        yield from _read(file, context, stats)


def read(lines: Iterable[Line], *, source: str, context: ReadContext, stats: ReadStats | None = None) -> Iterator[AgentEvent | Rejection]:
    """Read one file; every line is an event or a rejection that names it."""
    given = list(lines)
    yield from read_many([SourceFile(None, source, 0, lambda: iter(given))], context, stats)


def _read(file: SourceFile, context: ReadContext, stats: ReadStats | None) -> Iterator[AgentEvent | Rejection]:
    holds_nothing, number = True, 0
    for number, line in file.open():
        found = records_of(line)
        holds_nothing = holds_nothing and not found
        for record in found or ((TORN,) if stats is None else ()):
            if stats is not None and not isinstance(record, str):
                if not _is_own(record) and stats.is_of_another(record, file.source, "jsonl"):
                    continue
                stats.lines += 1
            yield _event_or_rejection(record, file.source, number, line, context)
    if holds_nothing and number and stats is not None:
        yield Rejection(file.source, 1, "the file holds nothing but NULs")


def _event_or_rejection(record: Record | str, source: str, number: int, line: bytes, context: ReadContext) -> AgentEvent | Rejection:
    event_id = None
    try:
        event = _event(_checked(record), source, context)
        event_id = event.event_id
        _check(event, live=context.live)
    except _BadRecordError as error:
        said = f"{error.value[:80]} in " if error.value else ""
        return Rejection(source, number, error.reason, said + excerpt(line), _storable_id(event_id))
    return event


def _is_own(record: Record) -> bool:
    return "operation" in record and "agent" in record


def _checked(record: Record | str) -> dict[str, Any]:
    if isinstance(record, str):
        reason, _, why = record.partition(": ")
        raise _BadRecordError("the line is not a JSON object" if reason == NO_OBJECT else reason, why)
    strange = record.keys() - FIELDS
    if strange:
        name = min(strange)
        near = _near(name[:60])
        raise _BadRecordError(f"unknown field {name[:60]!r}" + (f", is {near[0]!r} meant?" if near else ": put it under 'attributes'"))
    given = {name: value for name, value in record.items() if value is not None}
    for name in REQUIRED:
        if name not in given:
            raise _BadRecordError(f"the field {name!r} is missing")
    return given


@lru_cache(maxsize=1024)
def _near(name: str) -> list[str]:
    return get_close_matches(name, FIELDS, 1)


def _event(record: dict[str, Any], source: str, context: ReadContext) -> AgentEvent:
    raw_name = _typed(record, "agent", str)
    occurred_at = _instant(record, "occurred_at")
    return AgentEvent(
        event_id=_typed(record, "event_id", str) or _id_of(record),
        agent_type=_agent_type(raw_name, context),
        raw_name=raw_name,
        operation=_typed(record, "operation", str),
        occurred_at=occurred_at,
        source=source,
        project=_project(_typed(record, "project", str), context),
        session_id=_typed(record, "session_id", str),
        task_id=_typed(record, "task_id", str),
        known_at=_instant(record, "known_at") if "known_at" in record else occurred_at,
        measures={name: value for name, value in record.items() if name in MEASURES},
        categories={name: value for name, value in record.items() if name in CATEGORIES},
        attributes=_typed(record, "attributes", dict) or {},
        extra=_extra(record),
        derived=bool(_typed(record, "derived", bool)),
        simulated=bool(_typed(record, "simulated", bool)),
        reader_revision=READER_REVISION,
    )


def _check(event: AgentEvent, *, live: bool) -> None:
    found = problem(event, now_us() + HELD_US if live else None)
    if found:
        raise _BadRecordError(*found)


def _typed(record: dict[str, Any], name: str, kind: type) -> Any:
    """Return the field's value, None when absent."""
    value = record.get(name)
    if value is not None and type(value) is not kind:
        names = {str: "text", bool: "true or false", dict: "a JSON object"}
        raise _BadRecordError(f"the field {name!r} is not {names[kind]}", str(value))
    return value


def _instant(record: dict[str, Any], name: str) -> int:
    value = record[name]
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        if isinstance(value, str) and is_week_date(value):
            raise _BadRecordError(f"the field {name!r} is a week date, not a timestamp such as 2026-03-05T10:00:00Z", value)
        return parse_instant(value)
    except (TypeError, ValueError, OverflowError):
        raise _BadRecordError(f"the field {name!r} is not a timestamp such as 2026-03-05T10:00:00Z", str(value)) from None


def _extra(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (_typed(record, "extra", dict) or {}).items() if value is not None}


def _agent_type(raw_name: str, context: ReadContext) -> str:
    if context.names is not None:
        return context.names.agent_type(raw_name)
    return raw_name if raw_name in AGENT_TYPES else UNMAPPED


def _project(said: str | None, context: ReadContext) -> str | None:
    if context.project is not None:
        return project_name(context.project)
    if said is not None:
        return project_name(said)
    return project_of_remote(context.git_remote) if context.git_remote is not None else None


def _id_of(record: dict[str, Any]) -> str:
    """Make an id out of the record itself: the same record read again is the same event."""
    try:
        body = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise _BadRecordError("the record is nested too deep, or holds a number beyond 64 bits", str(error)) from None
    return f"jsonl-{hashlib.md5(body, usedforsecurity=False).hexdigest()}"


def _storable_id(event_id: str | None) -> str | None:
    return event_id[:200] if event_id else None
