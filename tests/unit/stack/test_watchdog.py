"""What the watchdog ends, and what it leaves alone."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.errors import UserError
from detektor_pipelines.settings import Settings
from detektor_pipelines.stack import watchdog
from detektor_pipelines.stack.servers import dagster as dagster_servers
from detektor_pipelines.stack.watchdog import Watchdog

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 1024
YOUNG, OLD = 60, 7200


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []
    rows = {name: {"statename": "RUNNING", "pid": 1} for name in ("dagster", "dagster-daemon", "dagster-code")}
    monkeypatch.setattr(watchdog.supervisor, "states", lambda _: rows)
    monkeypatch.setattr(watchdog.supervisor, "stop", lambda _, name: made.append(f"stop {name}"))
    monkeypatch.setattr(watchdog.supervisor, "start", lambda _, name: made.append(f"start {name}"))
    monkeypatch.setattr(dagster_servers, "reload_definitions", lambda _: made.append("reload"))
    return made


def looked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, megabytes: int, seconds: int, children: bool = True) -> Watchdog:
    def process(_: int = 1) -> SimpleNamespace:
        return SimpleNamespace(
            pid=1,
            memory_info=lambda: SimpleNamespace(rss=megabytes * 1024**2),
            create_time=lambda: time.time() - seconds,
            children=lambda: [process()] if children else [],
        )

    monkeypatch.setattr(watchdog.psutil, "Process", process)
    dog = Watchdog(Settings(home=tmp_path, dagster_memory_mb=LIMIT))
    assert dog.look()
    return dog


def test_what_grew_over_time_is_started_afresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, calls: list[str]) -> None:
    looked(monkeypatch, tmp_path, megabytes=LIMIT + 1, seconds=OLD)
    assert calls == ["stop dagster", "start dagster", "stop dagster-daemon", "start dagster-daemon", "reload"]


def test_what_is_at_its_limit_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, calls: list[str]) -> None:
    looked(monkeypatch, tmp_path, megabytes=LIMIT, seconds=OLD)
    assert calls == []


def test_what_is_large_from_its_start_is_not_started_over_and_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, calls: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    dog = looked(monkeypatch, tmp_path, megabytes=LIMIT + 1, seconds=YOUNG)
    dog.look()
    assert calls == []
    assert len([line for line in caplog.messages if line.startswith("dagster-daemon ")]) == 1
    assert "DETEKTOR_DAGSTER_MEMORY_MB" in caplog.text


def test_a_code_server_that_gets_no_loader_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, calls: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    dog = looked(monkeypatch, tmp_path, megabytes=1, seconds=YOUNG, children=False)
    assert calls == []  # it may be starting one just now
    for _ in range(9):
        dog.look()
    assert calls == ["reload"] * 5
    assert len([line for line in caplog.messages if "detektor down, detektor up" in line]) == 1


def test_a_process_manager_that_ends_meanwhile_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([ConnectionRefusedError(), UserError("dagster could not be started"), False])

    def look(_: Watchdog) -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(Watchdog, "look", look)
    monkeypatch.setattr(watchdog.time, "sleep", lambda _: None)
    watchdog.main()
    assert next(answers, None) is None
