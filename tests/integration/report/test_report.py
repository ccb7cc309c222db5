"""`detektor report` over real servers: every agent and feature is there, and its values are those that readers get."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.cli import build_app
from detektor_pipelines.cli_commands.report import write
from detektor_pipelines.clock import to_us
from detektor_pipelines.engine.backfill import backfill
from detektor_pipelines.errors import UserError
from detektor_pipelines.ingest.run import ingest
from detektor_pipelines.language.calendar import end
from detektor_pipelines.language.events import AGENT_TYPES, UNMAPPED, views_operation
from detektor_pipelines.language.records import AgentEvent, Rejection
from detektor_pipelines.language.windows import DAY
from detektor_pipelines.quality.read import read_at
from detektor_pipelines.report.contents import MISSING, NULL
from detektor_pipelines.report.gather import gather
from detektor_pipelines.report.page import render
from detektor_pipelines.stores.raw_log.bulk import EventWriter, append

if TYPE_CHECKING:
    from pathlib import Path

    from detektor_pipelines.report.contents import Report
    from detektor_pipelines.settings import Settings

NOW = "2026-03-09T00:30:00Z"
FIRST = datetime(2026, 3, 5, 9, tzinfo=UTC)
OWN_FORMAT = json.dumps({"agent": "code-reviewer", "operation": "review", "at": "2026-03-05T09:00:00Z", "id": "x"}) + "\n"
HOSTILE = "<script>alert('name')</script>"


def worked(number: int, agent: str, at: datetime, **extra: str) -> AgentEvent:
    instant, operation = to_us(at), views_operation(agent) if agent in AGENT_TYPES else "tool_call"
    measures = {"duration_ms": 60_000 + number}
    if operation != "tool_call":
        measures |= {"output_tokens": 100, "input_tokens": 10}
    return AgentEvent(
        f"{agent}-{number}",
        agent,
        extra.get("raw_name", agent),
        operation,
        instant,
        extra.get("source", "test"),
        project=("shop", "bank")[number % 2],
        known_at=instant,
        session_id=f"s{number // 3}",
        task_id=f"{agent}-t{number}",
        measures=measures,
        categories={"outcome": "failure" if number in (1, 2) else "success"},
    )


@pytest.fixture(scope="module")
def history(module_database: Settings, redis_server, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Work of all eight agents on three days, published but for a day in the middle, a name that maps to nobody, and a rejected record."""
    settings = module_database.model_copy(update={"external_redis_url": redis_server.url(), "home": tmp_path_factory.mktemp("home")})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETEKTOR_NOW", NOW)
        events = [worked(number, agent, FIRST + timedelta(hours=13 * number)) for number in range(6) for agent in AGENT_TYPES]
        events += [worked(number, UNMAPPED, FIRST, raw_name=HOSTILE, source=f"/logs/{HOSTILE}.jsonl") for number in range(2)]
        append(settings, events)
        with EventWriter(settings) as writer:
            writer.write([], [Rejection("/logs/a.jsonl", 7, HOSTILE, HOSTILE, None)])
        list(backfill(settings, VIEWS, [date(2026, 3, day) for day in (5, 6, 8)]))
    return settings


@pytest.fixture
def found(history: Settings, monkeypatch: pytest.MonkeyPatch) -> Report:
    monkeypatch.setenv("DETEKTOR_NOW", NOW)
    return gather(history, VIEWS)


def test_every_view_and_feature_is_there(found: Report) -> None:
    assert [each.view for each in found.views] == [view.name for view in VIEWS]
    page = render(found)
    for view in VIEWS:
        series = next(each.series for each in found.views if each.view == view.name)
        assert [each.feature for each in series] == [each.name for each in view.features]
        for each in view.features:
            assert f'id="{view.name}-{each.name}"' in page
    assert len(page) < 3_000_000


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_values_are_those_that_features_get_gives(history: Settings, found: Report, view) -> None:
    series = {each.feature: each.values for each in next(each.series for each in found.views if each.view == view.name)}
    days = [date(2026, 3, day) for day in (5, 6, 7, 8, 9)]
    assert found.period.days == days
    for position, day in enumerate(days):
        if day.day in (5, 6) and view is not VIEWS[0]:
            continue  # a look into the log each
        right = {each.name: each.value for each in read_at(history, view, view.agent, end(day)).values}
        for each in view.features:
            value = series[each.name][position]
            if day.day in (7, 9):  # not published
                assert value == MISSING
            elif right[each.name] is None:
                assert value == NULL
            elif each.value_type == "instant":
                assert value == round((to_us(end(day)) - to_us(right[each.name])) / DAY, 3)
            else:
                assert value == right[each.name]


