"""`detektor-hook`: what Claude Code's hooks run. Notes what happened in the spool, and is gone.

    detektor-hook [SPOOL_DIRECTORY] < the hook's JSON

The standard library alone, and of it as little as can be: an agent waits for this at each of its steps. Of the package only the rules of
masking are imported, where there is a text to mask, and no database is asked. The hook's JSON holds no time, so this stamps it. Of the JSON
only what events are made of is kept: never what a tool was given or gave back, but for a subagent's report, in which a
review's verdict stands; that is masked first (`masks`), by a child that the agent does not wait for.

A line is one write to a file of the day, in append mode, so that any number of hooks may write at once. It begins with a line end too:
after a line that was cut off (a full disk), the next stands alone all the same. When the spool cannot be written, the line goes to a
directory in memory (`fallback_directory`) that the drainer reads too. The exit code is 0 whatever happens: an agent is never held up by
its log.

How the drainer removes a file without a lock: it renames it, reads it to its end, and deletes it. Whoever wrote meanwhile into a file that
has lost its name writes the line again; the same line twice is one event.
"""

from __future__ import annotations

import os
import sys
import time

TIME = "at_ns"
TEXT_LIMIT = 32_768
ERROR_LIMIT = 600
LINE_LIMIT = 1_048_576
"""No line is longer: two reports of signs that JSON writes as twelve bytes each, and all the short texts."""
INPUT_LIMIT = 64 * 1024 * 1024
MOMENT_S = 0.012
"""How long an agent is kept for a text that has to be masked, beside Python's own start."""
FILE_PREFIX = "hook-"
FILE_SUFFIX = ".jsonl"

_PLAIN = (
    "hook_event_name",
    "session_id",
    "transcript_path",
    "cwd",
    "agent_id",
    "agent_type",
    "tool_name",
    "tool_use_id",
    "agent_transcript_path",
    "reason",
)
_AGENT_TOOLS = ("Task", "Agent")
_OF_RESULT = ("agentId", "agentType", "status", "isAsync", "totalDurationMs", "totalToolUseCount", "resolvedModel", "interrupted")
_TOKENS = ("input_tokens", "output_tokens")


def main() -> None:
    """Note one hook; never fail."""
    global _leave  # noqa: PLW0603  from here on there is an agent that waits
    try:
        _leave = _go_on_alone
        at = time.time_ns()
        text = sys.stdin.buffer.read(INPUT_LIMIT)
        spool = sys.argv[1] if len(sys.argv) > 1 else _default_directory()
        note(spool, line_of(text, at))
    except BaseException:  # noqa: BLE001, S110  whatever it is: the agent must not wait for its log, nor fail by it
        pass


def line_of(text: bytes, at: int) -> bytes:
    """Write what is kept of a hook's JSON as one line, stamped with `at` (ns since 1970) and this process; no JSON as masked text."""
    stamp = {TIME: at, "pid": os.getpid()}
    try:
        record = _parsed(text)
        kept = _kept(record) if isinstance(record, dict) else {"text": masked(text[:ERROR_LIMIT].decode("utf-8", "replace"))}
    except (ValueError, RecursionError):
        kept = {"text": masked(text[:ERROR_LIMIT].decode("utf-8", "replace"))}
    return _json_of({**stamp, **kept}).encode()


def note(spool: str, line: bytes) -> None:
    """Append the line to the day's file, or in memory when that cannot be done.

    Raises:
        OSError: Neither can be written.

    """
    try:
        _append(spool, line)
    except OSError:
        _append(fallback_directory(spool), line)


def fallback_directory(spool: str) -> str:
    """Return where lines go when the spool cannot be written: a directory in memory, this user's and this spool's own."""
    from zlib import crc32

    memory = os.environ.get("XDG_RUNTIME_DIR") or ("/dev/shm" if os.path.isdir("/dev/shm") else os.environ.get("TMPDIR") or "/tmp")  # noqa: S108  made with mode 0700, and used only when it is ours
    return os.path.join(memory, f"detektor-spool-{os.getuid()}-{crc32(os.path.abspath(spool).encode()):08x}")


def masked(text: str) -> str:
    """Replace what is shaped like a credential or a person's data, by the rules of `masks`, which lies beside this file."""
    if len(text) < 5:  # noqa: PLR2004  as `masks` has it; importing it would take longer than all the rest
        return text
    _leave()
    if __package__:
        from detektor_pipelines.masks import mask

        return mask(text)
    beside = os.path.dirname(os.path.abspath(__file__))
    if beside not in sys.path:
        sys.path.insert(0, beside)
    return str(__import__("masks").mask(text))


def _stay() -> None:
    """Nobody waits."""


_leave = _stay
"""Called before a text is masked, which takes longer than all the rest."""


