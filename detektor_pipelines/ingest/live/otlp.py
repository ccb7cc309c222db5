"""OpenTelemetry logs (OTLP/HTTP, JSON or protobuf) of Claude Code to events.

| Claude Code's event | becomes |
|---|---|
| `tool_result` | `tool_call`, with tool, outcome, duration, class of the error |
| `api_request` | `chat`, with model, duration, tokens |
| `api_error`, `api_refusal` | `chat` that failed |
| `subagent_completed` | `invoke_agent`, with duration and tool calls; not the agent's own work, for its report is not told |
| those of WITHOUT_EVENTS (`user_prompt`, `tool_decision`, …) | nothing: they are not operations of ours |
| any other | rejected, with its name |

Names of attributes are those of Claude Code's page on monitoring. A tool call has the id of its transcript's, `tool:<tool_use_id>`, where
the event names it. An answer has not (`req:<request_id>`; the transcript knows message ids only), nor has a subagent's end: take those
of one session from its transcript or from here, not from both. Claude Code calls every agent of your own "custom" unless
OTEL_LOG_TOOL_DETAILS=1 is set. From 2.1.332 on a `tool_result` within a subagent names only its `agent_id`: its name stands in the
subagent's first `api_request` and in its end (`AgentsSeen` joins them). It tells no directory: name the project by
OTEL_RESOURCE_ATTRIBUTES=project=<name>.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import orjson

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.ingest.masking import excerpt
from detektor_pipelines.ingest.readers.failures import OTHER, REJECTED, error_type
from detektor_pipelines.ingest.readers.names import MAIN_THREAD, AgentNames
from detektor_pipelines.ingest.readers.projects import project_name, project_of_remote
from detektor_pipelines.ingest.readers.shapes import STRANGE_SHAPE, record_of, text_of
from detektor_pipelines.language.events import MEASURES
from detektor_pipelines.language.records import AgentEvent, Rejection
from detektor_pipelines.stores.raw_log.duplicates import LIVE_REVISION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SOURCE: Final = "otlp"
PREFIX: Final = "claude_code."
WITHOUT_EVENTS: Final = frozenset(
    {
        "api_request_body",
        "api_response_body",
        "assistant_response",
        "at_mention",
        "auth",
        "compaction",
        "hook_execution_complete",
        "hook_execution_start",
        "hook_registered",
        "internal_error",
        "managed_settings_resolved",
        "mcp_server_connection",
        "permission_mode_changed",
        "plugin_installed",
        "plugin_loaded",
        "retention_sweep",
        "skill_activated",
        "tool_decision",
        "user_prompt",
    }
)
_TOKENS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens")
_AGENT_NAMES: Final = ("agent.name", "agent_type", "subagent_type", "gen_ai.agent.name")
_AGENT_IDS: Final = ("agent_id", "agent.id", "gen_ai.agent.id")
_UNKNOWN_NAME: Final = "unknown"
"""A subagent whose name was not told yet: it is certainly not the main session."""

_AGENTS_KEPT: Final = 10_000
_ATTRIBUTES_READ: Final = 1_000
"""Attributes of one record that are looked at; SDKs send 128 at most."""

_DIGITS: Final = 24
_ERRORS: Final = {"ShellError": "exit_code", "TelemetrySafeError": OTHER}
"""Claude Code's own classes of errors → ours, by the beginning of the word; a class that is not here is kept as it is."""
_REMOTES: Final = ("vcs.repository.url.full", "vcs.repository.name")


class UnreadableRequestError(Exception):
    """The body is not an export of logs; its text says why."""


