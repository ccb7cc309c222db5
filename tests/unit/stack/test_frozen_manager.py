"""A process manager whose process was stopped, so that it answers nobody; one whose home directory was moved."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.errors import UserError
from detektor_pipelines.stack import lifecycle, supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings


@pytest.fixture
def frozen(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setattr(supervisor, "_ANSWER_SECONDS", 0.1)
    settings.home.mkdir()
    path = supervisor.socket_path(settings)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen(64)
        yield settings
    path.unlink(missing_ok=True)


def test_status_does_not_call_its_servers_stopped(frozen: Settings) -> None:
    with pytest.raises(UserError, match="does not answer") as error:
        lifecycle.status(frozen)
    assert "detektor down" in (error.value.fix or "")


def test_down_ends_it_all_the_same(frozen: Settings) -> None:
    assert lifecycle.down(frozen) == ()


@pytest.mark.parametrize("moved", [True, False])
def test_a_home_that_was_moved_under_its_servers_is_said(settings: Settings, monkeypatch: pytest.MonkeyPatch, *, moved: bool) -> None:
    mark = settings.home.with_name("before") if moved else settings.home
    code = "print(1, flush=True); import time; time.sleep(600)"
    environment = {**os.environ, supervisor.MARK: str(mark)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE) as manager:
        assert manager.stdout is not None
        manager.stdout.readline()
        monkeypatch.setattr(supervisor, "running_pid", lambda _: manager.pid)
        try:
            if not moved:
                supervisor.check_home(settings)
                return
            for command in (lifecycle.status, lifecycle.up):
                with pytest.raises(UserError, match=f"look for their files in {mark}"):
                    command(settings)
        finally:
            manager.kill()
