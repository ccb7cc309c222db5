"""Reading logs, here or in a process of its own: what is found and read comes as the same messages either way.

A process of its own begins to read while its parent imports the driver and looks after the tables, and reads on while the parent masks,
checks and stores: that takes as long as reading does. It knows no database and keeps nothing, so when it dies nothing is lost: what it
sent is stored, the run fails, and the next one adds the rest.
"""

from __future__ import annotations

import gc
import marshal
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from operator import attrgetter
from typing import IO, TYPE_CHECKING, Any, Final, NoReturn, Protocol, Self, cast

from detektor_pipelines.clock import let_go
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.records import AgentEvent, Rejection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from detektor_pipelines.ingest.dispatch import Reading
    from detektor_pipelines.ingest.readers.formats import ReaderName
    from detektor_pipelines.ingest.readers.interface import ReadContext

BATCH: Final = 500
"""Records of one message at most: few enough that the other side never waits long."""

_PROGRESS_BYTES: Final = 1024**2
_PIPE_BYTES: Final = 1024**2
_SET_PIPE_SIZE: Final = 1031  # F_SETPIPE_SZ, which fcntl names on Linux alone
_HEAD: Final = 5

_EVENT: Final = AgentEvent.__match_args__
_REJECTION: Final = Rejection.__match_args__
_parts_of_event: Final = attrgetter(*_EVENT)
_parts_of_rejection: Final = attrgetter(*_REJECTION)


@dataclass(frozen=True, slots=True)
class Found:
    """What is to be read: bytes of all files, files by reader, files that are not read and why, others of a directory by suffix."""

    size: int
    files: dict[ReaderName, int]
    skipped: dict[str, str]
    others: dict[str, int]


@dataclass(frozen=True, slots=True)
class Records:
    """Some of one reader's records."""

    reader: ReaderName
    events: list[AgentEvent] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Ended:
    """All was read: lines, what readers saw and made no event of (by reader: kinds, results without a call), what was wrong with files."""

    lines: int
    unread: dict[ReaderName, tuple[dict[str, int], int]]
    rejections: list[Rejection]


Message = Found | Records | Ended


class LogReading(Protocol):
    """One reading of logs; `started` is `time.perf_counter()` when it began."""

    started: float

    def messages(self, on_bytes: Callable[[int], None]) -> Iterator[Message]:
        """Yield a Found, Records, an Ended, and call `on_bytes` with each number of bytes read. Only once.

        Raises:
            UserError: A path cannot be read or holds no logs; the process that reads was killed.

        """


class Here:
    """Reads in this process, as messages are asked for."""

    def __init__(self, paths: Sequence[str | Path], context: ReadContext) -> None:
        self._paths = paths
        self._context = context
        self.started = time.perf_counter()

    def messages(self, on_bytes: Callable[[int], None]) -> Iterator[Message]:
        """Read all."""
        from detektor_pipelines.ingest.dispatch import Reading
        from detektor_pipelines.ingest.files import Journal, find_logs

        with closing(Journal()) as journal:
            logs = find_logs(self._paths, journal)
            journal.on_bytes = on_bytes
            yield Found(logs.size, {name: len(files) for name, files in logs.by_reader.items()}, logs.skipped, dict(logs.others))
            reading = Reading(logs, journal, self._context)
            yield from _in_batches(reading)
            unread = {name: (dict(stats.strange), stats.orphan_results) for name, stats in reading.stats.items()}
            yield Ended(journal.lines, unread, journal.take_rejections())


def _in_batches(reading: Reading) -> Iterator[Records]:
    batch = Records(reading.reader)
    for record in reading.records():
        if reading.reader != batch.reader or len(batch.events) + len(batch.rejections) >= BATCH:
            if batch.events or batch.rejections:
                yield batch
            batch = Records(reading.reader)
        if isinstance(record, AgentEvent):
            batch.events.append(record)
        else:
            batch.rejections.append(record)
    yield batch


