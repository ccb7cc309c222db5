"""Rule 19, its online part: how old a value is follows from valid_through, not from when its row was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.log_rows import insert, partition_log
from support.rule_log import run
from support.rule_views import happened, view_of

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.engine.online import publish_online
from detektor_pipelines.language import FeatureView, count, days, event, last
from detektor_pipelines.stores.online import values as online

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.online.values import OnlineRow

VIEW = view_of(number=(count(), days(1)), latest=(last(event.issues_found), days(1)))
"""Values may lie 26 hours behind, the default."""


@pytest.fixture
def stack(servers: Settings) -> Settings:
    partition_log(servers)
    insert(servers, [happened("2026-03-05 09:30", issues_found=3)])
    return servers


def publish(settings: Settings, monkeypatch: pytest.MonkeyPatch, now: str, day: str) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", now)
    run(settings, VIEW, day)
    publish_online(settings, VIEW)


def read(settings: Settings, agent_id: str = "code-reviewer", view: FeatureView = VIEW) -> OnlineRow | None:
    with online.redis_client(settings) as client:
        return online.read(client, settings.project, view, [agent_id])[0]


def through(settings: Settings) -> int | None:
    with online.redis_client(settings) as client:
        return online.valid_through(client, settings.project, VIEW)


def test_19_an_idle_agents_zeros_are_present(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(stack, monkeypatch, "2026-03-07T00:00:00Z", "2026-03-06")
    for day in ("2026-03-07", "2026-03-08", "2026-03-09"):
        monkeypatch.setenv("DETEKTOR_NOW", f"{day}T23:59:00Z")
        publish_online(stack, VIEW) if day == "2026-03-07" else publish(stack, monkeypatch, f"{day}T23:59:00Z", day)
        row = read(stack)
        assert row is not None
        assert (row.values["number"], row.status) == (0, "PRESENT")
        assert (row.values["latest"], row.status_of("latest")) == (None, "NULL_VALUE")


def test_19_every_batch_moves_valid_through_even_without_an_event(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(stack, monkeypatch, "2026-03-05T12:00:00Z", "2026-03-05")
    assert through(stack) == parse_instant("2026-03-05 12:00")
    publish(stack, monkeypatch, "2026-03-05T18:00:00Z", "2026-03-05")
    assert through(stack) == parse_instant("2026-03-05 18:00")
    publish(stack, monkeypatch, "2026-03-09T00:00:00Z", "2026-03-08")
    assert through(stack) == parse_instant("2026-03-09")


def test_19_valid_through_never_moves_back(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(stack, monkeypatch, "2026-03-09T00:00:00Z", "2026-03-08")
    with online.redis_client(stack) as client:
        online.move_valid_through(client, stack.project, VIEW, parse_instant("2026-03-01"))

    assert through(stack) == parse_instant("2026-03-09")


def test_19_outside_max_age_is_now_beyond_valid_through_and_the_views_limit(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(stack, monkeypatch, "2026-03-05T12:00:00Z", "2026-03-05")
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-06T14:00:00Z")
    at_the_limit = read(stack)
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-06T14:00:00.000001Z")
    beyond = read(stack)

    assert at_the_limit is not None
    assert beyond is not None
    assert (at_the_limit.status, beyond.status) == ("PRESENT", "OUTSIDE_MAX_AGE")
    assert beyond.values["number"] == 1


def test_19_not_found_is_what_was_never_published(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(stack, monkeypatch, "2026-03-05T12:00:00Z", "2026-03-05")

    assert read(stack, "code-reviewer@nowhere") is None
    assert read(stack, view=view_of(number=(count(), days(2)))) is None
