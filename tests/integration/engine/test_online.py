"""From the offline rows to the online store: which values go, and up to when they are said to be true."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from log_rows import insert, partition_log
from oracle import Event

from detektor_pipelines.catalog import view_named
from detektor_pipelines.clock import parse_instant
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.engine.online import publish_online
from detektor_pipelines.stores import online

if TYPE_CHECKING:
    import pytest

    from detektor_pipelines.settings import Settings

VIEW = view_named("code_review_features")


def test_an_open_day_is_true_up_to_its_last_whole_hour(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    partition_log(servers)
    instants = [parse_instant(f"2026-03-05T{time}") for time in ("10:30", "12:20")]
    insert(servers, [Event(str(at), at, at) for at in instants])
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-05T12:40:00Z")
    materialize(servers, VIEW, [date(2026, 3, 5)])

    assert publish_online(servers, VIEW).as_of == datetime(2026, 3, 5, 12, tzinfo=UTC)

    with online.redis_client(servers) as client:
        row = online.read(client, servers.project, VIEW, [VIEW.agent])[0]
    assert row is not None
    assert row.values["recent_reviews_count"] == 1  # the review of 12:20 counts from 13:00 on
    assert row.as_of == row.valid_through == parse_instant("2026-03-05T12:00")
