"""One numbered list of findings without severities: how many there are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.ingest.reports.lines import Line

_NOUNS: Final = r"(?:findings?|issues?|problems?|bugs?|defects?|concerns?|uwagi|problemy|b[lł][eę]dy|usterki)"
_HEADING: Final = re.compile(
    r"(?:(?:key|new|main|notable|all|my|the|other|remaining|detailed|code review|code|review|verified|candidate|confirmed|potential"
    r"|real|actual|top)\s+)*"
    rf"{_NOUNS}(?:\s*/\s*\w+)?(?:\s+(?:found|identified|list|summary|in (?:the|this) [\w-]+))?(?:\s*\(.*\))?:?",
    re.IGNORECASE,
)
_ANNOUNCEMENT: Final = re.compile(rf"(?:.*\s)?{_NOUNS}\b[^.!?]*:", re.IGNORECASE)
_HARMLESS: Final = re.compile(
    r"(?:^|[-:(]\s*)(?:ok|good|fine|correct|verified|confirmed correct"
    r"|no (?:issues?|problems?|concerns?|action)|not an? (?:issue|bug|problem)|pass(?:ed)?|safe|none"
    r"|resolved|fixed|addressed|works)\b",
    re.IGNORECASE,
)
_OTHER_LIST: Final = re.compile(
    r"\b(?:suggestions?|recommendations?|improvements?|nits?|observations?|notes?|questions?|gaps?|concerns?|minor|follow-?ups?)\b",
    re.IGNORECASE,
)
_FEW: Final = 80
"""A list of more is hardly one of findings."""


def numbered_findings(lines: Sequence[Line]) -> tuple[int, Line] | None:
    """Return how many entries the one numbered list below an announcement of findings has, with the announcement.

    None where there is no such list, or a second one; where its numbers are not 1, 2, 3, …; where an entry says that it is none.
    """
    starts = [index for index, line in enumerate(lines) if _announces(line)]
    found = [(entries, lines[index]) for index in starts if (entries := _entries(lines[index + 1 :]))]
    if len(found) != 1:
        return None
    entries, announcement = found[0]
    if [line.number for line in entries] != list(range(1, len(entries) + 1)) or len(entries) > _FEW:
        return None
    if any(line.role == "heading" and line.number is not None and line not in entries for line in lines):
        return None
    if any(_HARMLESS.search(line.text) for line in entries) or _other_list(lines, announcement):
        return None
    return len(entries), announcement


def _announces(line: Line) -> bool:
    if line.nested or line.number is not None:
        return False
    return bool(line.role == "heading" and _HEADING.fullmatch(line.text)) or bool(
        line.role == "text" and _ANNOUNCEMENT.fullmatch(line.text)
    )


def _entries(lines: Sequence[Line]) -> list[Line]:
    """Numbered entries of one kind, up to the next heading without a number or the next announcement."""
    entries: list[Line] = []
    for line in lines:
        if (line.role == "heading" and line.number is None) or _announces(line):
            break
        if line.number is None or line.nested or line.role not in {"heading", "item"}:
            continue
        if not entries or (line.role, line.level) == (entries[0].role, entries[0].level):
            entries.append(line)
    return entries


def _other_list(lines: Sequence[Line], announcement: Line) -> bool:
    """Whether another heading promises further points (`Suggestions`, `Observations`)."""
    return any(
        line.role == "heading" and line.number is None and line is not announcement and _OTHER_LIST.search(line.text) for line in lines
    )
