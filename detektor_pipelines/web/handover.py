"""A listening socket that outlives the process: whoever connects while one process ends and the next begins waits in its queue.

Belongs here: taking over a socket, and passing it on. The form is systemd's (`sd_listen_fds`): the socket is file descriptor 3,
`LISTEN_FDS` says that there is one, `LISTEN_PID` for whom. So a systemd socket unit, or whatever else holds the socket, can start a new
server beside the old one and then end that.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Final

from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from typing import NoReturn

BEGUN: Final = "DETEKTOR_BEGUN"
"""Variable that says how often the process has restarted in place; `stack.restart` sees by it that it has."""

_FIRST: Final = 3


def inherited() -> socket.socket | None:
    """Return the socket that this process was started with, None when there is none. Only the first call finds it.

    Raises:
        UserError: What was passed is not a listening TCP socket, or more than one.

    """
    number, whose = os.environ.pop("LISTEN_FDS", ""), os.environ.pop("LISTEN_PID", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if not number or (whose and whose != str(os.getpid())):
        return None
    try:
        if number != "1":
            raise _unusable(f"{number} of them")
        os.set_inheritable(_FIRST, False)  # noqa: FBT003 - has no keyword
        taken = socket.socket(fileno=_FIRST)
    except OSError as error:
        raise _unusable(error.strerror or str(error)) from None
    if taken.family not in {socket.AF_INET, socket.AF_INET6} or taken.type != socket.SOCK_STREAM:
        raise _unusable("it is not of TCP")
    return taken


def keep_hang_ups() -> None:
    """Keep each SIGHUP until `hear_hang_ups`: a process that is seen to listen may be told to start again, and is not to die of it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


def hear_hang_ups() -> None:
    """Take those that came meanwhile, and those to come: somebody listens to them now."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


def start_anew(listener: socket.socket) -> NoReturn:
    """Replace this process, whose work is done, by the same command with today's code; it has the same id and the same socket."""
    os.dup2(listener.fileno(), _FIRST)
    os.set_inheritable(_FIRST, True)  # noqa: FBT003 - has no keyword; dup2 does not do it when it is the same number
    os.environ["LISTEN_FDS"], os.environ["LISTEN_PID"] = "1", str(os.getpid())
    os.environ[BEGUN] = str(int(os.environ.get(BEGUN, "0")) + 1)
    sys.stdout.flush()
    sys.stderr.flush()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the new one listens to it; a handler would be gone, and the default is to die
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the same command


def _unusable(why: str) -> UserError:
    return UserError(
        f"The socket that was passed cannot be used: {why}.",
        where="LISTEN_FDS, file descriptor 3",
        fix="Pass one listening TCP socket, or unset LISTEN_FDS.",
    )
