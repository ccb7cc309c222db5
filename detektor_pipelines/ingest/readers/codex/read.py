"""Reads rollouts one after the other: a file's rejections, then its events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detektor_pipelines.ingest.masking import excerpt
from detektor_pipelines.ingest.readers.codex.collect import Collector
from detektor_pipelines.ingest.readers.codex.emit import Emitter
from detektor_pipelines.ingest.readers.codex.state import Rollout
from detektor_pipelines.ingest.readers.interface import SourceFile
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.ingest.readers.projects import project_name, project_of_directory, project_of_remote, remote_of_directory
from detektor_pipelines.ingest.readers.records import records_of
from detektor_pipelines.ingest.readers.shapes import STRANGE_SHAPE, UnreadableRecordError, strange_shape
from detektor_pipelines.ingest.readers.statistics import ReadStats
from detektor_pipelines.language.records import Rejection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from detektor_pipelines.ingest.readers.interface import Line, ReadContext
    from detektor_pipelines.language.records import AgentEvent


def read(lines: Iterable[Line], *, source: str, context: ReadContext, stats: ReadStats | None = None) -> Iterator[AgentEvent | Rejection]:
    """Read one rollout; see `read_many`."""
    given = list(lines)
    yield from read_many([SourceFile(None, source, 0, lambda: iter(given))], context, stats)


def read_many(files: Sequence[SourceFile], context: ReadContext, stats: ReadStats | None = None) -> Iterator[AgentEvent | Rejection]:
    """Read rollouts one after the other: a file's rejections, then its events by (occurred_at, event_id).

    Last comes the work of subagents whose own rollout is not among the files, as far as their parents tell of it. An event that stands in
    two files (a copy of a whole file) is that of the first by name.

    Args:
        files: Rollouts; the order does not matter. By name a parent comes before its forks, which are then cut by what it holds.
        context: Project and agent names.
        stats: Counted into, where given.

    """
    counted = stats if stats is not None else ReadStats()
    names = context.names if context.names is not None else AgentNames()
    known: dict[str, set[str]] = {}
    seen: set[str] = set()
    told: dict[str, AgentEvent] = {}
    for file in sorted(files, key=lambda file: str(file.path or file.source)):
        rollout = Rollout(file.source)
        yield from _collect(file, Collector(rollout, known, counted), counted)
        if rollout.thread:
            counted.sessions.add(rollout.thread)
            known.setdefault(rollout.thread, set()).update(rollout.ids)
        emitter = Emitter(rollout, names, _project(rollout, context))
        told.update((event.event_id, event) for event in emitter.told())
        events = [event for event in emitter.events() if event.event_id not in seen]
        seen.update(event.event_id for event in events)
        yield from sorted(events, key=lambda event: (event.occurred_at, event.event_id))
    absent = [event for event in told.values() if event.event_id not in seen and event.session_id not in known]
    yield from sorted(absent, key=lambda event: (event.occurred_at, event.event_id))


def _collect(file: SourceFile, collector: Collector, stats: ReadStats) -> Iterator[Rejection]:
    for number, line in file.open():
        for record in records_of(line):
            if isinstance(record, str):
                reason = record
            elif "payload" not in record and stats.is_of_another(record, file.source, "codex"):
                continue  # left to its reader
            else:
                try:
                    collector.add(record)
                    continue
                except UnreadableRecordError as error:
                    reason = str(error)
                except STRANGE_SHAPE as error:
                    reason = strange_shape(record.get("type"), error)
            stats.rejected += 1
            yield Rejection(file.source, number, reason, excerpt(line))


def _project(rollout: Rollout, context: ReadContext) -> str | None:
    """Say which project a rollout is of: what the user says, a remote, the directory; a remote that names nothing is none."""
    if context.project and (given := project_name(context.project)):
        return given
    remotes = (context.git_remote, rollout.remote, remote_of_directory(rollout.cwd) if rollout.cwd else None)
    named = next((name for remote in remotes if remote and (name := project_of_remote(remote))), None)
    return named or (project_of_directory(rollout.cwd) if rollout.cwd else None)
