"""A socket that a process is started with: taken once, only when it is meant for it and is what it should be."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.errors import UserError
from detektor_pipelines.web import handover, listening

if TYPE_CHECKING:
    from collections.abc import Iterator

TAKE = """
import os
from detektor_pipelines.web import handover
os.environ["LISTEN_PID"] = os.environ["LISTEN_PID"] or str(os.getpid())
taken = handover.inherited()
print(taken and taken.getsockname()[1], handover.inherited(), "LISTEN_FDS" in os.environ, taken and taken.get_inheritable())
"""


def taken_by_a_process(given: socket.socket, *, number: str = "1", whose: str = "") -> str:
    """Start a process with a socket as file descriptor 3; return what it says."""
    move = f"import os, sys; os.dup2({given.fileno()}, 3); os.execv(sys.executable, [sys.executable, '-c', sys.argv[1]])"
    environment = os.environ | {"LISTEN_FDS": number, "LISTEN_PID": whose}
    command = [sys.executable, "-c", move, TAKE]
    done = subprocess.run(command, pass_fds=[given.fileno()], env=environment, check=False, capture_output=True, text=True)
    return done.stdout.strip() or done.stderr


def test_a_socket_is_taken_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert taken_by_a_process(listener) == f"{listener.getsockname()[1]} None False False"


def test_one_for_another_process_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert taken_by_a_process(listener, whose="1") == "None None False None"


def test_what_cannot_be_used_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert "cannot be used: 2 of them" in taken_by_a_process(listener, number="2")
    with socket.socket(socket.AF_UNIX) as other:
        assert "it is not of TCP" in taken_by_a_process(other)


def test_without_one_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LISTEN_FDS", raising=False)
    assert handover.inherited() is None


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Have a socket passed; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(handover, "inherited", listener.dup)
        yield int(listener.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_listens_where_it_was_told_to(passed: int, host: str) -> None:
    with listening.listening_socket(listening.ListenAddress(host, passed), option="--port") as listener:
        assert listener.getsockname()[1] == passed


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.2"])  # noqa: S104 - it is refused
def test_a_socket_elsewhere_is_refused(passed: int, host: str) -> None:
    """Otherwise a socket that other machines reach would get round the question who may ask."""
    with (
        pytest.raises(UserError, match="listens elsewhere"),
        listening.listening_socket(listening.ListenAddress(host, passed), option="--port"),
    ):
        pass
