"""What a tool answered the model, as text: exit code, duration, whether it goes on, or that the tool itself failed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import orjson

from detektor_pipelines.ingest.readers.shapes import Record, count_of, record_of, text_of

_EXIT_CODE: Final = re.compile(r"^(?:Process exited with code|Exit code:?) (-?\d+)\s*$", re.MULTILINE)
_WALL_TIME: Final = re.compile(r"^Wall time: (\d+(?:\.\d+)?) seconds?\s*$", re.MULTILINE)
_RUNNING: Final = re.compile(r"^Process running with session ID (\w+)\s*$", re.MULTILINE)
_OUTPUT_HEADER: Final = "Output:"
_ABORTED: Final = "aborted"
_MISMATCH: Final = re.compile(r"(?:apply_patch )?verification failed\b")
_FAILED: Final = re.compile(r"[\w .-]{1,40} (?:verification )?failed:|failed to parse function arguments|unsupported call\b")
"""How an answer begins that comes from the tool's own machinery, not from a program that it ran."""


@dataclass(frozen=True, slots=True)
class Output:
    """One answer of a tool.

    Attributes:
        text: What a program printed; all of it where the tool adds nothing.
        exit_code: Of the program; None where none is stated.
        duration_ms: How long the call took.
        process: The id by which a program that goes on is known from now on.
        succeeded: What the answer itself says without an exit code.
        aborted: Somebody stopped it.
        failure: Class of the tool's own error.

    """

    text: str
    exit_code: int | None = None
    duration_ms: int | None = None
    process: str | None = None
    succeeded: bool | None = None
    aborted: bool = False
    failure: str | None = None


def read_output(output: Any) -> Output:
    """Read an answer of any shape: plain text, blocks, JSON in a text, or an object."""
    text, details = _text_of(output)
    start = 0 if text.startswith(_OUTPUT_HEADER) else text.find("\n" + _OUTPUT_HEADER) + 1
    separator = text.startswith(_OUTPUT_HEADER, start)
    end = start + len(_OUTPUT_HEADER)
    printed = text[end + text.startswith("\n", end) :] if separator else text
    # Without the separator only the first line is the tool's own: what follows a program may have printed itself.
    own = text[:start] if separator else text.partition("\n")[0]
    code = _EXIT_CODE.search(own) if " code" in own else None
    seconds = _WALL_TIME.search(own) if "Wall time: " in own else None
    running = _RUNNING.search(own) if "running with" in own else None
    metadata = record_of(details.get("metadata"))
    stated = metadata.get("exit_code")
    elapsed = float(seconds[1]) if seconds else metadata.get("duration_seconds")
    failure = None if separator or metadata else _failure(own)
    succeeded = details["success"] if isinstance(details.get("success"), bool) else False if failure else None
    return Output(
        printed,
        int(code[1]) if code else stated if isinstance(stated, int) and not isinstance(stated, bool) else None,
        round(elapsed * 1000) if isinstance(elapsed, int | float) and elapsed >= 0 else None,
        running[1] if running else None,
        succeeded,
        text[: len(_ABORTED)].lower() == _ABORTED,
        failure,
    )


def duration_of(value: Any) -> int | None:
    """Return a stated duration `{secs, nanos}` in ms, rounded to the nearest."""
    seconds, nanos = count_of(record_of(value).get("secs")), count_of(record_of(value).get("nanos"))
    return None if seconds is None or nanos is None else seconds * 1000 + round(nanos / 1_000_000)


def object_of(text: Any) -> Record:
    """Return the object that a text holds as JSON, or one that stands there as it is; else an empty one."""
    if isinstance(text, str):
        try:
            text = orjson.loads(text)
        except orjson.JSONDecodeError:
            return {}
    return record_of(text)


def _failure(line: str) -> str | None:
    if _MISMATCH.match(line):
        return "edit_mismatch"
    return "other" if _FAILED.match(line) else None


def _text_of(output: Any) -> tuple[str, Record]:
    if isinstance(output, list):
        return "\n".join(str(block.get("text", "")) for block in output if isinstance(block, dict)), {}
    if isinstance(output, str) and output.startswith("{"):
        output = object_of(output) or output
    if isinstance(output, dict):
        return text_of(output.get("output")) or text_of(output.get("content")) or "", output
    return (output if isinstance(output, str) else ""), {}