def _go_on_alone() -> None:
    """Let the agent go on while a child masks and notes: nothing unmasked is written anywhere, and nobody waits for rules to be compiled.

    The child is waited for a moment, in which it is mostly done. It belongs to no terminal and no process group of the agent's, and holds
    none of its pipes, for whoever reads them waits until the last who has them ends. Without a child the agent waits.
    """
    global _leave  # noqa: PLW0603
    _leave = _stay
    try:
        child = os.fork()
    except OSError:
        return
    if child:
        until = time.monotonic() + MOMENT_S
        while not os.waitpid(child, os.WNOHANG)[0] and time.monotonic() < until:
            time.sleep(0.001)
        os._exit(0)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)


def _append(directory: str, line: bytes) -> None:
    year, month, day = time.gmtime()[:3]
    path = os.path.join(directory, f"{FILE_PREFIX}{year:04}{month:02}{day:02}{FILE_SUFFIX}")
    whole = b"\n" + line + b"\n"
    for _ in range(3):
        try:
            file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            continue
        try:
            mine = os.fstat(file)
            if mine.st_uid != os.geteuid():
                raise PermissionError(path)
            if os.write(file, whole) != len(whole):
                raise OSError(28, "No space left on device")
            if _is_named(path, mine):
                return
        finally:
            os.close(file)
    raise OSError(path)


def _is_named(path: str, mine: os.stat_result) -> bool:
    """Whether the file still has its name; if not, the drainer may have read it for the last time."""
    try:
        named = os.stat(path)
    except OSError:
        return False
    return (named.st_dev, named.st_ino) == (mine.st_dev, mine.st_ino)


class _ScannerOptions:
    """How the json module would read: what its scanner, written in C, looks at."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = parse_constant = float
    parse_int = int
    memo: dict[str, str] = {}  # noqa: RUF012  the scanner's own


def _parsed(text: bytes) -> object:
    """Read JSON without the json module: importing that one takes as long as Python's start and all the rest together.

    Raises:
        ValueError: It is none.

    """
    try:
        from _json import make_scanner
    except ImportError:
        import json

        return json.loads(text)
    whole = text.decode("utf-8").strip()
    try:
        value, end = make_scanner(_ScannerOptions)(whole, 0)  # type: ignore[arg-type]  # it asks for attributes, not for a class
    except (StopIteration, SystemError):  # the latter where it would raise the json module's own error, which nobody imported
        raise ValueError(whole) from None
    if end != len(whole):
        raise ValueError(whole)
    return value


def _json_of(value: object) -> str:
    """Write what `_kept` keeps as JSON, all of it ASCII."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{_json_of(name)}:{_json_of(each)}" for name, each in value.items()) + "}"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if value == value and value not in (float("inf"), float("-inf")) else "null"  # noqa: PLR0124  NaN is not itself


def _quoted(text: str) -> str:
    try:
        from _json import encode_basestring_ascii
    except ImportError:
        from json import dumps as encode_basestring_ascii
    return encode_basestring_ascii(text)


def _kept(record: dict[str, object]) -> dict[str, object]:
    kept: dict[str, object] = {name: record[name][:1024] for name in _PLAIN if isinstance(record.get(name), str)}  # type: ignore[index]
    for name in ("duration_ms", "is_interrupt"):
        if isinstance(record.get(name), (int, float)):
            kept[name] = record[name]
    error = record.get("error")
    if error is not None:
        kept["error"] = masked(str(error)[:ERROR_LIMIT])
    report = record.get("last_assistant_message")
    if isinstance(report, str):
        kept["last_assistant_message"] = _report(report)
    result = record.get("tool_response")
    if isinstance(result, dict):
        kept["tool_response"] = _result(result, is_agent=record.get("tool_name") in _AGENT_TOOLS)
    given = record.get("tool_input")
    if isinstance(given, dict) and isinstance(given.get("subagent_type"), str):
        kept["subagent_type"] = given["subagent_type"][:256]
    return kept


def _result(result: dict[str, object], *, is_agent: bool) -> dict[str, object]:
    kept = {name: _short(result[name]) for name in _OF_RESULT if isinstance(result.get(name), (str, int, float, bool))}
    usage, content = result.get("usage"), result.get("content")
    if is_agent and isinstance(usage, dict):
        kept["usage"] = {name: usage[name] for name in _TOKENS if isinstance(usage.get(name), int)}
    if is_agent and isinstance(content, list):
        parts = [block.get("text") for block in content if isinstance(block, dict)]
        kept["report"] = _report("\n".join(part for part in parts if isinstance(part, str)))
    return kept


def _short(value: object) -> object:
    return value[:256] if isinstance(value, str) else value


def _report(text: str) -> str:
    """A report's beginning and end: a verdict stands in one of them."""
    half = TEXT_LIMIT // 2
    return masked(text if len(text) <= TEXT_LIMIT else f"{text[:half]}\n…\n{text[-half:]}")


def _default_directory() -> str:
    home = os.environ.get("DETEKTOR_HOME")
    if not home:
        above = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        home = os.path.join(above if os.path.isfile(os.path.join(above, "pyproject.toml")) else os.getcwd(), ".detektor")
    return os.path.join(os.path.expanduser(home), "spool")


if __name__ == "__main__":
    main()
