"""What `detektor restart` may do at the same time, and when the code need not prove once more that it can be loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.cli_commands.restart import _all_began_after
from detektor_pipelines.stack import code_on_disk
from detektor_pipelines.stack.programs import PROGRAMS
from detektor_pipelines.stack.restart import RESTARTABLE, _groups
from detektor_pipelines.versions import processes
from detektor_pipelines.versions.processes import Process

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

CHANGED = 1_793_491_200.0  # 2026-11-01 00:00


def test_only_what_no_read_waits_for_is_restarted_together() -> None:
    groups = [[program.name for program in group] for group in _groups([PROGRAMS[name] for name in RESTARTABLE])]
    assert groups == [["stream"], ["serve"], ["registry", "dagster-code"], ["dagster"], ["dagster-daemon"]]
    assert _groups([]) == []


@pytest.mark.parametrize(
    ("said", "proven"),
    [
        ({"stream": "2026-11-01T00:00:01Z", "serve": "2026-11-02T10:00:00Z"}, True),
        ({"stream": "2026-11-01T00:00:01Z", "serve": "2026-10-31T23:59:59Z"}, False),
        ({"stream": "2026-11-01T00:00:01Z", "serve": None}, False),
        ({"stream": "2026-11-01T00:00:01Z"}, False),
        ({}, False),
    ],
)
def test_programs_that_began_after_the_last_change_have_proven_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, *, said: dict[str, str | None], proven: bool
) -> None:
    monkeypatch.setattr(processes, "processes", lambda _: [Process(name, name, "", "hash", since) for name, since in said.items()])
    assert _all_began_after(settings, [PROGRAMS["stream"], PROGRAMS["serve"]], CHANGED) is proven


def test_the_last_change_is_that_of_the_newest_file() -> None:
    assert code_on_disk.changed_at() == max(file.stat().st_mtime_ns / 1e9 for file in code_on_disk._PACKAGE.rglob("*.py"))
