"""The formats of agent logs: what each is called, where its program keeps it, how a record of it is recognised, who reads it.

A further format is one entry in `FORMATS` and one module; docs/adding-a-log-format.md goes through an example. A record is recognised by
its keys alone. That is asked of the first records of every file, and of those that a reader meets and does not know.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ReaderName: TypeAlias = str
"""A format's name, as reports and `--json` call it."""

UNKNOWN: Final = "unknown"
_PACKAGE: Final = "detektor_pipelines.ingest.readers."


@dataclass(frozen=True, slots=True)
class Format:
    """One log format.

    Attributes:
        name: Its name in reports.
        title: What a person calls it.
        module: Who reads it, below `detektor_pipelines.ingest.readers`: a module with `read_many` (`interface.Reader`).
        recognises: Whether a record is of this format, by its keys; it is given any JSON object and must not raise.
        places: Directories or files where its program keeps its logs; `~` and variables of the environment are expanded.

    """

    name: ReaderName
    title: str
    module: str
    recognises: Callable[[Mapping[str, Any]], bool]
    places: tuple[str, ...] = ()


def detect(record: Mapping[str, Any]) -> ReaderName:
    """Say whose record this is; `unknown` when nobody's. The first format that recognises it has it."""
    return next((each.name for each in FORMATS if each.recognises(record)), UNKNOWN)


def places_found() -> list[tuple[Format, Path]]:
    """Return the places of this machine where a format's program keeps its logs, as far as they are there."""
    found = [(each, Path(os.path.expandvars(place)).expanduser()) for each in FORMATS for place in each.places]
    return [(each, path) for each, path in found if path.exists()]


def format_named(name: ReaderName) -> Format:
    """Return one format.

    Raises:
        KeyError: There is none of this name.

    """
    return {each.name: each for each in FORMATS}[name]


# How records are recognised --------------------------------------------------------------------------------------------------------

_CODEX_TYPES: Final = frozenset({"session_meta", "response_item", "event_msg", "turn_context", "compacted", "world_state"})
_CLAUDE_KEYS: Final = ("sessionId", "parentUuid", "leafUuid", "snapshot", "toolUseID")
_OWN_KEYS: Final = ("operation", "occurred_at", "agent")
"""What every record of our own format has; two of them are enough, so that a line that forgot one is rejected for that."""

_GEMINI_TYPES: Final = frozenset({"user", "info", "warning", "error"})
_GEMINI_UPDATES: Final = ("$set", "$rewindTo")


def _is_codex(record: Mapping[str, Any]) -> bool:
    kind = record.get("type")
    if isinstance(kind, str) and kind in _CODEX_TYPES:
        return isinstance(record.get("payload"), dict)
    return isinstance(kind, str) and isinstance(record.get("payload"), dict) and "timestamp" in record


def _is_copilot(record: Mapping[str, Any]) -> bool:
    kind = record.get("type")
    if not isinstance(kind, str) or not isinstance(record.get("data"), dict) or "id" not in record:
        return False
    return "parentId" in record and ("." in kind or kind == "abort")


def _is_gemini(record: Mapping[str, Any]) -> bool:
    if "sessionId" in record and "projectHash" in record:
        return True
    if any(key in record for key in _GEMINI_UPDATES):
        return len(record) == 1
    kind = record.get("type")
    if "sessionId" in record or "message" in record or "uuid" in record or "parentId" in record:
        return False
    return kind == "gemini" or (
        isinstance(kind, str) and kind in _GEMINI_TYPES and "id" in record and "content" in record and "timestamp" in record
    )


def _is_qwen(record: Mapping[str, Any]) -> bool:
    if not isinstance(record.get("sessionId"), str) or "uuid" not in record:
        return False
    message = record.get("message")
    if isinstance(message, dict):
        return "parts" in message and "content" not in message
    return "systemPayload" in record or "toolCallResult" in record


def _is_opencode(record: Mapping[str, Any]) -> bool:
    info, messages = record.get("info"), record.get("messages")
    if isinstance(info, dict) and isinstance(messages, list):
        return isinstance(info.get("id"), str) and "time" in info
    return "projectID" in record and "directory" in record and isinstance(record.get("time"), dict)


def _is_claude(record: Mapping[str, Any]) -> bool:
    return isinstance(record.get("type"), str) and any(key in record for key in _CLAUDE_KEYS)


def _is_own(record: Mapping[str, Any]) -> bool:
    return sum(key in record for key in _OWN_KEYS) > 1


FORMATS: Final = (
    Format(
        "codex",
        "Codex rollouts",
        f"{_PACKAGE}codex",
        _is_codex,
        ("$CODEX_HOME/sessions", "~/.codex/sessions", "~/.codex/archived_sessions"),
    ),
    Format("copilot", "GitHub Copilot CLI events", f"{_PACKAGE}sessions.copilot", _is_copilot, ("~/.copilot/session-state",)),
    Format("gemini", "Gemini CLI sessions", f"{_PACKAGE}sessions.gemini", _is_gemini, ("~/.gemini/tmp",)),
    Format("qwen", "Qwen Code sessions", f"{_PACKAGE}sessions.qwen", _is_qwen, ("~/.qwen/projects", "~/.qwen/tmp")),
    Format(
        "opencode",
        "OpenCode sessions",
        f"{_PACKAGE}sessions.opencode",
        _is_opencode,
        ("$XDG_DATA_HOME/opencode", "~/.local/share/opencode"),
    ),
    Format(
        "claude-code",
        "Claude Code transcripts",
        f"{_PACKAGE}transcripts",
        _is_claude,
        ("$CLAUDE_CONFIG_DIR/projects", "~/.claude/projects"),
    ),
    Format("jsonl", "our own JSONL", f"{_PACKAGE}jsonl", _is_own),
)
"""In the order in which they are asked: the one whose records have the more special shape comes first."""