def requests_of_json(body: bytes) -> dict[str, Any]:
    """Read an export in OTLP's JSON encoding.

    Raises:
        UnreadableRequestError: It is none.

    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        reason = f"the body is not JSON: {error.msg} at character {error.colno}"
        raise UnreadableRequestError(reason) from None
    if not isinstance(content, dict) or not isinstance(content.get("resourceLogs"), list | None):
        reason = "the body is not an ExportLogsServiceRequest: it has no list resourceLogs"
        raise UnreadableRequestError(reason)
    return content


def requests_of_protobuf(body: bytes) -> dict[str, Any]:
    """Read an export in OTLP's binary encoding, as what `requests_of_json` returns.

    Raises:
        UnreadableRequestError: It is none.

    """
    from google.protobuf.json_format import MessageToDict
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    message = ExportLogsServiceRequest()
    try:
        message.ParseFromString(body)
    except DecodeError:
        reason = "the body is not an ExportLogsServiceRequest in protobuf"
        raise UnreadableRequestError(reason) from None
    return dict(MessageToDict(message))


def number_of_records(content: Mapping[str, Any]) -> int:
    """Return how many log records an export holds, without looking into them.

    Raises:
        UnreadableRequestError: What should be a list of them is none.

    """
    scopes = (scope for resource in _listed(content, "resourceLogs") for scope in _listed(record_of(resource), "scopeLogs"))
    return sum(len(_listed(record_of(scope), "logRecords")) for scope in scopes)


class AgentsSeen:
    """The names of the subagents that exports told of, by session and agent id; one for all exports, for they come in pieces.

    The newest are kept, so that a collector that runs for months does not grow.
    """

    def __init__(self) -> None:
        self._names: dict[tuple[str | None, str], str] = {}

    def note(self, said: Mapping[str, Any]) -> None:
        """Remember a name that stands beside an agent id."""
        agent_id, name = _first(said, _AGENT_IDS), _first(said, _AGENT_NAMES)
        if agent_id and name:
            key = (text_of(said.get("session.id")), agent_id)
            self._names.pop(key, None)
            self._names[key] = name
            while len(self._names) > _AGENTS_KEPT:
                self._names.pop(next(iter(self._names)))

    def name_of(self, said: Mapping[str, Any]) -> str:
        """Return whose a record is: the name it tells, the one its agent id had before; the main session's without either."""
        agent_id, name = _first(said, _AGENT_IDS), _first(said, _AGENT_NAMES)
        if name or not agent_id:
            return name or MAIN_THREAD
        return self._names.get((text_of(said.get("session.id")), agent_id), _UNKNOWN_NAME)


def read(content: Mapping[str, Any], names: AgentNames, seen: AgentsSeen | None = None) -> Iterator[AgentEvent | Rejection]:
    """Make events of an export's records, in order; what is not an operation of ours yields nothing.

    Args:
        content: The export.
        names: The table of agents.
        seen: What earlier exports told of subagents; those of this one are added before its records are read.

    Raises:
        UnreadableRequestError: What should be a list of records is none.

    """
    seen = seen if seen is not None else AgentsSeen()
    records = list(_records(content))
    for _, said, _ in records:
        seen.note(said)
    for record, said, resource in records:
        try:
            found = _read_one(record, said, resource, names, seen)
        except STRANGE_SHAPE as error:
            found = Rejection(
                SOURCE, None, f"a log record of a shape that is not known ({type(error).__name__})", excerpt(repr(list(said)))
            )
        if found is not None:
            yield found


