"""What a file is that nobody here reads, so that it is skipped with a reason and not in silence.

Known by its name, its first bytes or the keys of its first records: logs of other agents, lists that agents keep beside their logs, and
ways of packing that the standard library cannot open.
"""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NO_LOG: Final = "no record of a known format"
EMPTY: Final = "empty"
DOCUMENT: Final = "a JSON document, not lines, and no session of an agent that is known"

_BY_NAME: Final = (
    ("*.vscdb", "looks like Cursor's or VS Code's database, which is not read"),
    (".aider.chat.history.md", "looks like a chat of Aider, which is not read"),
    (".aider.llm.history", "looks like a log of Aider, which is not read"),
    ("api_conversation_history.json", "looks like a task of Cline or Roo Code, which is not read"),
    ("ui_messages.json", "looks like a task of Cline or Roo Code, which is not read"),
)
_BY_KEYS: Final = (
    (("resourceLogs",), "OpenTelemetry logs: send them to `detektor collect`"),
    (("display", "timestamp", "project"), "Claude Code's list of prompts: it holds no events"),
    (("session_id", "ts", "text"), "Codex's list of prompts: it holds no events"),
    (("thread_name", "updated_at"), "Codex's index of sessions: it holds no events"),
    (("hook_event_name",), "records of hooks: `detektor ingest --spool` reads what detektor-hook noted"),
    (("type", "id", "parentId", "message"), "looks like a session of pi, which is not read"),
    (("role", "content"), "looks like a bare list of messages, which tells neither times nor outcomes and is not read"),
    (("messages",), "looks like a bare list of messages, which tells neither times nor outcomes and is not read"),
)
_PACKED: Final = (
    (b"\x28\xb5\x2f\xfd", "packed with zstd: unpack it first (zstd -d {name})"),
    (b"7z\xbc\xaf\x27\x1c", "packed with 7-Zip: unpack it first (7z x {name})"),
    (b"Rar!", "packed with RAR: unpack it first (unrar x {name})"),
    (b"\x04\x22\x4d\x18", "packed with LZ4: unpack it first (lz4 -d {name})"),
    (b"\x1f\x9d", "packed with compress: unpack it first (uncompress {name})"),
    (b"SQLite format 3\x00", "an SQLite database, but not OpenCode's"),
)
_BINARY: Final = 0.1
"""Share of control characters over which a file's beginning is no text."""


def by_name(name: str) -> str | None:
    """Say what a file's name tells; None when nothing."""
    return next((reason for pattern, reason in _BY_NAME if fnmatch.fnmatch(name, pattern)), None)


def by_first_bytes(beginning: bytes, name: str) -> str | None:
    """Say what a file's first bytes tell; None when they are text."""
    packed = next((reason.format(name=name) for magic, reason in _PACKED if beginning.startswith(magic)), None)
    if packed:
        return packed
    control = sum(byte < 32 and byte not in b"\t\n\r\f\x1b\x00" for byte in beginning)  # noqa: PLR2004 (where printable signs begin)
    return "no text" if beginning and control > _BINARY * len(beginning) else None


def by_records(records: Sequence[Mapping[str, Any]]) -> str | None:
    """Say what the keys of a file's first records tell; None when nothing."""
    return next((reason for record in records for keys, reason in _BY_KEYS if all(key in record for key in keys)), None)
