"""Which of the events that wait for their instant an erasure takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.erasure.events import Touched
from detektor_pipelines.erasure.files import found, remove_held
from detektor_pipelines.erasure.subject import Subject
from detektor_pipelines.ingest.live import held
from detektor_pipelines.language.records import AgentEvent

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

AT = 1_772_971_260_000_000
SESSION, PROJECT, USER = "5f0c1b7e-0000-4d11-9c4e-feedfacecafe", "zebra.shop-7", "zofia.kowalska@example.org"


def event(event_id: str, at: int = AT, **more: Any) -> AgentEvent:
    given = {"agent_type": "code-reviewer", "raw_name": "reviewer", "operation": "review", "source": "http", "project": "cli"}
    return AgentEvent(event_id=event_id, occurred_at=at, **{**given, **more})


@pytest.mark.parametrize(
    ("kind", "name", "stay"),
    [
        ("session", SESSION, ["of a project", "of a user", "of its home", "of a coder"]),
        ("project", PROJECT, ["of a session", "of a user", "of its home"]),
        ("agent-id", f"code-reviewer@{PROJECT}", ["of a session", "of a user", "of its home", "of a coder"]),
        ("agent-id", "code-reviewer", ["of a coder"]),
        ("user", USER, ["of a session", "of a project", "of its home", "of a coder"]),
        ("user", "zofia", ["of a session", "of a project", "of a coder"]),
        ("session", "of nobody at all", ["of a session", "of a project", "of a user", "of its home", "of a coder"]),
    ],
)
def test_its_own_go_and_the_others_stay(kind: Any, name: str, stay: list[str], settings: Settings) -> None:
    waiting = held.Held(settings.home)
    waiting.hold(
        [
            event("of a session", session_id=SESSION),
            event("of a project", project=PROJECT),
            event("of a user", AT + 2_000_000, attributes={"by": [{"author": USER}]}),
            event("of its home", AT + 2_000_000, source="/home/zofia/logs/x.jsonl"),
            event("of a coder", AT + 9_000_000, agent_type="detektor-coder", operation="implement", project=PROJECT),
        ]
    )
    subject = Subject(kind, name)
    assert found(settings, subject, Touched()).get("held", 0) == 5 - len(stay)
    assert remove_held(settings, subject) == 5 - len(stay)
    assert found(settings, subject, Touched()) == {}
    left = [each for file in waiting.due(AT * 2) for each in held.read(file)]
    assert [each.event_id for each in left] == stay
    assert all(isinstance(each, AgentEvent) for each in left)


def test_without_any_there_is_nothing_to_do(settings: Settings) -> None:
    assert remove_held(settings, Subject("session", SESSION)) == 0
