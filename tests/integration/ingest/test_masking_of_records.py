from __future__ import annotations

import json
import stat
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from support.asgi import post
from typer.testing import CliRunner

from detektor_pipelines import hook
from detektor_pipelines.cli import build_app
from detektor_pipelines.clock import now_us, to_text
from detektor_pipelines.ingest.live import http
from detektor_pipelines.ingest.live.spool import drain
from detektor_pipelines.ingest.live.writer import LiveWriter
from detektor_pipelines.ingest.masking import KEY_FILE, Masker, key_of, pseudonym
from detektor_pipelines.ingest.run import ingest
from detektor_pipelines.language.records import AgentEvent, Rejection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.applications import Starlette

    from detektor_pipelines.settings import Settings

KEY = "gh" + "p_" + "a1B2" * 9
AT = now_us() - 3_600_000_000
SECRETS = (KEY, "ada.l@", "zborowska", "Juniper9")


def event(**changed: Any) -> AgentEvent:
    given: dict[str, Any] = {
        "event_id": f"work:{KEY}",
        "raw_name": "reviewer for ada.l@example.org",
        "project": f"shop-{KEY.lower()}",
        "session_id": "ada.l@example.org",
        "task_id": f"task/{KEY}",
        "source": "/home/zborowska/.claude/projects/-home-zborowska-shop/a.jsonl",
        "categories": {"verdict": "approved", "model": f"m {KEY}"},
        "attributes": {"evidence": "password: Juniper9", "user": "zborowska", "deep": {"list": [f"see {KEY}"]}, f"{KEY}": 1},
        "measures": {"issues_found": 1},
    }
    given |= changed
    return AgentEvent(agent_type="code-reviewer", operation="review", occurred_at=AT, **given)


def everything(settings: Settings) -> str:
    with psycopg.connect(settings.postgres_dsn) as connection:
        rows = [
            connection.execute(f"SELECT coalesce(json_agg(t)::text, '') FROM ml_learning.{table} AS t").fetchone()
            for table in ("agent_events", "event_ids", "rejected_events")
        ]
    return " ".join(str(row[0]) for row in rows if row)


def test_nothing_of_a_record_is_stored_unmasked_whichever_way_it_comes(database: Settings) -> None:
    with LiveWriter(database) as writer:
        outcomes = writer.write(
            [
                event(),
                event(event_id="bad", measures={"issues_found": -1}),
                Rejection(f"/home/zborowska/{KEY}", 3, f"what is {KEY}", "pwd=Juniper9", KEY),
            ]
        )
        assert [outcome.status for outcome in outcomes] == ["accepted", "rejected", "rejected"]
        # A record that contradicts the first is kept whole among the conflicts, and no plainer than the event.
        (conflict,) = writer.write([event(measures={"issues_found": 2})])
        assert conflict.status == "rejected"
        assert writer.write([event()])[0].status == "known"
    kept = everything(database)
    assert [secret for secret in SECRETS if secret in kept or secret.lower() in kept.lower()] == []
    assert pseudonym(key_of(database.home), "zborowska") in kept


