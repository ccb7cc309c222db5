"""One format for the log lines of all our programs: JSON, an object a line, and text with colours at a terminal.

    {"event": "Started again …", "logger": "detektor_pipelines.stream.worker", "level": "info", "timestamp": "2026-03-05T10:00:00Z",
     "program": "stream", …}

The first four names are those of Dagster's own `--log-format json`, so one query finds both. `request_id` stands in every line that was
written while a request was answered, `exception` holds a traceback. Where the lines go is the business of whoever started the program:
`detektor up` keeps 60 MB of each in DETEKTOR_HOME/logs, in three files.

A server whose answers must not wait for whoever reads its lines has a thread write them (`written_aside`).
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any, Final

from detektor_pipelines.masks import mask

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

REQUEST_ID: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)
"""Of the request that is being answered; None outside of one."""


class _Unhandled(logging.Filter):
    """Lets through what no logger below the root has a handler for: else that line would stand twice."""

    def filter(self, record: logging.LogRecord) -> bool:
        logger: logging.Logger | None = logging.getLogger(record.name)
        while logger is not None and logger is not logging.root:
            if logger.handlers:
                return False
            logger = logger.parent if logger.propagate else None
        return True


def set_up(program: str, level: str = "info", stream: IO[str] | None = None) -> None:
    """Have everything that is logged in this process written in the one format, in place of what was set up before.

    Args:
        program: What the process is, for `program`.
        level: The lowest that is written, of ours and of libraries.
        stream: Where to; standard error by default.

    """
    where = stream or sys.stderr
    handler = _Lines(where)
    handler.addFilter(_Unhandled())
    handler.setFormatter(_formatter(program, at_a_terminal=where.isatty()))
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level.upper())
    logging.captureWarnings(True)  # noqa: FBT003 - has no keyword


def set_up_beside(program: str) -> None:
    """Do the same in a process that is somebody else's (Dagster's), unless the root has a handler already.

    A root without one is given a second one by the first library that calls `logging.info`: then each of Dagster's lines stands twice.
    """
    if not logging.root.handlers:
        set_up(program, stream=sys.stdout)


_OURS: Final = frozenset(("timestamp", "level", "logger", "program", "request_id", "client"))
"""What lines say of the program itself, and who asked a server: whoever runs it must see that."""


def masked(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask the texts of a line that is about to be written: messages and tracebacks quote what they stumbled over."""
    for name, value in line.items():
        if name not in _OURS and isinstance(value, str):
            line[name] = _mask_again(value) if len(value) <= _SHORT else mask(value)
    return line


_SHORT: Final = 100
_mask_again = lru_cache(maxsize=256)(mask)
"""Most of a line's texts are those of the line before: what is asked, the event's own words. Looking through one costs 15 µs."""


def _formatter(program: str, *, at_a_terminal: bool) -> logging.Formatter:
    import structlog

    def context(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Add what the line itself does not say."""
        line["program"] = program
        if (request_id := REQUEST_ID.get()) is not None:
            line.setdefault("request_id", request_id)
        return line

    as_text: list[Any] = [structlog.dev.ConsoleRenderer()]
    as_json: list[Any] = [structlog.processors.format_exc_info, masked, structlog.processors.JSONRenderer(ensure_ascii=False)]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.stdlib.ExtraAdder(),
            context,
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *(as_text if at_a_terminal else as_json)],
    )


# Who writes them -------------------------------------------------------------------------------------------------------------


@contextmanager
def written_aside() -> Iterator[None]:
    """Have a thread write the lines while this is open, in their order: whoever reads them may be slow, or stopped.

    At the end, and at the process's, what waits is written. Where lines are not written as `set_up` has it, nothing changes.
    """
    handlers = [each for each in logging.root.handlers if isinstance(each, _Lines)]
    for each in handlers:
        each.begin()
    try:
        yield
    finally:
        for each in handlers:
            each.end()


KEPT: Final = 2_000
"""Lines that wait at most; further ones are dropped, and the next line says how many."""

_GATHERED_S: Final = 0.1
"""How long a line that is no warning waits for others to be written with it: each time the thread wakes it takes a turn from the rest."""

_END_S: Final = 2.0
"""How long a process that ends waits for whoever reads its lines."""


class _Lines(logging.Handler):
    """Writes each line at once, or (`begin`) has a thread write those that have come meanwhile."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__()
        self._stream = stream
        self._waiting: deque[str] = deque()
        self._dropped = 0
        self._some, self._soon = threading.Event(), threading.Event()
        self._ended = False
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or leave it to the thread; the caller holds the handler's lock."""
        try:
            line = self.format(record) + "\n"
            if self._thread is None:
                self._stream.write(line)
                self._stream.flush()
            elif len(self._waiting) >= KEPT:
                self._dropped += 1
            else:
                self._say_what_was_dropped()
                self._waiting.append(line)
                self._some.set()
                if record.levelno >= logging.WARNING:
                    self._soon.set()
        except Exception:  # noqa: BLE001 - as every handler has it: what cannot be logged harms nobody else
            self.handleError(record)

    def begin(self) -> None:
        """Leave the lines to a thread from now on, if they go where there is a file descriptor."""
        try:
            descriptor = self._stream.fileno()
        except OSError:
            return
        if self._thread is not None:
            return
        self._ended = False
        self._thread = threading.Thread(target=self._write, args=(descriptor,), name="log-lines", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Have what waits written, and write each line at once again.

        Nobody waits for ever: where nobody reads, the thread is left alone, and the process ends without it.
        """
        self.acquire()
        try:
            if self._thread is None:
                return
            self._say_what_was_dropped()
            self._ended = True
            self._some.set()
            self._soon.set()
            self._thread.join(_END_S)
            if not self._thread.is_alive():
                self._thread = None
        finally:
            self.release()

    def close(self) -> None:
        """Do the same; `logging` calls it when the process ends."""
        self.end()
        super().close()

    def _say_what_was_dropped(self) -> None:
        if self._dropped:
            words = "%d lines were dropped here: whoever reads them was too slow"
            said = logging.LogRecord(__name__, logging.WARNING, __file__, 0, words, (self._dropped,), None)
            self._dropped = 0
            self._waiting.append(self.format(said) + "\n")

    def _write(self, descriptor: int) -> None:
        ended = False
        while not ended:
            self._some.wait()
            self._soon.wait(_GATHERED_S)
            self._some.clear()
            self._soon.clear()
            ended = self._ended  # what came before that is there by now
            lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
            left = "".join(lines).encode("utf-8", "backslashreplace")
            with suppress(OSError):  # who read them has gone: there is nowhere to say so
                while left:
                    left = left[os.write(descriptor, left) :]
