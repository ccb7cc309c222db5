"""An agent's final report, a Markdown text, as lines whose role is known: what the readers of verdicts and issue counts look at.

Fenced code is left out: what stands there is quoted, not said. A transcript may hold a text that was cut when it was stored
(`…[+120 chars]`): nothing is concluded from what may have stood in the missing part.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Role = Literal["heading", "item", "row", "text"]

BOLD_LINE_LEVEL: Final = 7
"""A line that is bold as a whole heads what follows, below every `#` heading."""

CUT_MARK: Final = re.compile(r"…\[\+\d+ chars\]")

_FENCE: Final = re.compile(r"\s*(```|~~~)")
_HEADING: Final = re.compile(r"(#{1,6})\s+(.*)")
_BOLD_LINE: Final = re.compile(r"(?:\*\*|__)([^*]+?)(?:\*\*|__)(?::|\s*\(([^()]*)\):?)?\s*")
_ITEM: Final = re.compile(r"(?:(\d{1,3})[.)]|[-*•+])\s+(.*)")
_RULE: Final = re.compile(r"\s*(?:-{3,}|\*{3,}|_{3,}|=+)\s*")
_DECORATION: Final = re.compile(r"[*`~]+|^_+|_+$|[^\w\s\x21-\x7e…]")
_NUMBERED: Final = re.compile(
    r"(?:#|[FCBRIN]-?|(?:finding|issue|problem|bug|concern|candidate)\s*#?)?(\d{1,3})(?:[.):]|\s+-(?=\s))\s*(.*)", re.IGNORECASE
)
_DASHES: Final = str.maketrans({"\u2013": "-", "\u2014": "-"})


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a report.

    Attributes:
        role: What it is.
        level: 1 to 6 for `#` headings, 7 for a line that is all bold; 0 for everything else.
        number: The number of a numbered item, or of a heading or bold line that starts with one; None without.
        text: What it says, without list marks, emphasis and pictures.
        raw: The line as it stands.
        nested: It is indented under another item.

    """

    role: Role
    level: int
    number: int | None
    text: str
    raw: str
    nested: bool = False


def lines_of(text: str) -> list[Line]:
    """Split a report into its lines, without blank ones, rules and fenced code."""
    return list(_lines(text))


def is_cut(text: str) -> bool:
    """Whether a part of the text is missing."""
    return bool(CUT_MARK.search(text))


def plain(text: str) -> str:
    """Remove emphasis, code marks and pictures; every dash becomes a hyphen."""
    return " ".join(_DECORATION.sub("", text.translate(_DASHES)).split())


def _lines(text: str) -> Iterator[Line]:
    fenced = False
    for raw in text.splitlines():
        if _FENCE.match(raw):
            fenced = not fenced
            continue
        if fenced or not raw.strip() or _RULE.fullmatch(raw):
            continue
        yield _line(raw)


def _line(raw: str) -> Line:
    stripped = raw.strip().lstrip(">").strip()
    nested = len(raw) - len(raw.lstrip()) >= 2  # noqa: PLR2004 (two spaces indent a list)
    heading = _HEADING.fullmatch(stripped)
    if heading:
        number, text = _numbered(plain(heading[2]))
        return Line("heading", len(heading[1]), number, text, raw)
    bold = _BOLD_LINE.fullmatch(stripped)
    if bold and not nested:
        number, text = _numbered(plain(bold[1] + (f" ({bold[2]})" if bold[2] else "")))
        return Line("heading", BOLD_LINE_LEVEL, number, text, raw)
    if stripped.startswith("|"):
        return Line("row", 0, None, stripped, raw)
    item = _ITEM.fullmatch(stripped)
    if item:
        return Line("item", 0, int(item[1]) if item[1] else None, plain(item[2]), raw, nested)
    return Line("text", 0, None, plain(stripped), raw, nested)


def _numbered(text: str) -> tuple[int | None, str]:
    numbered = _NUMBERED.fullmatch(text)
    return (int(numbered[1]), numbered[2]) if numbered else (None, text)
