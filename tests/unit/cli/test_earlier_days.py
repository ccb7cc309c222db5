from __future__ import annotations

import socket
from datetime import date
from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.cli_commands.earlier_days import dagster_hears_of_earlier_days
from detektor_pipelines.settings import Settings
from detektor_pipelines.stores.raw_log import state

if TYPE_CHECKING:
    from pathlib import Path


def test_the_code_server_of_another_home_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has the usual port while this home runs no Dagster; it may take two minutes to answer, and knows nothing of these events."""
    days = iter([None, date(2026, 3, 1)])
    monkeypatch.setattr(state, "oldest_event_day", lambda _: next(days))
    with socket.create_server(("127.0.0.1", 0)) as others:
        with dagster_hears_of_earlier_days(Settings(home=tmp_path, dagster_code_port=others.getsockname()[1])):
            pass
        others.setblocking(False)  # noqa: FBT003
        with pytest.raises(BlockingIOError):
            others.accept()
    assert "partitions begin" not in capsys.readouterr().err
