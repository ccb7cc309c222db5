"""Whether a review says of itself as a whole that it found nothing; "no blocking issues" does not say so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from detektor_pipelines.ingest.reports.lines import Line

_NOUNS: Final = r"(?:issues?|findings?|problems?|bugs?|concerns?|defects?|review comments?)"
_NOTHING: Final = re.compile(
    rf"(?:(?:i|we) (?:have )?(?:found|see|identified|detected|spotted|have) |there (?:are|were) "
    r"|(?:the |this )?(?:code )?review (?:found|finds) "
    rf"|found )?(?:no|zero|0) (?:real |actual |new |remaining |further |outstanding |other |code )*{_NOUNS}"
    rf"(?:,? (?:and|or|nor) (?:no )?(?:real |actual )?(?:{_NOUNS}|suggestions?|nits?|comments?))*"
    r"(?: (?:(?:were |was |are )?(?:found|identified|detected|spotted|remaining|remain)"
    r"|to report|here|at all|in (?:this|the) [\w/-]+(?: [\w/-]+)?"
    r"|with (?:this|the) [\w/-]+(?: [\w/-]+)?))*"
    r"|nothing to (?:change|fix|report|flag|add|comment on|address)(?:,.*)?|clean|nothing found|no changes (?:needed|required|necessary)"
    r"|no (?:findings|issues), (?:lgtm|approved?)|lgtm, no (?:issues|comments|findings)"
    r"|brak (?:uwag|problem[oó]w|zastrze[zż]e[nń]|b[lł][eę]d[oó]w)(?: do zmian)?"
    r"|nie znalaz\w+ (?:[zż]adnych )?(?:problem[oó]w|b[lł][eę]d[oó]w|uwag)|bez uwag",
    re.IGNORECASE,
)
_WHOLE: Final = re.compile(
    r"(?:(?:the|my|final|overall|code|review|key|new|pr|summary of|quality|spec|compliance|report|complete|results?|of)\s+)*"
    r"(?:verdict|summary|findings?|issues?|problems?|result|results|conclusion"
    r"|review|assessment|bottom line|recommendation|report|outcome|status|overall"
    r"|approved?|pass(?:ed)?|clean|lgtm|werdykt|wynik|podsumowanie|uwagi|wnioski)(?:\s+(?:found|complete|result|results|summary|identified))?"
    r"(?:\s*[:-].*)?",
    re.IGNORECASE,
)
_SPLIT: Final = re.compile(r"(?<=[.!;])\s+|\s+-\s+|:\s+")


def says_clean(lines: Sequence[Line]) -> Line | None:
    """Return the line that says that nothing was found: in the preamble, or below a heading that is about the whole."""
    heading: Line | None = None
    for line in lines:
        if line.role == "heading":
            heading = line
        about_whole = heading is None or _WHOLE.fullmatch(heading.text)
        if about_whole and line.role != "row" and not line.nested and any(_NOTHING.fullmatch(part) for part in _statements(line.text)):
            return line
    return None


def _statements(text: str) -> Iterator[str]:
    """The sentences of a line; what follows a label counts only where the label is about the whole (`Verdict: no issues`)."""
    label, colon, _ = text.partition(":")
    if colon and not _WHOLE.fullmatch(label.strip()):
        return
    for part in _SPLIT.split(text):
        yield part.strip(" .!;:")
