"""Runs within supervisord: what a program's first process leaves behind when it ends.

The others of its process group are ended before the program starts anew. The socket that supervisord opened for it (the feature
server's) stays open meanwhile: whoever connects waits in its queue for a moment instead of being refused. supervisord by itself closes it.

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


_sockets: dict[str, Any] = {}
"""By program a reference to its socket, which supervisord closes with the last one."""


class Interface:
    """Nothing is called from outside: supervisord asks for an object."""


def follow(_: object, **__: str) -> Interface:
    """Listen to supervisord's own events from now on, and return its part of the interface."""
    from supervisor import events

    for kind in (events.ProcessStateExitedEvent, events.ProcessStateBackoffEvent, events.ProcessStateStoppedEvent):
        events.subscribe(kind, _end_group)
    events.subscribe(events.ProcessStateStartingEvent, _hold_socket)
    for kind in (events.ProcessStateStoppedEvent, events.ProcessStateFatalEvent):
        events.subscribe(kind, _release_socket)
    return Interface()


def _end_group(event: Any) -> None:
    """End the group of the process that has just ended, and that led it."""
    process = event.process
    if process.pid and process.config.name not in LEFT_ALONE:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _hold_socket(event: Any) -> None:
    process = event.process
    manager = getattr(process.group, "socket_manager", None)
    if manager is not None and process.config.name not in _sockets:
        _sockets[process.config.name] = manager.get_socket()


def _release_socket(event: Any) -> None:
    """Let go of the socket of a program that was ended, or that supervisord has given up: then to be refused is the honest answer."""
    _sockets.pop(event.process.config.name, None)