def test_what_the_agents_did_is_what_the_log_holds(found: Report) -> None:
    did = {each.name: each for each in found.did}
    assert set(did) == {*AGENT_TYPES, HOSTILE}
    assert found.events == 8 * 6 + 2
    reviewer = did["code-reviewer"]
    assert (reviewer.events, reviewer.work, reviewer.failed) == (6, [2, 2, 1, 1, 0], [1, 1, 0, 0, 0])  # midnight is the day before's
    assert (reviewer.sessions, reviewer.tasks, reviewer.projects) == (2, 6, {"shop": 3, "bank": 3})
    assert (reviewer.tokens.produced, reviewer.tokens.sent) == (600, 60)
    assert (found.idle, found.sessions, found.simulated) == ((), 2, False)


def test_what_was_not_read_is_said_and_escaped(found: Report) -> None:
    assert found.reading.unmapped == ((HOSTILE, 2),)
    (rejected,) = found.reading.rejected
    assert (rejected.reason, rejected.records, rejected.example) == (HOSTILE, 1, "/logs/a.jsonl:7")
    page = render(found)
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(" in page


def test_three_things_with_the_events_behind_them(found: Report) -> None:
    assert len(found.stands_out) == 3
    assert not any(each.tested for each in found.stands_out)  # five days cannot be told from chance
    assert "too few" in found.looked.why_not
    for each in found.stands_out:
        assert each.events
        assert all(event.event_id and event.occurred_at >= FIRST for event in each.events)
    failures = next(each for each in found.stands_out if "in a row" in each.headline)
    assert "2 failures in a row" in failures.headline
    assert [event.event_id for event in failures.events] == [f"{failures.agent}-1", f"{failures.agent}-2"]


def test_quality_says_which_days_are_missing(found: Report) -> None:
    for each in found.quality:
        assert (each.published, each.due) == (3, 5)
        assert date(2026, 3, 7) in each.missing
        assert each.fix.startswith("detektor backfill")


def test_the_command_writes_a_page_for_a_period(history: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", NOW)
    monkeypatch.setattr("detektor_pipelines.settings.get_settings", lambda: history)
    out = tmp_path / "report.html"
    done = CliRunner().invoke(build_app(), ["report", "--out", str(out), "--from", "2026-03-05", "--to", "2026-03-06"])
    assert done.exit_code == 0, done.output
    assert re.search(r"report\.html \(\d\.\d MB\), 2026-03-05 to 2026-03-06", done.stdout.replace("\n", ""))
    assert "<title>What the agents did, 2026-03-05 to 2026-03-06</title>" in out.read_text()
    data = json.loads(CliRunner().invoke(build_app(), ["report", "--json", "--from", "2026-03-06"]).stdout)
    assert data["days"] == ["2026-03-06", "2026-03-07", "2026-03-08", "2026-03-09"]
    assert {each["name"] for each in data["did"]} == set(AGENT_TYPES)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--from", "yesterday"), "is no day"),
        (("--from", "2026-03-07", "--to", "2026-03-06"), "would begin on"),
        (("--from", "2000-01-01"), "days at most"),
    ],
)
def test_days_that_make_no_period(history: Settings, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], what: str) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", NOW)
    monkeypatch.setattr("detektor_pipelines.settings.get_settings", lambda: history)
    error = CliRunner().invoke(build_app(), ["report", *words]).exception
    assert isinstance(error, UserError)
    assert what in str(error)


def test_an_empty_log_makes_a_page_that_says_what_to_do(servers: Settings, tmp_path: Path) -> None:
    found = gather(servers, VIEWS)
    assert (found.events, found.views, found.stands_out) == (0, (), ())
    write(found, tmp_path / "empty.html")
    text = (tmp_path / "empty.html").read_text()
    assert "Nothing happened in this period" in text
    assert "detektor ingest PATH" in text


def test_a_directory_that_is_not_there_is_said(found: Report, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        write(found, tmp_path / "nowhere" / "report.html")


def test_what_the_last_ingest_read_is_told(servers: Settings, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "own.jsonl").write_text(OWN_FORMAT + "not json\n")
    (logs / "notes.txt").write_text("no log")
    servers.home.mkdir()
    done = ingest(servers, [logs])
    last = gather(servers, VIEWS).reading.last
    assert last is not None
    assert last["paths"] == [str(logs)]
    assert (last["skipped_files"], last["lines"]) == (len(done.skipped), done.lines)
    assert sum(last["files"].values()) == 1


def test_an_ingest_without_a_state_directory_is_not_told(servers: Settings, tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_text(OWN_FORMAT)
    ingest(servers, [tmp_path / "own.jsonl"])
    assert not servers.home.exists()
    assert gather(servers, VIEWS).reading.last is None