def test_files_give_the_same_text_and_the_same_identity_as_live(database: Settings, tmp_path: Path) -> None:
    record = {
        "event_id": f"work:{KEY}",
        "agent": "code-reviewer",
        "operation": "review",
        "occurred_at": to_text(AT),
        "session_id": "ada.l@example.org",
        "verdict": "approved",
        "attributes": {"note": f"see {KEY}"},
    }
    file = tmp_path / "log.jsonl"
    file.write_text(json.dumps(record) + "\n", encoding="utf-8")
    report = ingest(database, [file])
    if not report.counts.added:
        pytest.fail(str(report.rejected))
    kept = everything(database)
    assert KEY not in kept
    masked = Masker.of(database).name(f"work:{KEY}")
    assert masked in kept
    assert "ada.l@" not in kept
    # The same record, heard live, is the same event.
    with LiveWriter(database) as writer:
        live = event(attributes={"note": f"see {KEY}"}, project=None, task_id=None, measures={}, categories={"verdict": "approved"})
        assert [outcome.event_id for outcome in writer.write([live])] == [masked]
    with psycopg.connect(database.postgres_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM ml_learning.event_ids").fetchone() == (1,)


def test_the_key_is_the_owners_alone_and_stays(tmp_path: Path) -> None:
    home = tmp_path / "home"
    key = key_of(home)
    assert stat.S_IMODE((home / KEY_FILE).stat().st_mode) == 0o600
    assert (key_of(home), len(key)) == (key, 64)
    assert key_of(tmp_path / "another") != key


def test_two_names_stay_two_and_the_same_stays_the_same() -> None:
    masker = Masker(lambda: b"k" * 64)
    one, other = (masker.name(f"work:{KEY}{end}") for end in ("A1", "B2"))
    assert one != other
    assert one == Masker(lambda: b"k" * 64).name(f"work:{KEY}A1")
    assert one != Masker(lambda: b"l" * 64).name(f"work:{KEY}A1")
    assert masker.name(one) == one


def test_what_holds_nothing_is_the_event_itself() -> None:
    plain = AgentEvent(
        "tool:toolu_01Ab", "code-reviewer", "reviewer", "tool_call", AT, "log.jsonl", session_id="s", categories={"tool_name": "Bash"}
    )
    assert Masker(lambda: b"k" * 64).event(plain) is plain


# Each way in ----------------------------------------------------------------------------------------------------------------


class Plants:
    """Hands out keys, another for each field, and remembers where each was put."""

    def __init__(self, mark: str = "aB3d") -> None:
        self._mark = mark
        self.fields: dict[str, str] = {}

    def __call__(self, field: str) -> str:
        key = "gh" + f"p_{len(self.fields):03}{self._mark}E5fG7hJ9kL1mN2pQ4rS6tU8vW0xYz"
        self.fields[key] = field
        return f"{field} {key}"

    def found_in(self, text: str) -> list[str]:
        return [field for key, field in self.fields.items() if key in text or key.lower() in text]


def texts_of(home: Path) -> str:
    return " ".join(file.read_text(errors="replace") for file in home.rglob("*") if file.is_file() and file.name != KEY_FILE)


@pytest.fixture
def collector(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Starlette]:
    with ExitStack() as writers:
        monkeypatch.setattr(http, "LiveWriter", lambda settings, mix: writers.enter_context(LiveWriter(settings, mix=mix)))
        yield http.app(database)


def test_nothing_that_comes_over_http_is_stored_or_logged_unmasked(
    database: Settings, collector: Starlette, caplog: pytest.LogCaptureFixture
) -> None:
    plant = Plants()
    own = [
        {"operation": "chat", "occurred_at": to_text(AT + number), "agent": "main", "outcome": "success"}
        | {field: plant(field) for field in fields}
        | {"attributes": {plant("name of an attribute"): [{"deep": plant("an attribute")}]}}
        for number, fields in enumerate(
            (("agent", "session_id", "task_id", "event_id", "project", "model"), ("agent", "tool_name"), ("nonsense",))
        )
    ]
    early = {
        **own[0],
        "occurred_at": to_text(now_us() + 60_000_000),
        "event_id": plant("id of one that waits"),
        "model": plant("of one that waits"),
    }
    early["attributes"] = {"note": plant("attribute of one that waits")}
    bad = [
        {plant("a field"): 1},
        {**own[0], "occurred_at": plant("occurred_at")},
        {**own[0], "operation": plant("operation")},
        plant("no object"),
    ]
    names = (
        "agent_id",
        "agent.name",
        "session.id",
        "tool_name",
        "tool_use_id",
        "error",
        "error_type",
        "model",
        "project",
        "status_code",
        "other",
    )
    logs = []
    for name in ("tool_result", "api_request", "api_error", "api_refusal", "subagent_completed", plant("event.name")):
        said = {
            "event.name": name,
            "success": "false",
            "request_id": plant(f"{name} request_id"),
            **{each: plant(f"{name} {each}") for each in names},
        }
        pairs = [{"key": key, "value": {"stringValue": value}} for key, value in said.items()]
        pairs.append({"key": plant("name of an attribute"), "value": {"stringValue": "x"}})
        logs.append({"timeUnixNano": str(AT * 1000), "body": {"stringValue": plant("body")}, "attributes": pairs})
    export = {"resourceLogs": [{"scopeLogs": [{"logRecords": [*logs, {"body": {"stringValue": plant("body of none")}}]}]}]}

    with caplog.at_level("DEBUG"):
        status, answer = post(collector, "/v1/events", json.dumps([*own, early, *bad]).encode(), "application/json")
        counts = json.loads(answer)
        assert (status, counts["held"], counts["rejected"]) == (200, 1, 6), answer
        assert post(collector, "/v1/logs", json.dumps(export).encode(), "application/json")[0] == 200

    assert plant.found_in(everything(database)) == []
    assert plant.found_in(texts_of(database.home)) == [], "of events that wait neither"
    assert plant.found_in(caplog.text) == []


def test_nothing_that_is_emitted_is_stored_unmasked(database: Settings) -> None:
    plant = Plants()
    given = ["emit", "--agent", "code-reviewer", "--action", "review", "--verdict", "approved", "--session-id", plant("session")]
    given += ["--task-id", plant("task"), "--event-id", plant("event"), "--project", plant("project")]
    done = CliRunner().invoke(build_app(), given)
    assert (done.exit_code, done.output.count("ghp_")) == (0, 0), done.output
    assert plant.found_in(everything(database)) == []


def test_nothing_that_a_hook_tells_is_stored_unmasked_and_its_reports_lie_in_no_spool(database: Settings) -> None:
    plant = Plants()
    ids = ("session_id", "agent_id", "agent_type", "tool_name", "tool_use_id", "cwd", "transcript_path")
    plain = {name: plant(name) for name in ids}
    inside = Plants("zQ7x")
    notes: list[Any] = [
        {**plain, "hook_event_name": name, "error": inside("error"), "last_assistant_message": inside("a report")}
        | {"tool_input": {"command": inside("what a tool was given")}, "tool_response": {"stdout": inside("what it gave"), "content": "x"}}
        for name in ("PostToolUse", "PostToolUseFailure", "SubagentStop", "Notification")
    ]
    agent = {"agentId": "a1", "agentType": plant("agentType"), "status": plant("status"), "resolvedModel": plant("resolvedModel")}
    agent["content"] = [{"type": "text", "text": inside("a subagent's report")}]
    notes.append({**plain, "hook_event_name": "PostToolUse", "tool_name": "Task", "tool_response": agent})
    notes.append([inside("no hook")])
    spool = database.home / "spool"
    for each in notes:
        hook.note(str(spool), hook.line_of(json.dumps(each).encode(), AT * 1000))
    assert inside.found_in(texts_of(spool)) == []
    drain(database)
    for found in (plant, inside):
        assert found.found_in(everything(database)) == []
