"""What is known of one rollout while it is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from detektor_pipelines.ingest.readers.failures import INTERRUPTED
from detektor_pipelines.ingest.readers.names import MAIN_THREAD

if TYPE_CHECKING:
    from detektor_pipelines.ingest.readers.codex.patches import FileEdit


@dataclass(slots=True)
class Call:
    """One tool call, with its result as far as it was seen.

    Attributes:
        at: When it was called.
        command: Its command line, of those that may push or test.
        answered_at: When the tool answered the model; a command that goes on answers before it ends.
        ended_at: When it ended, where a record of its own says so.
        awaited: Its answer is a record of its own, which may not have come yet.
        running: It answered that it goes on.
        stated: A record of its own says how it ended (`exec_command_end`, `item_completed`): it wins over the text.
        waits_for: The call whose command it only waits for or writes to (`write_stdin`).
        edits: Files that it changed.
        failure: Class of an error without an exit code.

    """

    at: int
    name: str | None
    command: str | None = None
    answered_at: int | None = None
    ended_at: int | None = None
    awaited: bool = False
    running: bool = False
    stated: bool = False
    waits_for: Call | None = None
    exit_code: int | None = None
    succeeded: bool | None = None
    aborted: bool = False
    failure: str | None = None
    duration_ms: int | None = None
    output: str = ""
    edits: tuple[FileEdit, ...] = ()

    @property
    def over_at(self) -> int | None:
        """When it was over; None as long as it goes on, or its answer has not come."""
        if self.running:
            return self.ended_at
        return self.answered_at if self.answered_at is not None else self.ended_at

    @property
    def is_open(self) -> bool:
        """Whether more is to come of it."""
        return self.over_at is None or (self.awaited and self.answered_at is None)

    @property
    def outcome(self) -> Literal["success", "failure", "cancelled"] | None:
        """How it ended, where the log file says so."""
        if self.aborted:
            return "cancelled"
        if self.exit_code is not None:
            return "failure" if self.exit_code else "success"
        return None if self.succeeded is None else "success" if self.succeeded else "failure"

    @property
    def error_type(self) -> str | None:
        """Why it failed, where it did."""
        if self.aborted:
            return self.failure or INTERRUPTED
        if self.outcome != "failure":
            return None
        return "exit_code" if self.exit_code else self.failure or "other"


class Answer(NamedTuple):
    """One answer of the model: what it is called in its event's id, its instant, model and tokens."""

    key: str
    at: int
    model: str | None
    tokens: dict[str, int]


@dataclass(slots=True)
class Child:
    """A subagent that this thread started. `status` is None as long as nobody told how it ended."""

    call_id: str
    called_at: int
    thread: str | None = None
    name: str | None = None
    prompt: str | None = None
    model: str | None = None
    started_at: int | None = None
    ended_at: int | None = None
    status: Literal["completed", "failed", "cancelled"] | None = None
    text: str | None = None


@dataclass(slots=True)
class Rollout:
    """One file's state.

    Attributes:
        source: The file.
        thread: The rollout's own id (`session_meta.id`; `session_id` is the root thread's).
        agent: The agent's name, `main` outside every subagent.
        first_at: Its first own record; for a fork the instant of the fork.
        prompt: What the user, or the thread that started it, asked for last before it did anything.
        ids: Call and turn ids and totals of tokens that stand in it, copied ones included: a fork of it is cut by them.

    """

    source: str
    thread: str | None = None
    agent: str = MAIN_THREAD
    cwd: str | None = None
    remote: str | None = None
    model: str | None = None
    prompt: str | None = None
    first_at: int | None = None
    completed_at: int | None = None
    last_message: str | None = None
    calls: dict[str, Call] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    children: dict[str, Child] = field(default_factory=dict)
    searches: list[int] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    @property
    def is_main(self) -> bool:
        """Whether it is a session of its own, not a subagent's."""
        return self.agent == MAIN_THREAD

    def begin_again(self, at: int | None) -> None:
        """Forget what was copied from the thread that this one was forked from."""
        for part in (self.calls, self.answers, self.children, self.searches):
            part.clear()
        self.first_at, self.completed_at, self.last_message = at, None, None
