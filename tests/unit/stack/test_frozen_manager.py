"""A process manager whose process was stopped: it listens, and answers nobody."""

from __future__ import annotations

import socket
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