def _records(content: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """Yield (record, its attributes, its resource's attributes)."""
    for resource_logs in _listed(content, "resourceLogs"):
        resource = _attributes(record_of(record_of(resource_logs).get("resource")).get("attributes"))
        for scope_logs in _listed(record_of(resource_logs), "scopeLogs"):
            for record in _listed(record_of(scope_logs), "logRecords"):
                yield record_of(record), _attributes(record_of(record).get("attributes")), resource


def _listed(holder: Mapping[str, Any], key: str) -> list[Any]:
    """A list of the export; null is none, as protobuf's JSON has it."""
    found = holder.get(key)
    if found is None:
        return []
    if not isinstance(found, list):
        reason = f"{key} is not a list"
        raise UnreadableRequestError(reason)
    return found


def _first(said: Mapping[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((found for key in keys if (found := text_of(said.get(key)))), None)


def _read_one(
    record: dict[str, Any], said: Mapping[str, Any], resource: Mapping[str, Any], names: AgentNames, seen: AgentsSeen
) -> AgentEvent | Rejection | None:
    name = _name(record, said)
    if name in WITHOUT_EVENTS:
        return None
    at = _instant(record, said)
    kind = _KINDS.get(name)
    if kind is None or at is None:
        reason = "the log record has no time" if kind else f"the log record {name[:60]!r} makes no event"
        return Rejection(SOURCE, None, reason, excerpt(orjson.dumps({"at": at, **{key: said[key] for key in sorted(said)}}, default=str)))
    operation, measures, categories = kind(said)
    raw_name = seen.name_of(said)
    session = text_of(said.get("session.id"))
    return AgentEvent(
        event_id=_event_id(name, said, record)[:200],
        agent_type=names.agent_type(raw_name),
        raw_name=raw_name[:256],
        operation=operation,
        occurred_at=at,
        source=SOURCE,
        project=_project({**resource, **said}),
        session_id=session[:200] if session else None,
        measures={key: value for key, value in measures.items() if value is not None},
        categories={key: value[:256] for key, value in categories.items() if value},
        attributes={"agent_id": agent_id[:200]} if (agent_id := _first(said, _AGENT_IDS)) else {},
        reader_revision=LIVE_REVISION,
    )


# One kind of event each ----------------------------------------------------------------------------------------------------------


def _tool_result(said: Mapping[str, Any]) -> tuple[str, dict[str, int | None], dict[str, str | None]]:
    failed = str(said.get("success")).lower() == "false"
    rejected = "reject" in {said.get("decision"), said.get("decision_type")}
    error = text_of(said.get("error"))
    kind = REJECTED if rejected else error_type(error) if error else _class_of(text_of(said.get("error_type")))
    categories = {"outcome": "failure" if failed else "success", "tool_name": text_of(said.get("tool_name"))}
    return "tool_call", {"duration_ms": _whole(said, "duration_ms")}, {**categories, "error_type": kind if failed else None}


def _class_of(word: str | None) -> str:
    return next((ours for theirs, ours in _ERRORS.items() if word.startswith(theirs)), word) if word else OTHER


def _api_request(said: Mapping[str, Any]) -> tuple[str, dict[str, int | None], dict[str, str | None]]:
    measures = {name: _whole(said, name) for name in ("duration_ms", *_TOKENS)}
    return "chat", measures, {"outcome": "success", "model": text_of(said.get("model"))}


def _api_error(said: Mapping[str, Any]) -> tuple[str, dict[str, int | None], dict[str, str | None]]:
    status = said.get("status_code")
    kind = f"http_{status}" if status not in {None, "", "undefined"} else "api_error"
    return "chat", {"duration_ms": _whole(said, "duration_ms")}, _failed_chat(said, kind)


def _api_refusal(said: Mapping[str, Any]) -> tuple[str, dict[str, int | None], dict[str, str | None]]:
    return "chat", {"duration_ms": _whole(said, "duration_ms")}, _failed_chat(said, "refusal")


def _failed_chat(said: Mapping[str, Any], kind: str) -> dict[str, str | None]:
    return {"outcome": "failure", "model": text_of(said.get("model")), "error_type": kind}


def _subagent_completed(said: Mapping[str, Any]) -> tuple[str, dict[str, int | None], dict[str, str | None]]:
    measures = {"duration_ms": _whole(said, "duration_ms"), "tool_calls": _whole(said, "total_tool_uses", "tool_calls")}
    return "invoke_agent", measures, {"outcome": "success", "model": text_of(said.get("final_model")) or text_of(said.get("model"))}


_KINDS: Final = {
    "tool_result": _tool_result,
    "api_request": _api_request,
    "api_error": _api_error,
    "api_refusal": _api_refusal,
    "subagent_completed": _subagent_completed,
}


# Values --------------------------------------------------------------------------------------------------------------------------


def _attributes(given: Any) -> dict[str, Any]:
    """OTLP's list of key and typed value, as a mapping; what is not a plain value is left out."""
    found: dict[str, Any] = {}
    for pair in given[:_ATTRIBUTES_READ] if isinstance(given, list) else ():
        value = record_of(record_of(pair).get("value"))
        plain = next((value[kind] for kind in ("stringValue", "intValue", "doubleValue", "boolValue") if kind in value), None)
        if plain is not None and isinstance(pair.get("key"), str):
            found[pair["key"]] = plain
    return found


def _name(record: Mapping[str, Any], said: Mapping[str, Any]) -> str:
    body = text_of(record_of(record.get("body")).get("stringValue"))
    name = text_of(said.get("event.name")) or text_of(record.get("eventName")) or body or "(no name)"
    return name.removeprefix(PREFIX)


def _instant(record: Mapping[str, Any], said: Mapping[str, Any]) -> int | None:
    for key in ("timeUnixNano", "observedTimeUnixNano"):
        value = record.get(key)
        if isinstance(value, int | str) and len(digits := str(value)) < _DIGITS and digits.isascii() and digits.isdigit() and int(value):
            return int(value) // 1000
    try:
        return parse_instant(str(said["event.timestamp"]))
    except (KeyError, ValueError, OverflowError):
        return None


def _event_id(name: str, said: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    """The transcript's id where the event tells it; else what tells it from the session's others."""
    call, request = text_of(said.get("tool_use_id")), text_of(said.get("request_id"))
    if call and name == "tool_result":
        return f"tool:{call}"
    if request and name == "api_request":
        return f"req:{request}"
    session, sequence = text_of(said.get("session.id")), said.get("event.sequence")
    if session and sequence is not None:
        return f"otel:{session}:{sequence}"
    return f"otel:{hashlib.md5(orjson.dumps([record, said], option=orjson.OPT_SORT_KEYS), usedforsecurity=False).hexdigest()}"


def _whole(said: Mapping[str, Any], name: str, measure: str | None = None) -> int | None:
    """A number as a measure's whole one; Claude Code writes some as text. Out of range it is left to the checks, which reject it."""
    value = said.get(name)
    if value is None or isinstance(value, bool):
        return None
    try:
        whole = round(float(value))
    except (TypeError, ValueError, OverflowError):
        return None
    return whole if whole <= MEASURES[measure or name].maximum else None


def _project(said: Mapping[str, Any]) -> str | None:
    named = text_of(said.get("project")) or text_of(said.get("detektor.project"))
    if named:
        return project_name(named)
    remote = next((found for key in _REMOTES if (found := text_of(said.get(key)))), None)
    return project_of_remote(remote) if remote else None
