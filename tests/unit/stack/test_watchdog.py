"""What the watchdog ends, and what it leaves alone."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.errors import UserError
from detektor_pipelines.settings import Settings
from detektor_pipelines.stack import watchdog
from detektor_pipelines.stack.programs import PROGRAMS
from detektor_pipelines.stack.servers import dagster as dagster_servers
from detektor_pipelines.stack.watchdog import Watchdog
from detektor_pipelines.web.handover import BEGUN

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 1024
YOUNG, OLD = 60, 7200


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []
    rows = {name: {"statename": "RUNNING", "pid": 1} for name in ("dagster", "dagster-daemon", "dagster-code")}
    monkeypatch.setattr(watchdog, "PROGRAMS", {})  # whether they answer is not the question here
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


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """A worker of one's own words: whether it answers, its process, the time, and the groups that were killed."""
    made = SimpleNamespace(alive=True, pid=7, begun=0, now=0.0, killed=[])
    program = replace(PROGRAMS["stream"], alive=lambda _: made.alive)
    monkeypatch.setattr(watchdog, "PROGRAMS", {"stream": program})
    monkeypatch.setattr(watchdog.supervisor, "states", lambda _: {"stream": {"statename": "RUNNING", "pid": made.pid}})
    monkeypatch.setattr(watchdog.psutil, "Process", lambda pid: SimpleNamespace(pid=pid, environ=lambda: {BEGUN: str(made.begun)}))
    monkeypatch.setattr(watchdog.time, "monotonic", lambda: made.now)
    monkeypatch.setattr(watchdog.os, "killpg", lambda pid, number: made.killed.append((pid, number)))
    dog = Watchdog(Settings(home=tmp_path))

    def look(seconds: float, *, alive: bool) -> list[tuple[int, int]]:
        made.now, made.alive = seconds, alive
        assert dog.look()
        return list(made.killed)

    made.look = look
    return made


def test_what_hangs_is_killed_once(stream: SimpleNamespace) -> None:
    assert stream.look(0, alive=True) == []
    assert stream.look(14, alive=False) == []
    assert stream.look(15, alive=False) == [(7, signal.SIGKILL)]
    assert stream.look(99, alive=False) == [(7, signal.SIGKILL)], "the next one has not answered yet"


def test_what_answers_now_and_then_lives(stream: SimpleNamespace) -> None:
    for second in range(0, 200, 10):
        assert stream.look(second, alive=second % 20 == 0) == []


@pytest.mark.parametrize("again", [{"pid": 8}, {"begun": 1}], ids=["another process", "the same, restarted in place"])
def test_a_start_takes_as_long_as_it_takes(stream: SimpleNamespace, again: dict[str, int]) -> None:
    stream.look(0, alive=True)
    vars(stream).update(again)
    assert stream.look(1_000, alive=False) == []
    assert stream.look(2_000, alive=False) == []


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
