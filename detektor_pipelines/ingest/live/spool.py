"""The hooks' spool into the raw log: each line once, whatever crashes in between.

How far a file was read is kept in `drained.json` beside it, and written only when the events are committed. After a crash between the two
the lines are read again, and their events are found known: their ids come from what they say. A file is deleted when its day is over
and it was read to its end; how that needs no lock is in `detektor_pipelines.hook`. Several drainers take turns.
"""

from __future__ import annotations

import json
import logging
import os
import time
import zlib
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.clock import now_us
from detektor_pipelines.files import replace_file, turn
from detektor_pipelines.hook import FILE_PREFIX, FILE_SUFFIX, LINE_LIMIT, TIME, fallback_directory
from detektor_pipelines.ingest.live.hook_records import SOURCE, HookReader, is_memory
from detektor_pipelines.ingest.live.writer import LiveWriter
from detektor_pipelines.ingest.masking import excerpt
from detektor_pipelines.ingest.readers.names import FILE_NAME, AgentNames, agent_names
from detektor_pipelines.language.records import AgentEvent, Rejection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.settings import Settings

DIRECTORY: Final = "spool"
STATE_FILE: Final = "drained.json"
RETIRED: Final = ".retired"
"""Suffix of a file that no hook finds any more: read to its end and deleted."""

QUIET_S: Final = 60
"""How long a file must be untouched before it is retired."""

ROTATE_BYTES: Final = 64 * 1024 * 1024
_CHUNK: Final = 2 * LINE_LIMIT
_END: Final = 64
"""Bytes before the place that a file was read to, by which it is known to be the same up to there."""

_STAMP: Final = len(f'\n{{"{TIME}":') + 19
"""Bytes of a file that hold its first line's stamp: with the inode they tell it from every other file."""

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class SpoolCounts:
    """What became of the lines of one or more drains.

    Attributes:
        lines: Lines read, empty ones left out.
        accepted: New events.
        known: Events that were stored before.
        reread: Events that were stored before and are read differently now; `detektor reingest` writes them.
        held: Events that lie ahead of the clock, and wait for their instant.
        rejected: Lines and events kept with a reason.
        cut: Files that were shorter than, or not as, they had been read: they were read from their start again.
        waiting: Stops of subagents that wait for their call's result.
        removed: Files deleted, read to their end.
        by_agent: New events by agent_type.

    """

    lines: int = 0
    accepted: int = 0
    known: int = 0
    reread: int = 0
    held: int = 0
    rejected: int = 0
    cut: int = 0
    waiting: int = 0
    removed: int = 0
    by_agent: dict[str, int] = field(default_factory=dict)


class Spool:
    """The spool of one installation; keep one and call `drain` again and again: an idle call looks at two directories.

    Args:
        settings: Whose spool, and which table of agent names.
        directory: Another directory than `home/spool`.

    """

    def __init__(self, settings: Settings, directory: Path | None = None) -> None:
        self.directory = directory if directory is not None else settings.home / DIRECTORY
        self._settings = settings
        self._file = self.directory / STATE_FILE
        self._state = _State()
        self._stamp: tuple[int, int] | None = None
        self._is_current = False
        self._names: AgentNames | None = None
        self._names_stamp: tuple[int, int] | None = None

    def drain(self, writer: LiveWriter) -> SpoolCounts:
        """Take what is new to the raw log; another drainer's turn is left to it.

        Raises:
            UserError: PostgreSQL does not answer; the lines stay, and the next call takes them.

        """
        counts = SpoolCounts()
        writer.release()
        directories = [each for each in (self.directory, Path(fallback_directory(str(self.directory)))) if _is_ours(each)]
        if not directories:
            return counts
        with turn(directories[0]) as mine:  # the directory's: a file of its own may not be had on a full disk
            if mine:
                try:
                    self._drain(writer, directories, counts)
                except BaseException:
                    self._is_current = False  # what was remembered meanwhile belongs to lines that will be read again
                    raise
        return counts

    def _drain(self, writer: LiveWriter, directories: Sequence[Path], counts: SpoolCounts) -> None:
        self._load()
        reader = HookReader(self._agent_names(), self._state.agents, self._state.sessions)
        for directory in directories:
            for path in _files(directory):
                self._drain_file(path, reader, writer, counts)
                if _is_over(path, in_memory=directory != self.directory):
                    retired = path if path.name.endswith(RETIRED) else path.rename(path.with_name(path.name + RETIRED))
                    key = self._drain_file(retired, reader, writer, counts)
                    retired.unlink()
                    self._state.offsets.pop(key, None)
                    self._state.ends.pop(key, None)
                    counts.removed += 1
        overdue = reader.overdue(now_us())
        if overdue:
            self._store(writer, overdue, counts)
        self._save()
        counts.waiting = sum("stop" in agent for agent in self._state.agents.values())

    def _agent_names(self) -> AgentNames:
        """Read the table of names again when the installation's own part of it changed."""
        stamp = _stamp_of(self._settings.home / FILE_NAME)
        if self._names is None or stamp != self._names_stamp:
            self._names, self._names_stamp = agent_names(self._settings.home), stamp
        return self._names

    def _drain_file(self, path: Path, reader: HookReader, writer: LiveWriter, counts: SpoolCounts) -> str:
        """Read a file from where it was read to; returns what it is known by."""
        with path.open("rb") as file:
            key = _identity(file.fileno())
            offset = self._state.offsets.get(key, 0)
            size = os.fstat(file.fileno()).st_size
            if offset and (size < offset or self._state.ends.get(key) not in {None, _end(file.fileno(), offset)}):
                _logger.warning("%s was cut or written over: it is read from its start again, what is known adds nothing", path)
                counts.cut += 1
                offset = self._state.offsets[key] = 0
            while offset < size:
                chunk = os.pread(file.fileno(), _CHUNK, offset)
                end = chunk.rfind(b"\n") + 1
                if not end and len(chunk) < _CHUNK and not path.name.endswith(RETIRED):
                    break  # a line that is still being written, or was cut off: the next one begins with a line end
                taken = chunk[:end] if end else chunk
                self._take(taken, reader, writer, counts)
                offset += len(taken)
                self._state.offsets[key], self._state.ends[key] = offset, _end(file.fileno(), offset)
                self._save()
        return key

    def _take(self, taken: bytes, reader: HookReader, writer: LiveWriter, counts: SpoolCounts) -> None:
        records: list[AgentEvent | Rejection] = []
        for line in taken.split(b"\n"):
            if line.strip():
                counts.lines += 1
                records += reader.read(line) if len(line) <= LINE_LIMIT else [_too_long(line)]
        if records:
            self._store(writer, records, counts)

    def _store(self, writer: LiveWriter, records: Sequence[AgentEvent | Rejection], counts: SpoolCounts) -> None:
        for record, outcome in zip(records, writer.write(records), strict=True):
            setattr(counts, outcome.status, getattr(counts, outcome.status) + 1)
            if outcome.status == "accepted" and isinstance(record, AgentEvent):
                counts.by_agent[record.agent_type] = counts.by_agent.get(record.agent_type, 0) + 1

    def _load(self) -> None:
        """Read the state again when another drainer wrote it, or when ours is not what was committed."""
        stamp = _stamp_of(self._file)
        if self._is_current and stamp == self._stamp:
            return
        self._state = _State.read(self._file)
        self._stamp, self._is_current = stamp, True

    def _save(self) -> None:
        """Remember what was committed. A full disk does not stop us: then the lines are read again, and found known."""
        if not self._state.is_changed():
            return
        try:
            self._state.write(self._file)
        except OSError:
            return
        self._stamp = _stamp_of(self._file)


