"""Records of the usual shape, nine of ten: decoded as far as something is read of them, and most of their bytes never become values.

Taken is only what is certain. A record with a field of another type, an odd id, a result that tells more: for all of these `usual_of` or
the collector says no, and the line is read as every line can be (`records.records_of`, `Collector.add`). So nothing has to be added here
when the format grows. A record that is taken here gives what it would give there; a property test holds the two ways equal.
"""

# ruff: noqa: N815 - fields are called as the log calls them

from __future__ import annotations

from typing import Final, Literal

from msgspec import UNSET, DecodeError, Struct, UnsetType
from msgspec.json import Decoder

from detektor_pipelines.ingest.readers.claude_code.edits import Edit, edit_by_patch
from detektor_pipelines.ingest.readers.claude_code.state import Count, Usage  # noqa: TC001 - the decoder looks at types when it runs
from detektor_pipelines.ingest.readers.identity import DRAWN

Absent = UnsetType
"""A field that must not be there: a record that has it is not of the usual shape."""

# Fields that are not named are skipped.


class Arguments(Struct, gc=False):
    """What a call was made with, as far as it is asked for."""

    command: str = ""
    file_path: str = ""
    notebook_path: str = ""
    subagent_type: str = ""
    description: str = ""
    prompt: str = ""


class Block(Struct, gc=False):
    """One block of a message: a text, a call with its id and the tool's name, or a result and whose it is."""

    type: str
    id: str = ""
    name: str = ""
    input: Arguments | None = None
    tool_use_id: str = ""
    is_error: bool = False
    text: str | None = None


class Message(Struct, gc=False):
    """What a person, a tool or the model said."""

    content: list[Block] | str
    id: str = ""
    usage: Usage | None = None
    model: str | None = None
    stop_reason: str | None = None

    def text(self) -> str | None:
        """Return its blocks of text, one below the other."""
        blocks = [] if isinstance(self.content, str) else self.content
        return "\n".join(block.text for block in blocks if block.type == "text" and block.text is not None) or None


class Hunk(Struct, gc=False):
    """A piece of a patch."""

    lines: list[str]


class Result(Struct, gc=False):
    """What a tool tells of its own call, as far as most tools tell it."""

    interrupted: bool = False
    durationMs: Count | None = None
    filePath: str = ""
    structuredPatch: list[Hunk] | None = None
    totalDurationMs: Absent = UNSET
    durationSeconds: Absent = UNSET
    backgroundTaskId: Absent = UNSET
    gitOperation: Absent = UNSET
    agentId: Absent = UNSET
    task: Absent = UNSET

    @property
    def has_patch(self) -> bool:
        """Whether it tells of an edit, line by line."""
        return bool(self.filePath and self.structuredPatch)

    def edit(self) -> Edit:
        """Return the edit that its patch tells of."""
        return edit_by_patch(self.filePath, [line for hunk in self.structuredPatch or () for line in hunk.lines])


class Said(Struct, gc=False):
    """A message and what goes with it."""

    type: Literal["assistant", "user", "progress", "system", "attachment", "mode", "permission-mode"]
    timestamp: str = ""
    message: Message | None = None
    toolUseResult: Result | str | None = None
    isApiErrorMessage: bool = False


class Progress(Struct, gc=False):
    """What a progress record is about: a subagent's message, or something of which nothing is read."""

    type: str = ""
    agentId: str = ""
    message: Said | None = None


class Usual(Said, gc=False, kw_only=True):
    """A record of the usual shape."""

    uuid: str
    sessionId: str
    cwd: str = ""
    isSidechain: bool = False
    parentToolUseID: str = ""
    data: Progress | None = None
    forkedFrom: Absent = UNSET
    systemPayload: Absent = UNSET


NO_ARGUMENTS: Final = Arguments()
_decode: Final = Decoder(Usual).decode


def usual_of(line: bytes) -> Usual | None:
    """Decode a line that holds one record of the usual shape; None for every other, and for what is no record.

    All of the line is looked at: one that is torn, or holds two records, is none of these.
    """
    try:
        return _decode(line)
    except (DecodeError, RecursionError):
        return None


def parts_of(said: Said) -> tuple[list[Block], Block | None] | None:
    """Return a message's calls and the result that it brings; None for a message that is not of the usual shape."""
    message = said.message
    if message is None or (said.type == "assistant" and not _is_usual_answer(said, message)):
        return None
    calls: list[Block] = []
    result = None
    if isinstance(message.content, str):
        return None if message.content.startswith("<") else (calls, result)
    for block in message.content:
        kind = block.type
        if kind == "tool_use" and result is None and block.id.startswith(DRAWN):
            calls.append(block)
        elif kind == "tool_result" and result is None and not (calls or block.is_error) and block.tool_use_id.startswith(DRAWN):
            result = block
        elif kind in {"tool_use", "tool_result"}:
            return None
    return calls, result


def _is_usual_answer(said: Said, message: Message) -> bool:
    return message.usage is not None and not said.isApiErrorMessage and message.id.startswith(DRAWN)
