"""What a reading knows so far, by id: sessions, tool calls, messages, runs of subagents. Texts are kept only where they are needed.

The same record may stand in several files, once cut and once whole: every field takes the fuller value, whichever came first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

from msgspec import Meta, Struct

if TYPE_CHECKING:
    from detektor_pipelines.ingest.readers.claude_code.edits import Edit
    from detektor_pipelines.ingest.readers.claude_code.notifications import Notification

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""A count as the decoder takes it; a greater number is left to who makes records whole, for whom it is no int."""

_NAMED_IN_LOGS: Final = {"cache_read_tokens": "cache_read_input_tokens", "cache_creation_tokens": "cache_creation_input_tokens"}


class Caller(NamedTuple):
    """Who called a tool or wrote a message: the main thread, or a subagent known by its run, by its agent id, or not at all.

    Attributes:
        run: The tool_use id of the call that started the subagent.
        agent_id: The subagent's own id, from its file.
        side: Not the main thread.

    """

    run: str | None = None
    agent_id: str | None = None
    side: bool = False


MAIN: Final = Caller()


class Usage(Struct, frozen=True, gc=False, rename=_NAMED_IN_LOGS):
    """Tokens of one answer; a transcript says `input` in the names of all but one."""

    input_tokens: Count = 0
    output_tokens: Count = 0
    cache_read_tokens: Count = 0
    cache_creation_tokens: Count = 0


NO_TOKENS: Final = Usage()


@dataclass(slots=True)
class Session:
    """One session: where it worked first, and the repository its pull requests belong to."""

    cwd: str | None = None
    cwd_at: int = 0
    repository: str | None = None
    repository_at: str = ""


class Call(Struct, gc=False):
    """One tool call. `at` is None as long as only its result was seen; `failed` is None as long as the result was not.

    Of several sessions that hold it (forks) `session` is the first by name with the call, `ended_in` the first with the result.
    """

    session: str | None = None
    ended_in: str | None = None
    caller: Caller = MAIN
    name: str | None = None
    at: int | None = None
    source: str = ""
    path: str | None = None
    command: str | None = None
    ended_at: int | None = None
    failed: bool | None = None
    error_type: str | None = None
    interrupted: bool = False
    background: bool = False
    pushed: bool = False
    duration_ms: int | None = None
    output: str | None = None
    edit: Edit | None = None

    def end(self, at: int, session: str | None) -> None:
        """Take a result's instant and session; of several the earliest counts, of copies the first session by name."""
        if self.ended_at is None or (at, session or "") < (self.ended_at, self.ended_in or ""):
            self.ended_at, self.ended_in = at, session

    @property
    def home(self) -> str | None:
        """The session that has its events: where it ended; where it was called as long as it has not."""
        return self.ended_in or self.session


class Message(Struct, gc=False):
    """One answer of the model, as its last line tells it; `whole` when that line is its final one, not a placeholder of the stream."""

    session: str | None
    caller: Caller
    source: str
    at: int = 0
    model: str | None = None
    usage: Usage = NO_TOKENS
    whole: bool = False
    error_type: str | None = None


@dataclass(slots=True)
class Run:
    """One run of a subagent, as the call that started it and the call's result tell it; `sessions`: all that hold the call (forks)."""

    session: str | None = None
    sessions: set[str | None] = field(default_factory=set)
    raw_name: str | None = None
    description: str | None = None
    prompt: str | None = None
    called_at: int | None = None
    source: str = ""
    agent_id: str | None = None
    background: bool = False
    launched_at: int | None = None
    status: str | None = None
    ended_at: int | None = None
    duration_ms: int | None = None
    tool_calls: int | None = None
    text: str | None = None
    model: str | None = None
    lines_added: int | None = None
    lines_removed: int | None = None


@dataclass(slots=True)
class Notice:
    """A notification of a background agent, and whether it is the original one (the queue's) or the message made from it."""

    at: int
    notification: Notification
    original: bool


@dataclass(slots=True)
class SideThread:
    """A subagent as its own records tell it: first and last instant, and the text that it ended with (None while it still works)."""

    source: str
    first_at: int
    last_at: int
    text: str | None = None
    model: str | None = None
    raw_name: str | None = None
    description: str | None = None
    run: str | None = None
    own_file: bool = False


@dataclass(slots=True)
class State:
    """Everything collected from the files of one group."""

    sessions: dict[str, Session] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)
    messages: dict[str, Message] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    notices: dict[tuple[str | None, str], list[Notice]] = field(default_factory=dict)
    side_threads: dict[tuple[str | None, str], SideThread] = field(default_factory=dict)
