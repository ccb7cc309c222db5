from __future__ import annotations

from typing import Any

import orjson
import pytest

from detektor_pipelines.ingest.checks import problem
from detektor_pipelines.ingest.live.otlp import (
    WITHOUT_EVENTS,
    AgentsSeen,
    UnreadableRequestError,
    read,
    requests_of_json,
    requests_of_protobuf,
)
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.language.records import AgentEvent, Rejection

NANO = 1_782_000_000_123_456_789
AT = NANO // 1000


def value(given: Any) -> dict[str, Any]:
    if isinstance(given, bool):
        return {"boolValue": given}
    return (
        {"stringValue": given} if isinstance(given, str) else {"intValue": str(given)} if isinstance(given, int) else {"doubleValue": given}
    )


def record(name: str, nano: int = NANO, **said: Any) -> dict[str, Any]:
    attributes = {"event.name": name, "session.id": "s1", **{key.replace("__", "."): each for key, each in said.items()}}
    pairs = [{"key": key, "value": value(each)} for key, each in attributes.items()]
    return {"timeUnixNano": str(nano), "body": {"stringValue": f"claude_code.{name}"}, "attributes": pairs}


def export(*records: dict[str, Any], **resource: str) -> dict[str, Any]:
    pairs = [{"key": key.replace("__", "."), "value": {"stringValue": each}} for key, each in resource.items()]
    return {"resourceLogs": [{"resource": {"attributes": pairs}, "scopeLogs": [{"logRecords": list(records)}]}]}


def one(*records: dict[str, Any], **resource: str) -> AgentEvent:
    (event,) = read(export(*records, **resource), AgentNames.load())
    assert isinstance(event, AgentEvent)
    assert problem(event) is None
    return event


def test_a_tool_result() -> None:
    event = one(record("tool_result", tool_name="Bash", tool_use_id="toolu_1", success="true", duration_ms="12.6"), project="Shop")
    assert (event.event_id, event.operation, event.occurred_at) == ("tool:toolu_1", "tool_call", AT)
    assert (event.raw_name, event.agent_type, event.project, event.session_id) == ("main", "unmapped", "shop", "s1")
    assert event.measures == {"duration_ms": 13}
    assert event.categories == {"outcome": "success", "tool_name": "Bash"}


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"error": "File does not exist"}, "not_found"),
        ({"error_type": "ShellError"}, "exit_code"),
        ({"error_type": "TelemetrySafeError_I_VERIFIED"}, "other"),
        ({"error_type": "AbortError"}, "AbortError"),
        ({"decision_type": "reject"}, "rejected_by_user"),
        ({}, "other"),
    ],
)
def test_a_failed_tool(said: dict[str, str], kind: str) -> None:
    event = one(record("tool_result", tool_name="Read", success="false", **said))
    assert event.categories == {"outcome": "failure", "tool_name": "Read", "error_type": kind}


def test_an_answer_of_a_named_agent() -> None:
    tokens = {"input_tokens": 5, "output_tokens": "6", "cache_read_tokens": 7, "cache_creation_tokens": 8}
    said = {"model": "opus", "duration_ms": 1200, "request_id": "req_1", "agent__name": "code-reviewer", **tokens}
    event = one(record("api_request", **said), vcs__repository__url__full="https://example.org/team/Shop.git")
    assert (event.event_id, event.agent_type, event.project) == ("req:req_1", "code-reviewer", "shop")
    assert event.measures == {
        "duration_ms": 1200,
        "input_tokens": 5,
        "output_tokens": 6,
        "cache_read_tokens": 7,
        "cache_creation_tokens": 8,
    }
    assert event.categories == {"outcome": "success", "model": "opus"}


def test_answers_that_failed() -> None:
    assert one(record("api_error", model="opus", status_code="529", error="Overloaded")).categories["error_type"] == "http_529"
    assert one(record("api_error", model="opus", error="Connection")).categories["error_type"] == "api_error"
    assert one(record("api_refusal", model="opus")).categories == {"outcome": "failure", "model": "opus", "error_type": "refusal"}


def test_a_subagents_end() -> None:
    event = one(record("subagent_completed", agent_type="reviewer", total_tool_uses=4, duration_ms=9_000, final_model="opus"))
    assert (event.operation, event.raw_name, event.agent_type) == ("invoke_agent", "reviewer", "code-reviewer")
    assert event.measures == {"duration_ms": 9_000, "tool_calls": 4}


