"""The files of the home directory: spool, held events, logs, fallback values, what is kept of ingest, MLflow's artifacts and outbox.

What a program appends to is never shortened under its hands: a line that names what is erased is overwritten where it stands, byte for
byte, with blanks (in a log by `{"erased": true}` and blanks). All else is replaced as a whole. A table of rows (Parquet) loses the rows
that knew of it. A file of another kind that names it (a model, a picture) cannot be changed without breaking it: it is said, by its name.
"""

from __future__ import annotations

import json
import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.files import replace_file, turn
from detektor_pipelines.hook import fallback_directory
from detektor_pipelines.ingest.live.held import DIRECTORY as HELD
from detektor_pipelines.ingest.live.held import Held
from detektor_pipelines.language.records import AgentEvent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.erasure.events import Touched
    from detektor_pipelines.erasure.record import Record
    from detektor_pipelines.erasure.subject import Subject
    from detektor_pipelines.language.records import Rejection
    from detektor_pipelines.settings import Settings

SPOOL: Final = "spool"
SPOOL_STATE: Final = "drained.json"
VALUES: Final = "static-features.json"
REPORT: Final = "report.html"
SERVERS_OWN: Final = (
    *(Path("servers") / name for name in ("postgres", "redis", "prometheus", "alertmanager")),
    Path("logins"),
    Path("backup-work"),
    Path("backups"),
    Path(HELD),
)
"""Directories whose files are a server's, a backup's or the live writer's own: they are emptied through these, or say what they hold."""

_NOT_OURS: Final = frozenset({"ports.json", "secrets.env", "stack.json", "supervisord.conf", "tokens"})
_APPENDED: Final = frozenset({".log", ".jsonl", ".err", ".out"})
_ROTATED: Final = re.compile(r"\.log(\.\d+)?$")
_TEXTS: Final = frozenset({".json", ".txt", ".md", ".csv", ".yaml", ".yml", ".html", ".toml", ".py", ".cfg", ".prom", ""})
_MARK: Final = b'{"erased": true}'
_LIMIT: Final = 256 * 1024 * 1024
_VALUE_KEY: Final = re.compile(r"feast:.*?:[^:#@]*@[^@:#]+:(?P<agent_id>.*)", re.DOTALL)


def remove(settings: Settings, subject: Subject, touched: Touched, record: Record) -> None:
    """Remove it from all files; each is whole at every moment, so this may be interrupted and done again."""
    record.went("held events", remove_held(settings, subject))
    for root in _roots(settings):
        for path in _files(root):
            record.went(_said(settings, path), _remove_from(path, subject, touched))


def found(settings: Settings, subject: Subject, touched: Touched) -> dict[str, int]:
    """Return the files that name it, or hold rows or values of its own; with how many places."""
    waiting = Held(settings.home).count(partial(_is_meant, subject))
    counts: dict[str, int] = {"held": waiting} if waiting else {}
    for root in _roots(settings):
        for path in _files(root):
            if number := _count_in(path, subject, touched):
                counts[_said(settings, path)] = number
    return counts


def remove_held(settings: Settings, subject: Subject) -> int:
    """Remove its events, and those that name it, from what waits for its instant: nothing may come in behind the erasure's back."""
    return Held(settings.home).remove(partial(_is_meant, subject))


def _is_meant(subject: Subject, line: bytes, event: AgentEvent | Rejection) -> bool:
    mine = isinstance(event, AgentEvent) and subject.is_of(event)
    return mine or (subject.bytes_regex is not None and subject.bytes_regex.search(line) is not None)


def agent_of(key: str) -> str | None:
    """Return the agent_id of an online value's key; None for any other key."""
    match = _VALUE_KEY.fullmatch(key)
    return match["agent_id"] if match else None


def _roots(settings: Settings) -> list[Path]:
    in_memory = Path(fallback_directory(str(settings.home / SPOOL)))
    return [each for each in (settings.home, in_memory) if each.is_dir()]


def _files(root: Path) -> Iterator[Path]:
    for directory, names, files in os.walk(root):
        here = Path(directory).relative_to(root)
        names[:] = sorted(name for name in names if here / name not in SERVERS_OWN and name != "__pycache__")
        for name in sorted(files):
            path = Path(directory) / name
            if name not in _NOT_OURS and path.is_file() and not path.is_symlink():
                yield path


def _said(settings: Settings, path: Path) -> str:
    """Name a file's kind: one line for all artifacts, and one for each other directory."""
    try:
        parts = path.relative_to(settings.home).parts
    except ValueError:
        return "spool in memory"
    if parts[:2] == ("servers", "mlflow"):
        return "artifacts of MLflow"
    return parts[0] if len(parts) > 1 else path.name


