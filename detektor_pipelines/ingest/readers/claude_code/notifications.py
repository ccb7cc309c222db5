"""What a session is told about its background agents: `<task-notification>` (before 2.1 `<agent-notification>`), text shaped like XML.

It stands in a `queue-operation` record and again in the user message made from it; one agent may be notified of several times, for it can
be resumed. Background shell commands are notified of in the same way: who joins must know the agent's id.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Final

_FIELDS: Final = re.compile(r"<(task-id|agent-id|tool-use-id|status)>([^<]*)</\1>")
_RESULT: Final = re.compile(r"<result>(.*)</result>", re.DOTALL)
_USAGE: Final = re.compile(r"<(subagent_tokens|total_tokens|tool_uses|duration_ms)>\s*(\d{1,18})\s*</\1>")
_OPENINGS: Final = ("<task-notification>", "<agent-notification>")


@dataclass(frozen=True, slots=True)
class Notification:
    """One notification. `status` is completed, failed, killed or stopped, as it stands; `tool_use_id` is None in older versions."""

    agent_id: str
    tool_use_id: str | None
    status: str
    result: str | None
    tool_calls: int | None
    duration_ms: int | None


def read_notification(content: str) -> Notification | None:
    """Read a notification; None when the text is none, or was cut before it said whom it is about and how it ended."""
    if not content.lstrip().startswith(_OPENINGS):
        return None
    result = _RESULT.search(content)
    outside = content if result is None else content[: result.start()] + content[result.end() :]
    fields = dict(_FIELDS.findall(outside))
    agent_id = (fields.get("task-id") or fields.get("agent-id") or "").strip()
    status = fields.get("status", "").strip()
    if not agent_id or not status:
        return None
    tool_use_id = fields.get("tool-use-id", "").strip()
    usage = {name: int(value) for name, value in _USAGE.findall(outside)}
    return Notification(
        agent_id=agent_id,
        tool_use_id=tool_use_id if tool_use_id.startswith("toolu_") else None,
        status=status,
        result=html.unescape(result[1]).strip() or None if result else None,
        tool_calls=usage.get("tool_uses"),
        duration_ms=usage.get("duration_ms"),
    )