@contextmanager
def begin(paths: Sequence[str | Path], context: ReadContext, home: Path) -> Iterator[LogReading]:
    """Begin to read, in a process of its own where that is a gain and safe: with two processors, fork, and no threads.

    Args:
        paths: Files, directories, `-` for standard input.
        context: Project and agent names.
        home: Whose clock, where it stands, is not that of the logs.

    """
    if not hasattr(os, "fork") or _processors() < 2 or threading.active_count() > 1:  # noqa: PLR2004
        yield Here(paths, context)
        return
    with Apart(Here(paths, context), home) as reading:
        yield reading


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Apart:
    """Reads in a child process from the moment it is made; a context manager that ends the child."""

    def __init__(self, reading: LogReading, home: Path | None = None) -> None:
        self.started = reading.started
        sys.stdout.flush()
        sys.stderr.flush()
        receiving, sending = os.pipe()
        self._child = os.fork()
        if not self._child:
            os.close(receiving)
            if home is not None:
                let_go(home)
            _read(reading, sending)
        os.close(sending)
        self._pipe = os.fdopen(receiving, "rb", _PIPE_BYTES)
        self._status: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pipe.close()
        if self._status is None:
            with suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)  # it holds nothing
            self._wait()

    def messages(self, on_bytes: Callable[[int], None]) -> Iterator[Message]:
        """Receive what the child reads."""
        for said in self._received():
            match said:
                case ("read", size):
                    on_bytes(size)
                case ("records", reader, events, rejections):
                    yield Records(reader, [AgentEvent(*parts) for parts in events], [Rejection(*parts) for parts in rejections])
                case ("found", *parts):
                    yield Found(*parts)
                case ("ended", lines, unread, rejections):
                    yield Ended(lines, unread, [Rejection(*parts) for parts in rejections])
                    self._wait()
                    return
                case ("refused", what, where, fix):
                    raise UserError(what, where=where, fix=fix)
                case ("failed", told):
                    message = f"the process that reads the logs failed:\n{told}"
                    raise RuntimeError(message)
        status = os.waitstatus_to_exitcode(self._wait())
        raise UserError(
            f"The process that reads the logs ended too soon ({f'signal {-status}' if status < 0 else f'exit code {status}'}).",
            where=f"process {self._child}",
            fix="Repeat the command: what was stored is known, the rest is added. Signal 9 is often a machine without memory.",
        )

    def _received(self) -> Iterator[tuple[Any, ...]]:
        while len(head := self._pipe.read(_HEAD)) == _HEAD:
            size = int.from_bytes(head[:-1], "big")
            content = self._pipe.read(size)
            if len(content) < size:
                return
            yield marshal.loads(content) if head[-1:] == b"m" else pickle.loads(content)  # noqa: S301, S302 - of our own child

    def _wait(self) -> int:
        if self._status is None:
            _, self._status = os.waitpid(self._child, 0)
        return self._status


# In the child ---------------------------------------------------------------------------------------------------------------


def _read(reading: LogReading, sending: int) -> NoReturn:
    """Read, send, and end the process without what its parent would do at its end."""
    code = 1
    try:
        gc.freeze()  # what is shared with the parent stays shared
        with suppress(OSError, ImportError):
            import fcntl

            fcntl.fcntl(sending, _SET_PIPE_SIZE, _PIPE_BYTES)
        with os.fdopen(sending, "wb", 0) as pipe:
            _send_all(reading, pipe)
        code = 0
    except BaseException:  # noqa: BLE001, S110 - its parent is gone or was interrupted too, and says so
        pass
    finally:
        os._exit(code)


def _send_all(reading: LogReading, pipe: IO[bytes]) -> None:
    progress = _Progress(pipe)
    try:
        for message in reading.messages(progress.note):
            progress.send()
            _send(pipe, _said(message))
    except BrokenPipeError:
        raise
    except UserError as error:
        _send(pipe, ("refused", error.what, error.where, error.fix))
    except Exception:  # noqa: BLE001 - the parent raises it
        _send(pipe, ("failed", traceback.format_exc()))


class _Progress:
    """Bytes read, sent a megabyte at a time."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._read = 0

    def note(self, size: int) -> None:
        self._read += size
        if self._read >= _PROGRESS_BYTES:
            self.send()

    def send(self) -> None:
        if self._read:
            _send(self._pipe, ("read", self._read))
            self._read = 0


def _said(message: Message) -> tuple[Any, ...]:
    if type(message) is Records:
        return "records", message.reader, list(map(_parts_of_event, message.events)), list(map(_parts_of_rejection, message.rejections))
    if type(message) is Found:
        return "found", message.size, message.files, message.skipped, message.others
    ended = cast("Ended", message)
    return "ended", ended.lines, ended.unread, list(map(_parts_of_rejection, ended.rejections))


def _send(pipe: IO[bytes], said: tuple[Any, ...]) -> None:
    try:
        kind, content = b"m", marshal.dumps(said)
    except ValueError:  # holds something of another type
        kind, content = b"p", pickle.dumps(said)
    whole = memoryview(len(content).to_bytes(_HEAD - 1, "big") + kind + content)
    while whole:
        whole = whole[pipe.write(whole) :]
