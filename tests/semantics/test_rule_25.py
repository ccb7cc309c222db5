"""Rule 25: clocks are not trusted to agree; what lies ahead of the platform's is an error that says so, and one command fixes it."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest
from support.log_rows import insert, partition_log
from support.recomputed import Served, compare
from support.rule_log import run
from support.rule_views import AGENT, happened
from typer.testing import CliRunner

from detektor_pipelines.catalog import view_named
from detektor_pipelines.cli import build_app
from detektor_pipelines.cli_commands.status import online as online_section
from detektor_pipelines.clock import parse_instant
from detektor_pipelines.engine.online import publish_online
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stream.worker import Worker

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.online.values import OnlineRow

VIEW = view_named("code_review_features")
COUNT = "recent_reviews_count"


@pytest.fixture
def stack(servers: Settings) -> Settings:
    partition_log(servers)
    return servers


def tick(worker: Worker) -> None:
    for _ in range(4):
        worker._moved = worker._tried_ahead = 0
        worker.tick()


def served(stack: Settings, agent_id: str = AGENT) -> OnlineRow:
    with online.redis_client(stack) as client:
        row = online.read(client, stack.project, VIEW, [agent_id])[0]
    assert row is not None
    return row


def review(stack: Settings, at: str) -> None:
    insert(stack, [happened(at, event_id=at, project="p")])


def detektor(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(build_app(), list(words), env={"COLUMNS": "200"})
    return result.exit_code, result.stdout


def repair() -> dict[str, object]:
    code, text = detektor("online", "repair", "--json")
    assert code == 0
    found: dict[str, object] = json.loads(text)
    return found


def test_25_a_worker_takes_over_where_the_one_before_it_stood(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one before had its clock 5 s ahead; what its successor counts in these 5 s reaches the readers."""
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T10:00:05Z")
    with Worker(stack, [VIEW]) as ahead:
        review(stack, "2026-03-07 10:00:00")
        tick(ahead)
    assert served(stack).values[COUNT] == 1
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T10:00:01Z")
    with Worker(stack, [VIEW]) as behind:
        tick(behind)
        monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T10:00:02Z")
        review(stack, "2026-03-07 10:00:02")
        tick(behind)
        row = served(stack)
        assert (row.values[COUNT], row.as_of) == (2, parse_instant("2026-03-07T10:00:05Z"))
        assert (behind.health.refused, behind.health.ahead) == (0, 0)
        assert compare(stack, VIEW, [Served(AGENT, row.as_of, row.snapshot, row.values)]).mismatches == []


