"""How many lines an edit added and removed: from the structured patch, for a new file from its content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from detektor_pipelines.ingest.readers.shapes import Record, text_of
from detektor_pipelines.ingest.reports.lines import is_cut

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Edit:
    """One successful edit; the counts are None where the log does not hold enough to count."""

    path: str
    added: int | None
    removed: int | None


@dataclass(frozen=True, slots=True)
class Change:
    """All edits of one piece of work together."""

    files: int
    added: int | None
    removed: int | None


def edit_of(result: Record) -> Edit | None:
    """Read the result object of an edit tool; None when it names no file."""
    path = text_of(result.get("filePath")) or text_of(result.get("notebook_path"))
    if path is None:
        return None
    patch = result.get("structuredPatch")
    if isinstance(patch, list) and patch:
        lines = [line for hunk in patch if isinstance(hunk, dict) for line in hunk.get("lines") or () if isinstance(line, str)]
        return edit_by_patch(path, lines)
    content = result.get("content")
    if result.get("type") == "create" and isinstance(content, str) and not is_cut(content):
        return Edit(path, len(content.splitlines()), 0)
    return Edit(path, None, None)


def edit_by_patch(path: str, lines: Iterable[str]) -> Edit:
    """Count the lines of a patch by how they begin."""
    signs = [line[:1] for line in lines]
    return Edit(path, signs.count("+"), signs.count("-"))


def change_of(edits: Iterable[Edit]) -> Change:
    """Add up edits: different files, lines; None when one of them could not be counted."""
    counted = list(edits)
    added = [edit.added for edit in counted if edit.added is not None]
    removed = [edit.removed for edit in counted if edit.removed is not None]
    complete = len(added) == len(removed) == len(counted)
    return Change(len({edit.path for edit in counted}), sum(added) if complete else None, sum(removed) if complete else None)
