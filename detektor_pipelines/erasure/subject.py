"""Of whom or what all is erased: how it is found among events, and in texts."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.errors import UserError
from detektor_pipelines.language.events import AGENT_TYPES, CATEGORIES, MEASURES, OPERATIONS, UNMAPPED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detektor_pipelines.language.records import AgentEvent
    from detektor_pipelines.stores.raw_log.erased import Kind

PUT_IN_PLACE: Final = "erased"
"""What stands where a name stood, in texts that must stay readable for programs."""

_UNMISTAKABLE: Final = 16
"""Characters of a session's name that is looked for as part of longer words too."""

_SHORTEST: Final = 5
"""Characters of a name that is looked for by itself; shorter ones are words of programs too often."""

_PROGRAMS: Final = frozenset(
    (
        "alembic",
        "config",
        "dagster",
        "default",
        "detektor",
        "error",
        "event",
        "events",
        "failure",
        "feast",
        "feature",
        "features",
        "global",
        "group",
        "hooks",
        "index",
        "jobs",
        "label",
        "labels",
        "level",
        "local",
        "message",
        "metadata",
        "mlflow",
        "model",
        "models",
        "parent",
        "partition",
        "partitions",
        "postgres",
        "project",
        "python",
        "query",
        "redis",
        "registry",
        "repository",
        "result",
        "results",
        "schema",
        "serve",
        "server",
        "service",
        "source",
        "stack",
        "start",
        "started",
        "status",
        "stream",
        "success",
        "system",
        "table",
        "tests",
        "timestamp",
        "training",
        "user",
        "users",
        "value",
        "values",
        "version",
        "views",
        "workspace",
        "false",
    )
)
"""Words that programs' own records are made of: replacing one of them there would break the record."""


@dataclass(frozen=True)
class Subject:
    """What is erased.

    Args:
        kind: Which name it is.
        name: As the log says it.

    """

    kind: Kind
    name: str

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if not self.name.strip() or len(self.name) > 200:  # noqa: PLR2004 - as long as the log lets names be
            raise UserError(f"{self.name[:50]!r} is no name.", where=f"--{self.kind}", fix="Give it as the log says it.")
        if self.kind == "agent-id" and self.agent not in {*AGENT_TYPES, UNMAPPED}:
            raise UserError(
                f"There is no agent {self.agent}.",
                where="--agent-id",
                fix=f"It is one of {', '.join(AGENT_TYPES)}, or one of them @project.",
            )

    @property
    def agent(self) -> str:
        """Of an agent_id: its agent."""
        return self.name.partition("@")[0]

    @property
    def stays_at_work(self) -> bool:
        """Whether it may go on after the erasure, so that only what was before it is not taken in again."""
        return self.kind in {"agent-id", "project"}

    @property
    def condition(self) -> tuple[str, Mapping[str, Any]]:
        """The SQL condition on `agent_events AS e`, and its parameters."""
        if self.kind == "agent-id":
            agent, _, project = self.name.partition("@")
            found = "e.agent_type = %(agent)s AND (%(of)s = '' OR e.project = %(of)s)"
            return found, {"agent": agent, "of": project}
        if self.kind == "user":
            said = " OR ".join(
                f"jsonb_path_exists(e.{column}, '$.** ? (@ == $name)', jsonb_build_object('name', %(name)s::text))"
                for column in ("attributes", "extra")
            )
            return f"({said} OR e.source ~ %(home)s)", {
                "name": self.name,
                "home": rf"(/home|/Users|\\Users)[/\\]+{re.escape(self.name)}([/\\]|$)",
            }
        column = {"session": "session_id", "project": "project"}[self.kind]
        return f"e.{column} = %(name)s", {"name": self.name}

    def is_of(self, event: AgentEvent) -> bool:
        """Whether an event that is in no table yet is its: what `condition` says of those that are."""
        if self.kind == "agent-id":
            agent, _, project = self.name.partition("@")
            return event.agent_type == agent and project in {"", event.project}
        if self.kind == "user":
            said = json.dumps(self.name)
            return said in json.dumps([event.attributes, event.extra]) or self.is_in(event.source)
        return self.name == (event.session_id if self.kind == "session" else event.project)

    def owns(self, agent_id: str) -> bool:
        """Whether an agent_id is its own, so that all of it goes; of a session's and a user's agents others may have a share."""
        if self.kind == "project":
            return agent_id.partition("@")[2] == self.name
        return self.kind == "agent-id" and (agent_id == self.name or ("@" not in self.name and agent_id.startswith(f"{self.name}@")))

    @cached_property
    def needle(self) -> str | None:
        """What a text must hold at least to name it: nothing, where JSON may write the name otherwise.

        None for an agent, whose name is a role's and part of the definitions.
        """
        if self.kind == "agent-id" and "@" not in self.name:
            return None
        return self.name if json.dumps(self.name)[1:-1] == self.name else ""

    @cached_property
    def is_distinct(self) -> bool:
        """Whether its name is told from the words of programs, so that it is looked for by itself and not only where names stand."""
        if self.kind == "session" or "@" in self.name:
            return True
        word = self.name.casefold()
        ours = {*AGENT_TYPES, *OPERATIONS, *MEASURES, *CATEGORIES}
        return len(word) >= _SHORTEST and word not in _PROGRAMS | ours

    @cached_property
    def pattern(self) -> str | None:
        """A regular expression for Python and PostgreSQL alike: its first group stays, what follows it is the name."""
        if self.needle is None:
            return None
        names = "|".join(dict.fromkeys((re.escape(self.name), re.escape(json.dumps(self.name)[1:-1]))))
        if self.kind == "session" and len(self.name) >= _UNMISTAKABLE:
            return f"()(?:{names})"
        after = r"(?![\w-]|\.[a-z0-9])" if self.kind in {"project", "agent-id"} else r"(?![\w-])"
        if self.is_distinct:
            return rf"(^|[^\w-])(?:{names}){after}"
        return rf"(@|(?:project|user|user_id|user\.id)\\*[\"']\s*[:=]\s*\\*[\"']|/(?:home|Users)/)(?:{names}){after}"

    @cached_property
    def regex(self) -> re.Pattern[str] | None:
        """The same, compiled."""
        return re.compile(self.pattern) if self.pattern else None

    @cached_property
    def bytes_regex(self) -> re.Pattern[bytes] | None:
        """The same for bytes of UTF-8."""
        return re.compile(self.pattern.encode()) if self.pattern else None

    def is_in(self, text: str) -> bool:
        """Whether a text names it."""
        return self.regex is not None and self.regex.search(text) is not None

    def without(self, text: str) -> str:
        """Return a text without it."""
        return self.regex.sub(rf"\g<1>{PUT_IN_PLACE}", text) if self.regex else text
