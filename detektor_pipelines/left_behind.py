"""Runs within supervisord: when a program's first process ends, what is left of its process group is ended before the program starts anew.

MLflow is a process that starts another, which holds the port. When the first is killed, the second lives on, and each new start would find
the port taken, for ever. supervisord ends whole groups only where it was asked to end a program.

supervisord finds `follow` by its configuration, as a part of its own interface; nothing of the package is imported here.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any, Final

LEFT_ALONE: Final = ("dagster-code",)
"""Runs that are under way end in the processes that they were started in, whatever becomes of the code server."""


class Interface:
    """Nothing is called from outside: supervisord asks for an object."""


def follow(_: object, **__: str) -> Interface:
    """Listen to supervisord's own events from now on, and return its part of the interface."""
    from supervisor import events

    for kind in (events.ProcessStateExitedEvent, events.ProcessStateBackoffEvent, events.ProcessStateStoppedEvent):
        events.subscribe(kind, _end_group)
    return Interface()


def _end_group(event: Any) -> None:
    """End the group of the process that has just ended, and that led it."""
    process = event.process
    if process.pid and process.config.name not in LEFT_ALONE:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
