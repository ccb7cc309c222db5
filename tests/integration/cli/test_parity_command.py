"""`detektor parity` and `detektor features get --why` over real servers, as a person and a script call them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from detektor_pipelines.catalog import view_named
from detektor_pipelines.cli import build_app
from detektor_pipelines.clock import from_us, to_us
from detektor_pipelines.engine.backfill import backfill
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.raw_log.bulk import append

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result
    from redis import Redis

    from detektor_pipelines.settings import Settings

VIEW = view_named("code_review_features")
SHOP = "code-reviewer@shop"


def review(number: int, at: datetime, project: str) -> AgentEvent:
    instant = to_us(at)
    return AgentEvent(
        f"e{number}",
        "code-reviewer",
        "reviewer",
        "review",
        instant,
        "test",
        project=project,
        known_at=instant,
        measures={"issues_found": 3, "issues_critical": 0},
        categories={"verdict": "rejected"},
    )


@pytest.fixture
def published(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Reviews of March 5 and 6 in two projects, published up to March 6, without a worker; the clock stands at noon of March 7."""
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T12:00:00Z")
    append(servers, [review(number, datetime(2026, 3, 6, 10 + number, tzinfo=UTC), "shop") for number in range(3)])
    append(servers, [review(9, datetime(2026, 3, 5, 10, tzinfo=UTC), "bank")])
    list(backfill(servers, [VIEW], [date(2026, 3, day) for day in (5, 6)]))
    return servers


@pytest.fixture
def client(published: Settings) -> Iterator[Redis]:
    client = online.redis_client(published)
    yield client
    client.close()


def call(*words: str) -> Result:
    return CliRunner().invoke(build_app(), [*words])


def answered(*words: str) -> Any:
    return json.loads(call(*words, "--json").stdout)


def rewrite(client: Redis, settings: Settings, agent_id: str, **values: int) -> None:
    """Put another value in the place of one, with its stamps."""
    (row,) = online.read(client, settings.project, VIEW, [agent_id])
    assert row is not None
    client.delete(online.value_key(settings.project, VIEW, agent_id))
    changed = online.OnlineRow(
        agent_id,
        row.as_of,
        row.created_at,
        row.event_timestamp,
        row.snapshot,
        {**row.values, **values},
        epoch=row.epoch,
        writer=row.writer,
    )
    online.write_values(client, settings.project, VIEW, [changed], valid_through_us=None)


def test_a_healthy_batch_has_no_errors_though_time_has_passed(published: Settings) -> None:
    del published
    done = call("parity", "--json")
    assert done.exit_code == 0
    found = {each["view"]: each for each in json.loads(done.stdout)}[VIEW.name]
    assert (found["known"], found["compared"], found["errors"], found["mismatches"]) == (3, 3, 0, [])
    assert sum(found["states"].values()) == 3
    assert found["states"]["behind"] >= 1  # reviews of March 6 left the windows of a day since midnight


def test_events_since_the_last_publication_are_no_errors(published: Settings) -> None:
    append(published, [review(20, datetime(2026, 3, 7, 11, tzinfo=UTC), "shop"), review(21, datetime(2026, 3, 7, 11, tzinfo=UTC), "new")])
    append(published, [review(22, datetime(2026, 3, 6, 9, tzinfo=UTC), "bank")])
    done = call("parity", "--json")
    assert done.exit_code == 0, done.stdout
    assert {each["view"]: each["states"] for each in json.loads(done.stdout)}[VIEW.name] == {"behind": 4}


def test_a_wrong_number_is_named_and_the_exit_code_is_1(published: Settings, client: Redis) -> None:
    rewrite(client, published, SHOP, recent_reviews_count=7)
    done = call("parity")
    assert done.exit_code == 1
    text = " ".join(done.stdout.split())
    assert "wrong" in text
    assert "detektor parity --repair" in text
    (found,) = [one for each in answered("parity") for one in each["mismatches"]]
    assert {name: found[name] for name in ("view", "agent_id", "state", "feature", "served", "right")} == {
        "view": VIEW.name,
        "agent_id": SHOP,
        "state": "wrong",
        "feature": "recent_reviews_count",
        "served": 7,
        "right": 3,
    }