def drain(settings: Settings, writer: LiveWriter | None = None, directory: Path | None = None) -> SpoolCounts:
    """Take all that waits in the spool to the raw log, once.

    Raises:
        UserError: PostgreSQL does not answer; nothing is lost.

    """
    if writer is not None:
        return Spool(settings, directory).drain(writer)
    with LiveWriter(settings) as own:
        return Spool(settings, directory).drain(own)


@dataclass(slots=True)
class _State:
    """Offsets by file, what stands before them, and what `HookReader` remembers."""

    offsets: dict[str, int] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    agents: dict[str, Any] = field(default_factory=dict)
    sessions: dict[str, Any] = field(default_factory=dict)
    _written: Any = None

    @classmethod
    def read(cls, file: Path) -> _State:
        try:
            known = json.loads(file.read_text(encoding="utf-8"))
            state = cls(dict(known["offsets"]), dict(known.get("ends", {})), dict(known["agents"]), dict(known["sessions"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return cls()
        if not state.is_sound():
            return cls()
        state._written = state._content()
        return state

    def is_sound(self) -> bool:
        """Whether what was read can be what was written: anybody may have edited the file. Else all is read again, and found known."""
        numbers = [*self.offsets.values(), *self.ends.values()]
        memories = [*self.agents.values(), *self.sessions.values()]
        return all(type(each) is int and each >= 0 for each in numbers) and all(is_memory(each) for each in memories)

    def is_changed(self) -> bool:
        return bool(self._written != (self.offsets, self.ends, self.agents, self.sessions))

    def write(self, file: Path) -> None:
        """Replace the file in one step."""
        content = {"offsets": self.offsets, "ends": self.ends, "agents": self.agents, "sessions": self.sessions}
        replace_file(file, json.dumps(content))
        self._written = self._content()

    def _content(self) -> Any:
        return deepcopy((self.offsets, self.ends, self.agents, self.sessions))


def _files(directory: Path) -> list[Path]:
    """Files of hooks, oldest first, retired ones before those of their day."""
    names = [entry.name for entry in os.scandir(directory) if entry.name.startswith(FILE_PREFIX)]
    wanted = [name for name in names if name.endswith((FILE_SUFFIX, FILE_SUFFIX + RETIRED))]
    return [directory / name for name in sorted(wanted, key=lambda name: (name.removesuffix(RETIRED), not name.endswith(RETIRED)))]


def _is_ours(directory: Path) -> bool:
    """Whether the directory is there and this user's own: the one in memory has a name that others could take."""
    try:
        return directory.stat(follow_symlinks=False).st_uid == os.geteuid() and directory.is_dir()
    except OSError:
        return False


def _is_over(path: Path, *, in_memory: bool) -> bool:
    if path.name.endswith(RETIRED):
        return True
    stat = path.stat()
    quiet = time.time() - stat.st_mtime > QUIET_S
    today = time.strftime(f"{FILE_PREFIX}%Y%m%d{FILE_SUFFIX}", time.gmtime())
    return (quiet and (in_memory or path.name < today)) or stat.st_size > ROTATE_BYTES


def _identity(descriptor: int) -> str:
    return f"{os.fstat(descriptor).st_ino}:{os.pread(descriptor, _STAMP, 0)[-19:].decode(errors='replace')}"


def _end(descriptor: int, offset: int) -> int:
    return zlib.crc32(os.pread(descriptor, min(_END, offset), max(0, offset - _END)))


def _stamp_of(file: Path) -> tuple[int, int] | None:
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def _too_long(line: bytes) -> Rejection:
    return Rejection(SOURCE, None, "the line is longer than any that detektor-hook writes", excerpt(line))
