"""Words that reports use for how grave an issue is, and the three severities that they stand for."""

from __future__ import annotations

import re
from typing import Final, Literal

Severity = Literal["critical", "major", "minor"]

_WORDS: Final[dict[Severity, tuple[str, ...]]] = {
    "critical": (
        "critical",
        "blocker",
        "blocking",
        "severe",
        "must fix",
        "p0",
        "krytyczne",
        "krytyczny",
        "krytyczna",
        "blokujące",
        "blokujący",
    ),
    "major": (
        *("important", "major", "high", "should fix", "warning", "p1"),
        *("poważne", "poważny", "poważna", "ważne", "ważny", "ważna", "istotne", "istotny", "istotna"),
    ),
    "minor": (
        *("medium", "moderate", "minor", "low", "suggestion", "nit", "nitpick", "nice to have", "optional", "informational"),
        *("trivial", "p2", "p3", "p4", "drobne", "drobny", "drobna", "drobiazgi", "sugestie", "sugestia"),
    ),
}
_OF: Final[dict[str, Severity]] = {word: severity for severity, words in _WORDS.items() for word in words}

PHRASES: Final = "|".join(re.escape(word).replace(r"\ ", "[- ]") for word in sorted(_OF, key=len, reverse=True))
"""Every word, without its plural."""

_SINGLE: Final = sorted((word for word in _OF if word != "optional" and " " not in word), key=len, reverse=True)
LEVELS: Final = rf"(?:{'|'.join(_SINGLE)})s?"
"""One word for a severity, singular or plural; without those that say something else as often."""

LIST_OF_LEVELS: Final = rf"(?:{PHRASES})s?(?:(?:\s*[,/&+]\s*|\s+(?:and|or|i)\s+)(?:{PHRASES})s?)*"
"""One or several: `Critical/High`."""

LEVEL: Final = re.compile(rf"\b(?:{PHRASES})s?\b", re.IGNORECASE)


def severity_of(word: str) -> Severity:
    """Map a report's word for a severity (singular or plural) to ours.

    Raises:
        KeyError: for any other word.

    """
    lowered = " ".join(word.lower().replace("-", " ").split())
    return _OF.get(lowered) or _OF[lowered.removesuffix("s")]