def batch_ahead(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A review at 8:00; a batch whose clock is 17 h ahead publishes it; then the clock is right again."""
    review(stack, "2026-03-07 08:00")
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-08T03:05:00Z")
    run(stack, VIEW, "2026-03-06", "2026-03-08")
    publish_online(stack, VIEW)
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T10:05:00Z")


def test_25_a_value_ahead_of_the_clock_is_not_trusted_and_the_worker_says_so(
    stack: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    batch_ahead(stack, monkeypatch)
    assert served(stack).status == "OUTSIDE_MAX_AGE"
    with Worker(stack, [VIEW]) as worker, caplog.at_level(logging.ERROR):
        tick(worker)
        review(stack, "2026-03-07 10:04")
        tick(worker)
        assert worker.health.ahead == parse_instant("2026-03-08T03:00:00Z") - parse_instant("2026-03-07T10:05:00Z")
        assert worker.health.unresolved
        assert "detektor online repair" in caplog.text
        assert served(stack).status == "OUTSIDE_MAX_AGE"


@pytest.mark.parametrize("with_worker", [True, False], ids=["a worker runs", "no worker"])
def test_25_one_command_mends_it(stack: Settings, monkeypatch: pytest.MonkeyPatch, with_worker: bool) -> None:  # noqa: FBT001
    batch_ahead(stack, monkeypatch)
    with Worker(stack, [VIEW]) as worker:
        if with_worker:
            tick(worker)
        review(stack, "2026-03-07 10:04")
        if with_worker:
            tick(worker)

        (done,) = repair()["repaired"]  # type: ignore[misc]

        assert (done["view"], done["values"], done["dropped"], done["refilled"], done["lost"]) == (VIEW.name, 2, 2, 2, 0)
        if with_worker:
            tick(worker)
            assert (worker.health.ahead, worker.health.unresolved) == (0, 0)
        row = served(stack)
        assert (row.values[COUNT], row.status, row.as_of) == (2, "PRESENT", parse_instant("2026-03-07T10:05:00Z"))
        assert row.valid_through is not None
        assert row.valid_through <= row.as_of
        assert compare(stack, VIEW, [Served(AGENT, row.as_of, row.snapshot, row.values)]).mismatches == []
    assert repair() == {"repaired": [], "views": 8}


def test_25_mending_changes_nothing_where_nothing_is_wrong(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    review(stack, "2026-03-07 08:00")
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T10:05:00Z")
    run(stack, VIEW, "2026-03-07")
    publish_online(stack, VIEW)
    with online.redis_client(stack) as client:
        before = {key: client.dump(key) for key in client.scan_iter()}
        assert detektor("online", "repair") == (0, "Nothing online lies ahead of the clock.\n")
        assert {key: client.dump(key) for key in client.scan_iter()} == before


def test_25_the_hourly_run_does_not_count_what_stands_ahead_as_published(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    batch_ahead(stack, monkeypatch)
    review(stack, "2026-03-07 10:04")
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T11:05:00Z")
    run(stack, VIEW, "2026-03-07")
    publication = publish_online(stack, VIEW)
    assert (publication.refused, publication.made_good, publication.lost, publication.ahead) == (2, 0, 2, 2)
    assert "detektor online repair" in publication.trouble()


def test_25_status_and_doctor_name_what_lies_ahead_and_the_command(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    batch_ahead(stack, monkeypatch)
    _, text = detektor("doctor", "--json")
    (check,) = [each for each in json.loads(text)["checks"] if each["name"] == "online values"]
    assert check["result"] == "failed"
    assert "2 values and valid_through of 8 shards" in check["found"]
    assert "detektor online repair" in check["fix"]
    found = online_section(stack)
    assert found.data["ahead"] == [{"view": VIEW.name, "values": 2, "shards": 8, "furthest": "2026-03-08T03:00:00Z"}]
    assert found.commands == ("detektor online repair",)
    repair()
    assert (online_section(stack).rows, online_section(stack).commands) == ((), ())
    _, text = detektor("doctor", "--json")
    assert [each["result"] for each in json.loads(text)["checks"] if each["name"] == "online values"] == ["ok"]


def test_25_a_worker_whose_clock_goes_back_begins_anew_at_it(
    stack: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-09T10:00:00Z")
    review(stack, "2026-03-07 09:00")
    with Worker(stack, [VIEW]) as worker, caplog.at_level(logging.ERROR):
        tick(worker)
        monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T10:00:00Z")
        tick(worker)
        assert worker.health.as_of == parse_instant("2026-03-07T10:00:00Z")
        assert "The clock went back" in caplog.text
        assert worker.health.ahead > 0
        repair()
        tick(worker)
        row = served(stack)
        assert (row.values[COUNT], row.status, worker.health.ahead) == (1, "PRESENT", 0)


@pytest.mark.parametrize("before", [True, False], ids=["a worker ran before", "a worker that starts"])
def test_25_what_a_worker_writes_while_something_lies_ahead_is_true_up_to_its_own_instant(
    stack: Settings,
    monkeypatch: pytest.MonkeyPatch,
    before: bool,  # noqa: FBT001
) -> None:
    """What Redis lost, and a new agent_id: nobody has asked what happens to them until there, and the clock will come there."""
    new, lost = f"{AGENT}@new", f"{AGENT}@p"
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T10:00:00Z")
    with Worker(stack, [VIEW]) as worker:
        if before:
            tick(worker)
        batch_ahead(stack, monkeypatch)
        with online.redis_client(stack) as client:
            client.delete(online.value_key(stack.project, VIEW, lost))
        insert(stack, [happened("2026-03-07 10:04", event_id="new", project="new")])
        for _ in range(3):
            tick(worker)
        monkeypatch.setenv("DETEKTOR_NOW", "2026-03-08T03:00:01Z")  # nobody ticked meanwhile
        for agent_id in (new, lost):
            row = served(stack, agent_id)
            assert (row.values[COUNT], row.status, row.true_up_to) == (1, "PRESENT", parse_instant("2026-03-07T10:05:00Z"))

        tick(worker)
        for agent_id in (new, lost):
            row = served(stack, agent_id)
            assert (row.status, row.true_up_to, row.snapshot is None) == ("PRESENT", parse_instant("2026-03-08T03:00:01Z"), False)


def test_25_a_run_whose_clock_is_a_little_ahead_is_followed(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T10:59:30Z")
    with Worker(stack, [VIEW]) as worker:
        review(stack, "2026-03-07 08:00")
        tick(worker)
        monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T11:00:10Z")
        run(stack, VIEW, "2026-03-07")
        publish_online(stack, VIEW)
        monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T10:59:40Z")
        tick(worker)
        review(stack, "2026-03-07 10:59:40")
        tick(worker)
        row = served(stack)
        assert (row.values[COUNT], row.as_of, row.snapshot is None) == (2, parse_instant("2026-03-07T11:00:00Z"), False)
        assert (worker.health.refused, worker.health.ahead) == (0, 0)


def test_25_a_clock_that_goes_back_a_little_is_waited_for(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T10:00:30Z")
    with Worker(stack, [VIEW]) as worker:
        tick(worker)
        monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T10:00:00Z")
        review(stack, "2026-03-07 10:00")
        tick(worker)
        assert (worker.health.as_of, worker.health.loads) == (parse_instant("2026-03-07T10:00:30Z"), 1)
        assert (served(stack).values[COUNT], served(stack).status) == (1, "PRESENT")
