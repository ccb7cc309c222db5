"""One format for the log lines of all our programs: JSON, an object a line, and text with colours at a terminal.

    {"event": "Started again …", "logger": "detektor_pipelines.stream.worker", "level": "info", "timestamp": "2026-03-05T10:00:00Z",
     "program": "stream", …}

The first four names are those of Dagster's own `--log-format json`, so one query finds both. `request_id` stands in every line that was
written while a request was answered, `exception` holds a traceback. Where the lines go is the business of whoever started the program:
`detektor up` keeps 60 MB of each in DETEKTOR_HOME/logs, in three files.
"""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any, Final

from detektor_pipelines.masks import mask

if TYPE_CHECKING:
    from collections.abc import MutableMapping

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
    import structlog

    where = stream or sys.stderr
    handler = logging.StreamHandler(where)
    handler.addFilter(_Unhandled())
    shared: list[Any] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
        _Context(program),
    ]
    if where.isatty():
        shown: list[Any] = [structlog.dev.ConsoleRenderer()]
    else:
        shown = [structlog.processors.format_exc_info, masked, structlog.processors.JSONRenderer(ensure_ascii=False)]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *shown]
        )
    )
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


class _Context:
    """Adds what the line itself does not say."""

    def __init__(self, program: str) -> None:
        self._program = program

    def __call__(self, _logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        line["program"] = self._program
        if (request_id := REQUEST_ID.get()) is not None:
            line.setdefault("request_id", request_id)
        return line
