"""Reads Claude Code's transcripts, in all the shapes they have had from version 2.0 to 2.1.2xx.

What stands in several files is joined: a session's main file, its subagents' files beside it, copies of the same records (a cut one and a
whole one). Files are read in groups, a directory with everything below it; memory is bounded by the largest group's calls and messages,
not by its texts.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

import orjson

from detektor_pipelines.files import content_of
from detektor_pipelines.ingest.masking import excerpt
from detektor_pipelines.ingest.readers.claude_code.collect import Collector, is_own
from detektor_pipelines.ingest.readers.claude_code.emit import Emitter
from detektor_pipelines.ingest.readers.claude_code.usual import usual_of
from detektor_pipelines.ingest.readers.interface import SourceFile
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.ingest.readers.projects import project_name, project_of_directory, project_of_remote, remote_of_directory
from detektor_pipelines.ingest.readers.records import records_of
from detektor_pipelines.ingest.readers.shapes import STRANGE_SHAPE, UnreadableRecordError, strange_shape
from detektor_pipelines.ingest.readers.statistics import ReadStats
from detektor_pipelines.language.records import Rejection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from detektor_pipelines.ingest.readers.claude_code.state import State
    from detektor_pipelines.ingest.readers.interface import Line, ReadContext
    from detektor_pipelines.ingest.readers.shapes import Record
    from detektor_pipelines.language.records import AgentEvent

NAME: Final = "claude-code"

CHECKPOINT_METADATA: Final = ("checkpoints_metadata.jsonl", "checkpoints_metadata.jsonl.gz")
"""The index of an export of checkpoints: no transcript, but all transcripts beside and below it are of one repository."""

_SUBAGENT_FILE: Final = re.compile(r"agent-([A-Za-z0-9]+)\.jsonl(?:\.gz)?")


def read(lines: Iterable[Line], *, source: str, context: ReadContext, stats: ReadStats | None = None) -> Iterator[AgentEvent | Rejection]:
    """Read one transcript; see `read_many`."""
    given = list(lines)
    yield from read_many([SourceFile(None, source, 0, lambda: iter(given))], context, stats)


def read_many(files: Sequence[SourceFile], context: ReadContext, stats: ReadStats | None = None) -> Iterator[AgentEvent | Rejection]:
    """Read transcripts together: rejections as they are met, then each group's events by (occurred_at, event_id).

    Args:
        files: Transcripts; the order does not matter.
        context: Project and agent names.
        stats: Counted into, where given.

    """
    counted = stats if stats is not None else ReadStats()
    names = context.names if context.names is not None else AgentNames()
    for group in _groups([file for file in files if not _is_metadata(file)]):
        collector = Collector(counted)
        for file in group:
            yield from _collect(file, collector, counted)
        for file in group:
            _take_meta(file, collector)
        state = collector.state
        del collector  # what it has seen is not asked for any more
        counted.orphan_results += sum(call.at is None for call in state.calls.values())
        yield from Emitter(state, names, _projects(state, group, context)).events()


def _groups(files: Sequence[SourceFile]) -> list[list[SourceFile]]:
    """Files of one directory and all below it together; each file without a path alone."""
    directories = {file.path.parent for file in files if file.path is not None}
    groups: dict[str, list[SourceFile]] = {}
    for file in files:
        if file.path is None:
            groups[f"\0{len(groups)}"] = [file]
            continue
        above = [parent for parent in file.path.parents if parent in directories]
        groups.setdefault(str(above[-1]), []).append(file)
    return [sorted(group, key=lambda file: str(file.path or file.source)) for _, group in sorted(groups.items())]


def _collect(file: SourceFile, collector: Collector, stats: ReadStats) -> Iterator[Rejection]:
    for number, line in file.open():
        usual = usual_of(line)
        if usual is not None and collector.add_usual(usual, file.source):
            continue
        for record in records_of(line):
            reason = record if isinstance(record, str) else _take(record, file, collector, stats)
            if reason is not None:
                stats.rejected += 1
                yield Rejection(file.source, number, reason, excerpt(line))


def _take(record: Record, file: SourceFile, collector: Collector, stats: ReadStats) -> str | None:
    """Collect one record; return why it could not be. One of another format is left to its reader."""
    try:
        if not is_own(record) and stats.is_of_another(record, file.source, NAME):
            return None
        collector.add(record, file.source)
    except UnreadableRecordError as error:
        return str(error)
    except STRANGE_SHAPE as error:
        return strange_shape(record.get("type"), error)
    return None


def _is_metadata(file: SourceFile) -> bool:
    return file.path is not None and file.path.name in CHECKPOINT_METADATA


def _take_meta(file: SourceFile, collector: Collector) -> None:
    """Read `agent-<id>.meta.json` beside a subagent's own file, where there is one."""
    named = _SUBAGENT_FILE.fullmatch(file.path.name) if file.path else None
    if file.path is None or named is None:
        return
    meta = file.path.with_name(f"agent-{named[1]}.meta.json")
    try:
        content = orjson.loads(content_of(meta))
    except (OSError, orjson.JSONDecodeError):
        return
    for session, agent_id in list(collector.state.side_threads):
        if agent_id == named[1] and isinstance(content, dict) and session is not None:
            collector.sidechain(session, agent_id, content)


# Projects -------------------------------------------------------------------------------------------------------------------


def _projects(state: State, group: Sequence[SourceFile], context: ReadContext) -> Callable[[str | None], str | None]:
    """Say of each session which project it belongs to; rule by rule, the first that knows decides."""
    fixed = project_name(context.project) if context.project else None
    if fixed is None and context.git_remote:
        fixed = project_of_remote(context.git_remote)
    if fixed is not None:
        return lambda _session: fixed
    named = {session: _project_of_session(known.cwd, known.repository) for session, known in state.sessions.items()}
    if _is_one_repository(group):
        common = _common_project(state, named)
        return lambda session: common if session is not None else None
    return lambda session: named.get(session or "")


def _project_of_session(cwd: str | None, repository: str | None) -> str | None:
    """The remote of the directory, the directory, and only without either a pull request: it may be one in another repository."""
    remote = remote_of_directory(cwd) if cwd else None
    named = project_of_remote(remote) if remote else None
    named = named or (project_of_directory(cwd) if cwd else None)
    return named or (project_of_remote(repository) if repository else None)


def _is_one_repository(group: Sequence[SourceFile]) -> bool:
    """Whether an export's index stands beside the topmost files of a group."""
    paths = [file.path for file in group if file.path is not None]
    top = min((path.parent for path in paths), key=lambda directory: len(directory.parts), default=None)
    return top is not None and any((top / name).is_file() for name in CHECKPOINT_METADATA)


def _common_project(state: State, named: dict[str, str | None]) -> str | None:
    """One name for a whole export: the repository that most sessions' pull requests name, else what most working directories do."""
    repositories = [project_of_remote(session.repository) for session in state.sessions.values() if session.repository]
    votes = Counter(name for name in (repositories or named.values()) if name)
    return min(votes, key=lambda name: (-votes[name], name), default=None)
