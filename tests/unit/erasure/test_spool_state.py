"""What the spool's reader remembers, and what an erasure leaves of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.erasure import files
from detektor_pipelines.erasure.events import Touched
from detektor_pipelines.erasure.subject import Subject

if TYPE_CHECKING:
    from pathlib import Path

SESSION = "5f0c1b7e-0000-4d11-9c4e-feedfacecafe"


def test_only_its_own_memories_go(tmp_path: Path) -> None:
    state = tmp_path / files.SPOOL_STATE
    kept = {"offsets": {"hook-20260305.jsonl": 7}, "agents": {SESSION: {}, "a": {}}, "sessions": {"b": {"name": SESSION}, "c": {}}}
    state.write_text(json.dumps(kept))
    assert files._remove_from(state, Subject("session", SESSION), Touched()) > 0
    assert json.loads(state.read_text()) == {"offsets": {"hook-20260305.jsonl": 7}, "agents": {"a": {}}, "sessions": {"c": {}}}


@pytest.mark.parametrize("content", ['{"agents": {"%s": {', '["%s"]', '{"agents": ["%s"]}', "%s" + "[" * 20_000])
def test_what_its_reader_could_not_read_goes_as_a_whole(content: str, tmp_path: Path) -> None:
    state = tmp_path / files.SPOOL_STATE
    state.write_text(content % SESSION)
    assert files._remove_from(state, Subject("session", SESSION), Touched()) > 0
    assert not state.exists()