def test_ids_without_a_call_come_from_the_sequence_or_the_record() -> None:
    assert one(record("tool_result", tool_name="Bash", success="true", event__sequence=7)).event_id == "otel:s1:7"
    first, again, other = (
        one(record("tool_result", nano=nano, tool_name="Bash", success="true")).event_id for nano in (NANO, NANO, NANO + 1)
    )
    assert first == again != other


def test_what_is_no_operation_yields_nothing_and_the_unknown_is_rejected() -> None:
    records = [*(record(name) for name in sorted(WITHOUT_EVENTS)), record("new_thing", tool="x")]
    (found,) = read(export(*records), AgentNames.load())
    assert isinstance(found, Rejection)
    assert found.reason == "the log record 'new_thing' makes no event"


def test_a_record_without_a_time_takes_its_attributes_or_is_rejected() -> None:
    assert one(record("api_request", nano=0, event__timestamp="2026-07-01T10:00:00.5Z")).occurred_at == 1_782_900_000_500_000
    (found,) = read(export(record("api_request", nano=0)), AgentNames.load())
    assert isinstance(found, Rejection)


def test_protobuf_is_read_as_json_is() -> None:
    from google.protobuf.json_format import Parse
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    content = export(record("tool_result", tool_name="Bash", tool_use_id="t", success="true", duration_ms=3), project="shop")
    message = Parse(orjson.dumps(content), ExportLogsServiceRequest())
    names = AgentNames.load()
    assert list(read(requests_of_protobuf(message.SerializeToString()), names)) == list(
        read(requests_of_json(orjson.dumps(content)), names)
    )


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"resourceLogs": 5}'])
def test_what_is_no_export(body: bytes) -> None:
    with pytest.raises(UnreadableRequestError):
        requests_of_json(body)
    with pytest.raises(UnreadableRequestError):
        requests_of_protobuf(b"\xff" + body)


def in_subagent(name: str, agent_id: str, **said: Any) -> dict[str, Any]:
    return record(name, agent_id=agent_id, **said)


def calls(*exports: dict[str, Any]) -> list[tuple[str, str, str]]:
    seen = AgentsSeen()
    events = [event for each in exports for event in read(each, AgentNames.load(), seen)]
    return [(event.event_id, event.raw_name, event.agent_type) for event in events if isinstance(event, AgentEvent)]


def test_a_subagents_tool_calls_get_its_name_by_its_id_whatever_the_order_within_an_export() -> None:
    tool = in_subagent("tool_result", "a7", tool_name="Read", tool_use_id="toolu_7", success="true")
    answer = in_subagent("api_request", "a7", agent__name="code-reviewer", request_id="r7")
    main = record("tool_result", tool_name="Read", tool_use_id="toolu_0", success="true")
    assert calls(export(tool, answer, main)) == [
        ("tool:toolu_7", "code-reviewer", "code-reviewer"),
        ("req:r7", "code-reviewer", "code-reviewer"),
        ("tool:toolu_0", "main", "unmapped"),
    ]


def test_a_name_is_remembered_from_export_to_export_of_its_session_only() -> None:
    first = export(in_subagent("subagent_completed", "a7", agent_type="code-reviewer", event__sequence=1))
    later = export(in_subagent("tool_result", "a7", tool_use_id="toolu_8", success="true"))
    other = export(in_subagent("tool_result", "a7", tool_use_id="toolu_9", success="true", session__id="s2"))
    assert [name for _, name, _ in calls(first, later, other)] == ["code-reviewer", "code-reviewer", "unknown"]
    assert [name for _, name, _ in calls(later, first)] == ["unknown", "code-reviewer"]  # not told yet, and never the main session's


def test_names_of_subagents_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detektor_pipelines.ingest.live.otlp._AGENTS_KEPT", 2)
    seen = AgentsSeen()
    for number in range(5):
        seen.note({"session.id": "s", "agent_id": f"a{number}", "agent.name": f"n{number}"})
    assert [seen.name_of({"session.id": "s", "agent_id": f"a{number}"}) for number in range(5)] == ["unknown"] * 3 + ["n3", "n4"]


@pytest.mark.parametrize("name", ["hook_registered", "plugin_loaded", "managed_settings_resolved", "retention_sweep"])
def test_records_of_newer_versions_without_events_are_not_rejected(name: str) -> None:
    assert list(read(export(record(name)), AgentNames.load())) == []


def test_a_week_is_no_time_of_a_record() -> None:
    given = record("tool_result", **{"event.timestamp": "2026-W48-3"}) | {"timeUnixNano": "0"}
    (found,) = read(export(given), AgentNames.load())
    assert isinstance(found, Rejection)
    assert found.reason == "the log record has no time"
