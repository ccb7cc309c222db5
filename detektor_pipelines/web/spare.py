"""A spare process of a server: when the server is killed, the spare answers at once, with the same listening socket.

    server ──fork──> spare         has all that the server has loaded, and waits
    server is killed               the spare reads the end of a pipe, and serves
    a new one is started           it is handed the socket by the spare, and once it answers, the spare ends

A start takes seconds, on a busy machine many: until then nobody would answer. The spare is a copy of the server just before it began, with
the same code and definitions; it costs the memory that the two do not share, little. It leads a process group of its own: what ends the
server's group does not end it. The new server finds it by a name in Linux's own space of Unix sockets (elsewhere there is no spare), which
has no file to be left behind; both sides look whether the other one is of the same user.
"""

from __future__ import annotations

import gc
import hashlib
import logging
import os
import signal
import socket
import struct
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_ANSWER_S: Final = 10.0
"""In which a spare that stands in hands its socket over, on a busy machine too; where none stands in nobody waits."""

_BEGUN: Final = b"b"
_END: Final = b"e"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """What a spare handed over: the socket on which clients wait, the one by which spares are found, and the conversation with it."""

    listener: socket.socket
    door: socket.socket
    spare: socket.socket

    def relieve(self) -> None:
        """Let the spare end: this process answers now."""
        with suppress(OSError):
            self.spare.sendall(_END)
        self.spare.close()


@dataclass(frozen=True, slots=True)
class Spare:
    """The spare, as the server has it, with the pipe that keeps it waiting; in a spare that stands in there is no pipe."""

    pid: int
    pipe: int | None

    @property
    def stands_in(self) -> bool:
        """Whether this process is the spare."""
        return self.pipe is None

    def begun(self) -> None:
        """Have the spare stand in from now on: the server answers. Before that another one may stand in still."""
        if self.pipe is not None:
            os.write(self.pipe, _BEGUN)

    def dismiss(self) -> None:
        """End the spare: the server ends by itself."""
        if self.pipe is not None:
            with suppress(OSError):
                os.write(self.pipe, _END)
            with suppress(ChildProcessError):
                os.waitpid(self.pid, 0)


def name_of(home: Path, port: int) -> bytes:
    """Return by which name the spares of a home's server are found."""
    return b"\0detektor-" + hashlib.sha256(os.fsencode(home) + b"\0%d" % port).hexdigest()[:32].encode()


def ask(name: bytes) -> Held | None:
    """Return what a spare that stands in hands over, None when there is none."""
    if sys.platform != "linux":
        return None
    conversation = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    conversation.settimeout(_ANSWER_S)
    try:
        conversation.connect(name)
        if not _is_ours(conversation):
            raise PermissionError
        _, found, _, _ = socket.recv_fds(conversation, 1, 2)
        listener, door = (socket.socket(fileno=each) for each in found)
    except (OSError, ValueError):
        conversation.close()
        return None
    held = Held(listener, door, conversation)
    _when_told_to_end(held.relieve)
    return held


def leave_one(name: bytes, listener: socket.socket, held: Held | None = None) -> Spare | None:
    """Make a spare of this process, which has one thread only; returns in the server at once, in the spare when the server was killed.

    None where there can be none. A server that never answered (`Spare.begun`) takes its spare along, however it ends.
    """
    door = held.door if held else _door(name)
    if door is None:
        return None
    mine, others = os.pipe()
    gc.collect()
    gc.freeze()  # neither process looks through what both have: in the spare that was most of what it did before it answered
    pid = os.fork()
    if pid:
        os.close(mine)
        door.close()
        beside = Spare(pid, others)
        _when_told_to_end(beside.dismiss, *([held.relieve] if held else []))
        return beside
    os.close(others)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.setpgid(0, 0)
    if held:
        held.spare.close()
    if os.read(mine, 1) != _BEGUN or os.read(mine, 1) == _END:
        os._exit(0)
    os.close(mine)
    _be_silent()
    threading.Thread(target=_hand_over, args=(door, listener), name="spare", daemon=True).start()
    return Spare(os.getpid(), None)


def _when_told_to_end(*steps: Callable[[], None]) -> None:
    """End with the spares when SIGTERM comes before the server answers, which hears it by itself from then on."""

    def end(*_: object) -> None:
        for step in steps:
            step()
        os._exit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)


def _door(name: bytes) -> socket.socket | None:
    if sys.platform != "linux":
        return None
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        door.bind(name)
        door.listen(8)
    except OSError as problem:
        _log.warning("There is no spare process: %s", problem)
        door.close()
        return None
    return door


def _be_silent() -> None:
    """Write nowhere: who read what the server wrote closed the pipe when it died."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for each in (1, 2):
        os.dup2(nowhere, each)
    os.close(nowhere)


def _hand_over(door: socket.socket, listener: socket.socket) -> None:
    """Give the sockets to the new server, and end once it answers; one that ends before that is no reason to."""
    while True:
        conversation, _ = door.accept()
        with conversation, suppress(OSError):
            if _is_ours(conversation):
                socket.send_fds(conversation, [b"s"], [listener.fileno(), door.fileno()])
                if conversation.recv(1) == _END:
                    os.kill(os.getpid(), signal.SIGTERM)
                    return


def _is_ours(conversation: socket.socket) -> bool:
    """Tell whether the other side is a process of this user."""
    _, user, _ = struct.unpack("3i", conversation.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return bool(user == os.geteuid())
