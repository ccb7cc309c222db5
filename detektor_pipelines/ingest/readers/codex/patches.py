"""Which files a patch changed, and by how many lines: as the end of the patch states it, else as its own text says."""

from __future__ import annotations

import re
from typing import Any, Final, Literal, NamedTuple

from detektor_pipelines.ingest.readers.shapes import record_of, text_of
from detektor_pipelines.ingest.reports.lines import is_cut

Kind = Literal["add", "update", "delete"]

_FILE: Final = re.compile(r"\*\*\* (Add|Update|Delete) File: (.+)")
_KINDS: Final[dict[str, Kind]] = {"add": "add", "update": "update", "delete": "delete"}
_MOVE: Final = "*** Move to: "


class FileEdit(NamedTuple):
    """One changed file; the counts are None where the log does not hold enough to count."""

    path: str
    kind: Kind
    added: int | None
    removed: int | None


def edits_of(changes: Any) -> tuple[FileEdit, ...]:
    """Read `changes`: path → {type, content | unified_diff, move_path}."""
    found = []
    for path, change in record_of(changes).items():
        said = record_of(change)
        kind = _KINDS.get(str(said.get("type")))
        if kind is None:
            continue
        text = said.get("unified_diff" if kind == "update" else "content")
        counts = (None, None) if not isinstance(text, str) or is_cut(text) else _counts(kind, text)
        found.append(FileEdit(text_of(said.get("move_path")) or path, kind, *counts))
    return tuple(found)


def edits_of_patch(patch: Any) -> tuple[FileEdit, ...]:
    """Read the text of a patch (`*** Begin Patch` …)."""
    found: list[FileEdit] = []
    if not isinstance(patch, str):
        return ()
    whole = not is_cut(patch)
    for line in patch.splitlines():
        file = _FILE.fullmatch(line.rstrip())
        if file:
            kind = _KINDS[file[1].lower()]
            found.append(FileEdit(file[2], kind, 0 if whole else None, 0 if whole and kind != "delete" else None))
        elif found and line.startswith(_MOVE):
            found[-1] = found[-1]._replace(path=line.removeprefix(_MOVE).rstrip())
        elif found and found[-1].added is not None and line.startswith(("+", "-")):
            last = found[-1]
            if line.startswith("+"):
                found[-1] = last._replace(added=(last.added or 0) + 1)
            elif last.removed is not None:
                found[-1] = last._replace(removed=last.removed + 1)
    return tuple(found)


def _counts(kind: Kind, text: str) -> tuple[int, int]:
    lines = text.splitlines()
    if kind == "add":
        return len(lines), 0
    if kind == "delete":
        return 0, len(lines)
    changed = [line for line in lines if not line.startswith(("+++ ", "--- "))]
    return sum(line.startswith("+") for line in changed), sum(line.startswith("-") for line in changed)