def _remove_from(path: Path, subject: Subject, touched: Touched) -> int:
    if path.name == VALUES:
        return _values(path, subject, touched, write=True)
    if path.suffix == ".parquet":
        return _rows(path, subject, touched, write=True)
    number = _named_in(path, subject)
    if not number:
        return 0
    if path.name == SPOOL_STATE:
        _forget_sessions(path, subject)
    elif path.name == REPORT:
        path.unlink(missing_ok=True)
    elif _is_appended(path):
        _blank(path, subject)
    elif path.suffix.lower() in _TEXTS and path.stat().st_size <= _LIMIT:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        once = subject.without(subject.without(text))
        replace_file(path, (once.encode("utf-8", "surrogateescape"),), mode=path.stat().st_mode & 0o777)
    return number - _named_in(path, subject)


def _count_in(path: Path, subject: Subject, touched: Touched) -> int:
    if path.name == VALUES:
        return _values(path, subject, touched, write=False)
    if path.suffix == ".parquet":
        return _rows(path, subject, touched, write=False)
    return _named_in(path, subject)


def _named_in(path: Path, subject: Subject) -> int:
    """Count the lines, or pieces of a megabyte, that name it."""
    if subject.bytes_regex is None or subject.needle is None:
        return 0
    try:
        with path.open("rb") as stream:
            return sum(1 for line in stream if subject.bytes_regex.search(line))
    except OSError:  # gone meanwhile
        return 0


def _is_appended(path: Path) -> bool:
    return path.suffix in _APPENDED or _ROTATED.search(path.name) is not None or path.name.endswith(".jsonl.retired")


def _blank(path: Path, subject: Subject) -> None:
    """Overwrite the lines that name it, without a byte more or less: whoever appends, or reads from an offset, is not disturbed."""
    mark = b"" if SPOOL in path.parts or SPOOL in path.parent.name else _MARK
    with path.open("r+b") as stream:
        start = 0
        while line := stream.readline():
            end = stream.tell()
            if subject.bytes_regex is not None and subject.bytes_regex.search(line):
                body = line.rstrip(b"\n")
                stream.seek(start)
                stream.write((mark if len(body) >= len(mark) else b"").ljust(len(body)))
                stream.flush()
                stream.seek(end)
            start = end
        os.fsync(stream.fileno())


def _forget_sessions(path: Path, subject: Subject) -> None:
    """Drop what the spool's reader remembers of sessions and runs that name it."""
    with turn(path.parent, wait=True):
        try:
            kept = json.loads(path.read_bytes())
            for part in ("agents", "sessions"):
                kept[part] = {key: value for key, value in kept.get(part, {}).items() if not subject.is_in(json.dumps([key, value]))}
        except (ValueError, AttributeError, TypeError, RecursionError):
            path.unlink()  # its reader takes what it cannot read for nothing, and reads the spool again
            return
        replace_file(path, json.dumps(kept))


def _values(path: Path, subject: Subject, touched: Touched, *, write: bool) -> int:
    """Drop values that are its own, and shared ones, which the feature server takes anew from Redis."""
    try:
        content = json.loads(path.read_bytes())
        values = content["values"]
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    shared = set(touched.shared)
    gone = [key for key in values if _goes(agent_of(key), subject, touched) or (write and agent_of(key) in shared)]
    if gone and write:
        content["values"] = {key: value for key, value in values.items() if key not in set(gone)}
        replace_file(path, json.dumps(content, indent=2), durable=True)
    return len(gone)


def _goes(agent_id: str | None, subject: Subject, touched: Touched) -> bool:
    return agent_id is not None and (subject.owns(agent_id) or agent_id in touched.own)


def _rows(path: Path, subject: Subject, touched: Touched, *, write: bool) -> int:
    """Drop rows of its own agent_ids, rows that name it, and rows of shared agent_ids at instants when their values knew of it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid):
        return 0
    stays = [not _row_goes(row, subject, touched) for row in _named_columns(table).to_pylist()]
    gone = len(stays) - sum(stays)
    if gone and write:
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        pq.write_table(table.filter(pa.array(stays, pa.bool_())), beside)
        beside.replace(path)
    return gone


def _named_columns(table: Any) -> Any:
    """Keep the columns that say whose a row is: texts and instants."""
    names = [
        field.name for field in table.schema if str(field.type) in {"string", "large_string"} or str(field.type).startswith("timestamp")
    ]
    return table.select(names)


def _row_goes(row: dict[str, Any], subject: Subject, touched: Touched) -> bool:
    agent_id = row.get("agent_id")
    if isinstance(agent_id, str) and _goes(agent_id, subject, touched):
        return True
    if any(isinstance(value, str) and subject.is_in(value) for value in row.values()):
        return True
    if agent_id not in touched.spans:
        return False
    instants = [value for value in row.values() if hasattr(value, "tzinfo") and value is not None]
    first, _ = touched.spans[agent_id]
    return any((each if each.tzinfo else each.replace(tzinfo=first.tzinfo)) >= first for each in instants)
