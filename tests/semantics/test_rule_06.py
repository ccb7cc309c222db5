"""Rule 6: a live event is known when it is stored, one of history when it happened."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.ingest.run import ingest
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.raw_log.bulk import append

if TYPE_CHECKING:
    from pathlib import Path

    from detektor_pipelines.settings import Settings


@pytest.fixture
def at_noon(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-05T12:00:00Z")
    return database


def known(settings: Settings) -> list[tuple[Any, ...]]:
    ingested = "to_char(ingested_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI')"
    query = f"SELECT known_at = ingested_at, known_at = occurred_at, {ingested} FROM ml_learning.agent_events"
    with connect(settings) as connection:
        return connection.execute(query).fetchall()


def test_06_a_live_event_is_known_when_it_is_ingested(at_noon: Settings) -> None:
    append(at_noon, [AgentEvent("e", "code-reviewer", "reviewer", "review", parse_instant("2026-03-05 10:00"), "http")])

    assert known(at_noon) == [(True, False, "03-05 12:00")]


def test_06_history_read_from_a_file_is_known_when_it_happened(at_noon: Settings, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({"agent": "reviewer", "operation": "review", "occurred_at": "2026-03-05T10:00:00Z", "event_id": "e"}))
    ingest(at_noon, [path])

    assert known(at_noon) == [(False, True, "03-05 12:00")]