def test_an_evicted_value_is_named(published: Settings, client: Redis) -> None:
    client.delete(online.value_key(published.project, VIEW, SHOP))
    done = call("parity", "--json")
    assert done.exit_code == 1
    assert {each["view"]: each for each in json.loads(done.stdout)}[VIEW.name]["states"]["evicted"] == 1


def test_repair_writes_what_is_wrong_again(published: Settings, client: Redis) -> None:
    rewrite(client, published, SHOP, recent_reviews_count=7)
    done = call("parity", "--repair")
    assert done.exit_code == 1
    assert "Written again from the raw log: 1 values." in " ".join(done.stderr.split())
    assert call("parity").exit_code == 0


def test_nothing_to_compare_is_exit_code_1_and_says_what_to_do(servers: Settings) -> None:
    del servers
    done = call("parity")
    assert done.exit_code == 1
    assert "Compared nothing: no agent is online, in the raw log or published." in " ".join(done.stderr.split())
    assert call("parity", "--json").exit_code == 1


def test_why_says_all_that_is_known_of_a_value(published: Settings, client: Redis) -> None:
    (row,) = online.read(client, published.project, VIEW, [SHOP])
    assert row is not None
    client.hset(online.refused_key(published.project, VIEW), SHOP, f"2,{row.as_of + 1},stream host-7")
    found = answered("features", "get", "code-reviewer", "recent_reviews_count", "--agent-id", SHOP, "--why")
    assert found["values"] == [
        {
            "name": "recent_reviews_count",
            "value": 3,
            "unit": VIEW.feature("recent_reviews_count").unit,
            "status": "PRESENT",
            "right": 0,
            "agrees": False,
        }
    ]
    assert (found["snapshot"], found["epoch"], found["writer"]) == (row.snapshot, row.epoch, row.writer)
    assert (found["true_up_to"], found["age_seconds"]) == ("2026-03-07T00:00:00Z", 12 * 3600)
    assert found["refused"] == {
        "count": 2,
        "last": from_us(row.as_of + 1).isoformat().replace("+00:00", "Z"),
        "writer": "stream host-7",
        "since": True,
    }
    text = " ".join(call("features", "get", "code-reviewer", "--agent-id", SHOP, "--why").stdout.split())
    for sentence in ("True up to: 2026-03-07T00:00:00Z", f"snapshot {row.snapshot}", "Refused writes: 2", "since this value was written"):
        assert sentence in text


def test_why_shows_both_values_where_they_differ(published: Settings, client: Redis) -> None:
    rewrite(client, published, SHOP, recent_reviews_count=7)
    found = answered("features", "get", "code-reviewer", "recent_reviews_count", "--agent-id", SHOP, "--why")
    (value,) = found["values"]
    assert (value["value"], value["right"], value["agrees"], found["state"]) == (7, 3, False, "wrong")
    assert found["fix"]
    assert "WRONG" in call("features", "get", "code-reviewer", "--agent-id", SHOP, "--why").stdout


def test_why_of_an_agent_that_nobody_knows(published: Settings) -> None:
    del published
    found = answered("features", "get", "code-reviewer", "--agent-id", "code-reviewer@nobody", "--why")
    assert (found["state"], found["as_of"], {each["status"] for each in found["values"]}) == (None, None, {"NOT_FOUND"})


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--why", "--at", "2026-03-05"), "--why with --at"),
        (("--why", "--url", "http://127.0.0.1:1"), "--why with --url"),
        (("nothing", "--why"), "no feature nothing"),
        (("recent_reviews_count",), "for --why only"),
    ],
)
def test_what_why_cannot_be_asked_with(settings: Settings, words: tuple[str, ...], what: str) -> None:
    del settings
    error = call("features", "get", "code-reviewer", *words).exception
    assert isinstance(error, UserError)
    assert what in str(error)
