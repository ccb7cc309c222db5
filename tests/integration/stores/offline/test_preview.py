"""A few rows of a day for a person: one an agent_id and instant, what is known now."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from support.log_rows import insert, partition_log
from support.rule_log import run
from support.rule_views import happened, short, view_of

from detektor_pipelines.clock import to_us
from detektor_pipelines.language import count, days
from detektor_pipelines.stores.offline.preview import newest_rows

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

VIEW = view_of(n_1d=(count(), days(1)))
DAY = date(2026, 3, 5)


@pytest.fixture
def published(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings of a published day whose rows before noon have two versions: one event came late, and then another one."""
    partition_log(database)
    insert(database, [happened("2026-03-05 09:00", event_id="first", project="p")])
    insert(database, [happened("2026-03-05 10:00", event_id="late", known="2026-03-05 12:30", project="p")])
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-05T13:00:00Z")
    run(database, VIEW, "2026-03-05")
    insert(database, [happened("2026-03-05 09:30", event_id="later", known="2026-03-05 13:30", project="p")])
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-06T01:00:00Z")
    run(database, VIEW, "2026-03-05")
    return database


def shown(settings: Settings, limit: int) -> list[tuple[Any, ...]]:
    columns, rows = newest_rows(settings, VIEW, DAY, limit=limit)
    assert columns == ["agent_id", "event_timestamp", "n_1d"]
    return [(agent, short(to_us(at)), *values) for agent, at, *values in rows]  # type: ignore[arg-type]


def test_an_old_version_is_no_row_of_its_own(published: Settings) -> None:
    everything = shown(published, 100)

    assert len(everything) == len({row[:2] for row in everything})
    assert dict.fromkeys(row[:2] for row in everything).keys() >= {("code-reviewer", "03-05 09:00"), ("code-reviewer@p", "03-05 10:00")}
    assert [row[2] for row in everything if row[:2] == ("code-reviewer", "03-05 10:00")] == [3]  # as known now, not as served: 1


def test_the_last_instants_come_first_and_of_one_instant_the_agent_itself(published: Settings) -> None:
    everything = shown(published, 100)

    assert everything == sorted(sorted(everything), key=lambda row: row[1], reverse=True)
    assert shown(published, 3) == everything[:3]
